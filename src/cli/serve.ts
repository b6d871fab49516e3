import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import { addressOf, type Context, configOf, describeFailure, writeLine } from './context.ts'
import { prepareModel } from './prepare.ts'
import { waitForStop } from './stop-signals.ts'

/** `all`: sets up what is missing, then runs until it is stopped. */
export async function runAll(context: Context): Promise<number> {
  const config = configOf(context, { serves: true })
  const stop = waitForStop(context)
  await prepareModel(context, config, stop.signal)
  return serve(context, config, [startApi, startWebClient], stop)
}

/** `api`: the API alone, with the models that are there. */
export async function runApi(context: Context): Promise<number> {
  return serve(context, configOf(context, { serves: true }), [startApi], waitForStop(context))
}

/** `client`: the web client alone. */
export async function runClient(context: Context): Promise<number> {
  const config = configOf(context, { serves: false })
  const { hasWebClient } = await import('./web-client.ts')
  if (!(await hasWebClient())) {
    writeLine(context.terminal.notes, context.say('noWebClient', { url: addressOf(config.host, config.port) }))
    return 1
  }
  return serve(context, config, [startWebClient], waitForStop(context))
}

type Closable = Readonly<{ close(): Promise<void> }>
type Start = (context: Context, config: Config) => Promise<Closable | undefined>

/** Starts the parts in order, waits for the stop, closes them in reverse order. */
async function serve(
  context: Context,
  config: Config,
  starts: readonly Start[],
  stop: ReturnType<typeof waitForStop>,
): Promise<number> {
  const parts: Closable[] = []
  try {
    for (const start of starts) {
      const part = await start(context, config)
      if (part !== undefined) parts.push(part)
    }
    if (context.terminal.input.isTTY) writeLine(context.terminal.notes, context.say('howToStop'))
    await stop.requested
  } finally {
    for (const part of parts.reverse()) await part.close()
  }
  return 0
}

async function startApi(context: Context, config: Config): Promise<Closable> {
  const { openService } = await import('../service.ts')
  const { language, say, terminal, version } = context
  const service = await openService(config, { version }).catch((error: unknown) => {
    throw error instanceof AppError ? new AppError(error.code, describeFailure(error, language, say), { cause: error }) : error
  })
  const port = await listen(service, { host: config.host, port: config.port, env: 'PORT', say })
  writeLine(terminal.notes, say('apiAt', { url: addressOf(config.host, port) }))
  return service
}

async function startWebClient(context: Context, { host, clientPort: port }: Config): Promise<Closable | undefined> {
  const { hasWebClient, createWebClient } = await import('./web-client.ts')
  if (!(await hasWebClient())) return undefined
  const client = await createWebClient()
  const { say, terminal } = context
  const used = await listen(client, { host, port, env: 'CLIENT_PORT', say })
  writeLine(terminal.notes, say('clientAt', { url: addressOf(host, used) }))
  return client
}

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
