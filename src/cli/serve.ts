import { createCloser } from '../closer.ts'
import type { Config } from '../config.ts'
import { checkFolders } from './check-folders.ts'
import { addressOf, type Context, configOf, environmentOf, writeLine } from './context.ts'
import { inLanguage } from './in-language.ts'
import { listen } from './listen.ts'
import { prepareEmbeddingModel, prepareModel, preparePages } from './prepare.ts'
import { waitForStop } from './stop-signals.ts'

/** `all`: sets up what is missing, then runs until it is stopped. */
export async function runAll(context: Context): Promise<number> {
  const config = configOf(context, { serves: true })
  checkFolders(config)
  const stop = waitForStop(context)
  await prepareModel(context, config, stop.signal)
  await prepareEmbeddingModel(context, config, stop.signal)
  return serve(context, stop, async (use) => {
    const api = use(await startApi(context, config))
    const client = use(await startWebClient(context, config, api.url))
    // Both at once: answers that pass through the client come to an end when the API lets them.
    use({ close: () => Promise.all([client.close(), api.close()]).then(() => {}) })
  })
}

/** `setup`: gets and builds what `all` would, and ends: `api` may then run as a user who can write nothing of the program. */
export async function runSetup(context: Context): Promise<number> {
  const config = configOf(context, { serves: false })
  const { signal } = waitForStop(context)
  await prepareModel(context, config, signal)
  await prepareEmbeddingModel(context, config, signal)
  await preparePages(context)
  return 0
}

/** `api`: the API alone, with the models that are there. */
export async function runApi(context: Context): Promise<number> {
  const config = configOf(context, { serves: true })
  checkFolders(config)
  return serve(context, waitForStop(context), async (use) => void use(await startApi(context, config)))
}

/** `client`: the web client alone, for the API of the same settings. */
export async function runClient(context: Context, stop: Stop = waitForStop(context)): Promise<number> {
  const config = configOf(context, { serves: false })
  const url = addressOf(config.host, config.port)
  return serve(context, stop, async (use) => void use(await startWebClient(context, config, url)))
}

type Stop = Pick<ReturnType<typeof waitForStop>, 'requested' | 'leave'>
type Closable = Readonly<{ close(): Promise<void> }>
type Use = <T extends Closable>(part: T) => T

/** Starts the parts, waits for the stop, closes them in reverse order. */
async function serve(context: Context, stop: Stop, start: (use: Use) => Promise<void>): Promise<number> {
  const closer = createCloser()
  try {
    await start((part) => closer.use(part))
    if (context.terminal.input.isTTY) writeLine(context.terminal.notes, context.say('howToStop'))
    await stop.requested
  } finally {
    await closer.close()
  }
  stop.leave()
  return 0
}

async function startApi(context: Context, config: Config): Promise<Closable & { url: string }> {
  const { openService } = await import('../service.ts')
  const { say, terminal, version } = context
  const parts = { version, environment: environmentOf(context), prepare: () => preparePages(context) }
  const service = await inLanguage(context, () => openService(config, parts))
  const port = await listen(service, { host: config.host, port: config.port, env: 'PORT', say })
  const url = addressOf(config.host, port)
  writeLine(terminal.notes, say('apiAt', { url }))
  return { url, close: () => service.close() }
}

async function startWebClient(context: Context, config: Config, apiUrl: string): Promise<Closable> {
  const { createWebClient } = await import('./web-client.ts')
  const { say, terminal } = context
  const { host, clientPort, shutdownGraceSeconds } = config
  const client = createWebClient({ apiUrl, unreachable: say('noService', { url: apiUrl }) })
  const port = await listen(client, { host, port: clientPort, env: 'CLIENT_PORT', say })
  writeLine(terminal.notes, say('clientAt', { url: addressOf(host, port) }))
  // The API ends what runs when the grace time is over; the rest is for that end to get through.
  const graceMs = shutdownGraceSeconds * 1000 + flushMs
  return { close: () => client.close({ graceMs }) }
}

const flushMs = 2000
