import { once } from 'node:events'
import type { FastifyReply } from 'fastify'
import type { AppError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** What the answer failed with, also when a stream had begun as a 200; for the log and the metrics. */
    failure: AppError | undefined
  }
}

/** Aborts when the caller leaves before the whole answer is out. */
export function clientGone({ raw }: Pick<FastifyReply, 'raw'>): AbortSignal {
  const gone = new AbortController()
  if (raw.destroyed) gone.abort()
  // A whole answer is followed by a close, too. To abort then would only cost: an error with its stack for each request.
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort()
  })
  return gone.signal
}

/**
 * One server-sent event. Each line of `data` becomes a `data:` line, so a reader gets it back with `\n` for any line break.
 * The space after the colon is always written: readers strip one, so a text's own leading space survives.
 */
export function formatEvent(data: string, event?: string): string {
  const head = event === undefined ? 'data: ' : `event: ${event}\ndata: `
  if (!data.includes('\n') && !data.includes('\r')) return `${head}${data}\n\n`
  return `${head}${data.split(/\r\n|\n|\r/).join('\ndata: ')}\n\n`
}

/**
 * Turns the pieces of one text into events whose data, joined, is the text with `\n` for each `\r\n`, `\r` or `\n`, also where
 * `\r\n` is cut in two. An empty string means that there is nothing to send.
 */
export function createTextFormatter(): (piece: string) => string {
  let afterCarriageReturn = false
  return (piece) => {
    const text = afterCarriageReturn && piece.startsWith('\n') ? piece.slice(1) : piece
    if (piece !== '') afterCarriageReturn = piece.endsWith('\r')
    return text === '' ? '' : formatEvent(text)
  }
}

/** A comment, which readers of event streams skip. */
const skippedComment = ': still at work\n\n'

/**
 * The same frames, with a beat where nothing has come for so long: clients and proxies give up on a connection that is silent
 * for minutes.
 */
export async function* withHeartbeats(
  frames: AsyncIterable<string>,
  wait: (signal: AbortSignal) => Promise<unknown>,
  heartbeat: () => string = () => skippedComment,
): AsyncGenerator<string> {
  const iterator = frames[Symbol.asyncIterator]()
  try {
    for (let next = iterator.next(); ; ) {
      const over = new AbortController()
      const silence = wait(over.signal).then(
        () => 'silence' as const,
        () => 'silence' as const,
      )
      const first = await Promise.race([next, silence]).finally(() => over.abort())
      if (first === 'silence') yield heartbeat()
      else if (first.done === true) return
      else {
        yield first.value
        next = iterator.next()
      }
    }
  } finally {
    await iterator.return?.()
  }
}

export type EventStreamOptions = Readonly<{
  /** Whole events, formatted. */
  frames: AsyncIterable<string>
  /** What the frames are. Default: server-sent events. */
  contentType?: 'text/event-stream' | 'application/x-ndjson'
  /** The caller's connection: see `clientGone`. */
  gone: AbortSignal
  /** What was thrown, as an error for the caller. */
  toAppError: (error: unknown) => AppError
  /** The last event of a stream that fails after it began. */
  formatFailure: (error: AppError) => string
}>

/**
 * Sends an answer as server-sent events, or as lines of JSON. What is thrown before the first frame is thrown here, to become an
 * ordinary HTTP error; afterwards the stream ends with the failure event. A caller who leaves ends the loop, which frees the model.
 */
export async function sendEventStream(reply: FastifyReply, options: EventStreamOptions): Promise<void> {
  const iterator = options.frames[Symbol.asyncIterator]()
  let next = await iterator.next()
  const { raw } = reply
  try {
    setStreamHeaders(reply, options.contentType ?? 'text/event-stream')
  } catch (error) {
    await iterator.return?.()
    throw error
  }
  reply.hijack()
  try {
    while (next.done !== true && !raw.destroyed) {
      if (!raw.write(next.value)) await drained(reply, options.gone)
      next = await iterator.next()
    }
  } catch (error) {
    reply.failure = options.toAppError(error)
    if (!raw.destroyed) raw.write(options.formatFailure(reply.failure))
  } finally {
    await iterator.return?.()
    raw.end()
  }
}

// A hijacked reply does not send what the hooks have set (security, CORS, rate limit): carry it over.
function setStreamHeaders(reply: FastifyReply, contentType: string): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value)
  const stricter = reply.getHeader('cache-control')
  reply.raw.setHeader('content-type', contentType)
  reply.raw.setHeader('cache-control', stricter === undefined ? 'no-cache' : `no-cache, ${String(stricter)}`)
  // Tells nginx not to collect the answer before it passes it on.
  reply.raw.setHeader('x-accel-buffering', 'no')
  reply.raw.writeHead(200)
}

/** Until there is room again, or nobody to write for. */
async function drained({ raw }: FastifyReply, gone: AbortSignal): Promise<void> {
  await once(raw, 'drain', { signal: gone }).catch(() => undefined)
}
