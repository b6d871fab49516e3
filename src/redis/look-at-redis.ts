import { AppError } from '../errors.ts'
import { createLookingClient } from './connection.ts'
import { codeOf } from './outage.ts'

export type RedisFacts = Readonly<{
  version: string
  /** 0: none. */
  maxBytes: number
  policy: string
}>

/** Looks at a Redis as it is. Throws `unavailable` with the reason, without the password. */
export async function lookAtRedis(url: string): Promise<RedisFacts> {
  const { client, place } = await createLookingClient(url)
  let lastError: unknown
  client.on('error', (error) => {
    lastError = error
  })
  try {
    await client.connect()
    const text = await client.info()
    const of = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(text)?.[1] ?? ''
    return { version: of('redis_version'), maxBytes: Number(of('maxmemory')), policy: of('maxmemory_policy') }
  } catch (cause) {
    throw new AppError('unavailable', `Redis at ${place}: ${reasonOf(lastError ?? cause)}`, { cause })
  } finally {
    client.disconnect()
  }
}

function reasonOf(error: unknown): string {
  const code = codeOf(error)
  if (code === 'NOAUTH' || code === 'WRONGPASS') return `it lets nobody in with the user and password of REDIS_URL (${code}).`
  const system = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (system === 'ECONNREFUSED') return 'nobody listens there (ECONNREFUSED).'
  if (system === 'ETIMEDOUT') return 'no answer in time: a firewall, or TLS (rediss://) on one side alone (ETIMEDOUT).'
  return error instanceof Error ? error.message : String(error)
}
