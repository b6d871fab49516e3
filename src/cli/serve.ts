import { createCloser } from '../closer.ts'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import { checkFolders } from './check-folders.ts'
import { addressOf, type Context, configOf, describeFailure, environmentOf, writeLine } from './context.ts'
import { prepareEmbeddingModel, prepareModel, preparePages } from './prepare.ts'
import { waitForStop } from './stop-signals.ts'

/** `all`: sets up what is missing, then runs until it is stopped. */
export async function runAll(context: Context): Promise<number> {
  const config = configOf(context, { serves: true })
  checkFolders(config)
  const stop = waitForStop(context)
  await prepareModel(context, config, stop.signal)
  await prepareEmbeddingModel(context, config, stop.signal)
  await preparePages(context)
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
  await preparePages(context)
  return serve(context, waitForStop(context), async (use) => void use(await startApi(context, config)))
}

/** `client`: the web client alone, for the API of the same settings. */
export async function runClient(context: Context): Promise<number> {
  const config = configOf(context, { serves: false })
  const url = addressOf(config.host, config.port)
  return serve(context, waitForStop(context), async (use) => void use(await startWebClient(context, config, url)))
}

type Closable = Readonly<{ close(): Promise<void> }>
type Use = <T extends Closable>(part: T) => T

/** Starts the parts, waits for the stop, closes them in reverse order. */
async function serve(
  context: Context,
  stop: ReturnType<typeof waitForStop>,
  start: (use: Use) => Promise<void>,
): Promise<number> {
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
  const { language, say, terminal, version } = context
  const service = await openService(config, { version, environment: environmentOf(context) }).catch((error: unknown) => {
    throw error instanceof AppError ? new AppError(error.code, describeFailure(error, language, say), { cause: error }) : error
  })
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

type Listener = Closable & Readonly<{ http: { listen(options: { host: string; port: number }): Promise<string> } }>
type Place = Readonly<{ host: string; port: number; env: 'PORT' | 'CLIENT_PORT'; say: Context['say'] }>

/** Gives the port, which was free to choose when 0 was asked for. Closes the part when it can't listen. */
async function listen(part: Listener, { host, port, env, say }: Place): Promise<number> {
  try {
    // An URL leaves out the port that its scheme has anyway.
    return Number(new URL(await part.http.listen({ host, port })).port || 80)
  } catch (cause) {
    await part.close()
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const values = { port, env, flag: `--${env.toLowerCase().replace('_', '-')}`, other: port < 1024 ? port + 8000 : port + 10 }
    if (code === 'EADDRINUSE') throw new AppError('conflict', say('portInUse', values), { cause })
    if (code === 'EACCES') throw new AppError('forbidden', say('portForbidden', values), { cause })
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new AppError('invalid', say('addressUnknown', { host }), { cause })
    throw cause
  }
}
