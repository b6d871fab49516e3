import { copyFile, link, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Client, createClient } from '../../src/client.ts'
import { createCloser } from '../../src/closer.ts'
import { speak } from '../messages.ts'
import { createOwnEnvironment, ownServer } from '../own-server.ts'
import { memoryOf } from '../processes.ts'
import { openServer, type Server, usualSampling } from '../servers.ts'

const sampleMs = 250

/** A service of its own, whose models folder holds one model, and a client of its first account: an admin's. */
export type LearningService = Readonly<{
  client: Client
  /** The most memory of all its processes so far that is in no file, in bytes. 0 where Linux does not tell. */
  peakBytes(): number
  close(): Promise<void>
}>

export async function openService(modelFile: string, settings: Readonly<Record<string, string>> = {}): Promise<LearningService> {
  const closer = createCloser()
  try {
    const file = join(closer.use(await createModelsFolder()).path, basename(modelFile))
    await link(modelFile, file).catch(() => copyFile(modelFile, file))
    const own = closer.use(await createOwnEnvironment(file))
    const environment = { ...own.environment, ...settings }
    const { server } = await openServer(ownServer, { sampling: usualSampling, model: undefined, environment, say: speak('en') })
    closer.use(server)
    const memory = closer.use(watchMemory(server))
    const client = await logIn(server.url.origin)
    return { client, peakBytes: memory.peakBytes, close: () => closer.close() }
  } catch (error) {
    await closer.close()
    throw error
  }
}

async function createModelsFolder() {
  const path = await mkdtemp(join(tmpdir(), 'simpleia-learning-'))
  return { path, close: () => rm(path, { recursive: true, force: true }) }
}

async function logIn(baseUrl: string): Promise<Client> {
  const credentials = ['ana', 'a password of this measurement'] as const
  const anonymous = createClient({ baseUrl })
  await anonymous.register(...credentials)
  const { access_token: token } = await anonymous.login(...credentials)
  return createClient({ baseUrl, token })
}

function watchMemory(server: Server) {
  let peakBytes = 0
  const stopping = new AbortController()
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const { anonymousBytes } = await memoryOf(await server.processes())
      peakBytes = Math.max(peakBytes, anonymousBytes)
      await setTimeout(sampleMs, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  })()
  return {
    peakBytes: () => peakBytes,
    async close() {
      stopping.abort()
      await running
    },
  }
}
