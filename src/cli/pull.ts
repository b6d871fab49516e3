import { type Client, createClient, type PullMessage } from '../client.ts'
import { AppError, unreachable } from '../errors.ts'
import { runConversion } from '../models/convert/convert-process.ts'
import { convertPulled } from '../models/convert-pulled.ts'
import type { PullEvent } from '../models/download-events.ts'
import { createPull } from '../models/pull.ts'
import { baseUrlOf, type Context, configOf, inWords, writeLine } from './context.ts'
import { findToken } from './credentials.ts'
import { inLanguage } from './in-language.ts'
import { pullOptions } from './prepare.ts'
import { showSetup } from './show-setup.ts'
import { waitForStop } from './stop-signals.ts'
import { withEgress } from './with-egress.ts'

const stoppedCode = 130

/** `models pull NAME`: by the service where one runs and the person may, so that it knows of it; else by this program itself. */
export async function pullModel(
  context: Context,
  { signal }: Pick<ReturnType<typeof waitForStop>, 'signal'> = waitForStop(context),
): Promise<number> {
  const { words, say, terminal } = context
  const [name = ''] = words
  const show = showSetup(context)
  const client = await findService(context)
  try {
    if (client === undefined) await inLanguage(context, () => pullAlone(context, name, show, signal))
    else await pullThrough(client, name, show, signal)
    return 0
  } catch (error) {
    if (signal.aborted) {
      writeLine(terminal.notes, say('pullStopped', { name }))
      return stoppedCode
    }
    throw client !== undefined && error instanceof AppError ? await inWords(error, client, context) : error
  }
}

async function pullAlone(context: Context, name: string, show: (event: PullEvent) => void, signal: AbortSignal): Promise<void> {
  const config = configOf(context, { serves: false })
  await withEgress(context, config, async (egress) => {
    const options = pullOptions(egress, config)
    const conversion = { ...options, convert: runConversion }
    for await (const event of createPull(options)(name, signal)) {
      show(event)
      if (event.type === 'checkpoint-ready') for await (const next of convertPulled(conversion, event, signal)) show(next)
    }
  })
}

/** A service that lets this person change its models. */
async function findService(context: Context): Promise<Client | undefined> {
  const baseUrl = baseUrlOf(context)
  const client = createClient({ baseUrl, token: await findToken(context, baseUrl), fetch: context.fetch })
  const user = await client.me().catch(() => undefined)
  return user?.role === 'admin' ? client : undefined
}

async function pullThrough(client: Client, name: string, show: (event: PullEvent) => void, signal: AbortSignal): Promise<void> {
  let id: string | undefined
  try {
    for await (const message of client.pull(name, signal)) {
      if (message.type !== 'done') id = message.id
      show(toEvent(message))
    }
  } finally {
    // The service would go on without anybody who watches. A pull that has ended meanwhile needs no stop.
    if (signal.aborted && id !== undefined) await client.cancelPull(id).catch(() => undefined)
  }
}

function toEvent(message: PullMessage): PullEvent {
  switch (message.type) {
    case 'download-start':
      return { type: message.type, file: message.file, totalBytes: message.total_bytes, from: 'hub' }
    case 'download-progress':
      return {
        type: message.type,
        receivedBytes: message.received_bytes,
        totalBytes: message.total_bytes,
        bytesPerSecond: message.bytes_per_second,
        secondsLeft: message.seconds_left ?? Number.POSITIVE_INFINITY,
      }
    case 'done':
      return { type: 'model-ready', file: message.name, name: message.name }
    case 'checkpoint-ready':
      return { type: message.type, repository: message.repository, folder: message.repository }
    case 'convert-progress':
    case 'download-retry':
    case 'download-wait':
    case 'file-check':
      return message
    default:
      return unreachable(message)
  }
}
