import { createSecretKey } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { openRedis } from '../../src/redis/connection.ts'
import { createNames } from '../../src/redis/names.ts'

export type Logged = Readonly<{ level: 'warn' | 'info'; text: string; error: unknown }>

/** Keeps what the connection logs. */
export function keepLog() {
  const lines: Logged[] = []
  const line = (level: Logged['level'], given: unknown, text?: string) => {
    const error = typeof given === 'object' && given !== null && 'err' in given ? given.err : undefined
    lines.push({ level, text: text ?? String(given), error })
  }
  const warn = (given: unknown, text?: string) => line('warn', given, text)
  const info = (given: unknown, text?: string) => line('info', given, text)
  return { lines, log: { warn, info } }
}

/** What one replica has of Redis, until the test ends. Replicas of one installation have the same secret. */
export async function openReplica(url: string, secret = 'of one installation') {
  const { lines, log } = keepLog()
  const now = () => performance.now()
  const redis = await openRedis({ url, log, now })
  onTestFinished(() => redis.close())
  const names = createNames(createSecretKey(Buffer.from(secret)))
  return { redis, names, now, lines }
}
