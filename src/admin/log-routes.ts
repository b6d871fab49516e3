import { setTimeout } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { LogLines } from './log-lines.ts'
import { type LogsQuery, logsAnswer, logsQuery } from './schema.ts'

export type LogRoutesOptions = Readonly<{
  lines: LogLines
  /** Asks again, for an answer that does not end: false after a logout, for example. */
  isStillValid: (request: FastifyRequest) => Promise<boolean>
  /** Resolves after as long as a stream may be silent, and before who reads it is looked at again; rejects when `signal` says so. */
  silence?: (signal: AbortSignal) => Promise<unknown>
}>

type LogsRequest = FastifyRequest<{ Querystring: LogsQuery }>

const usualSilence = (signal: AbortSignal) => setTimeout(15_000, undefined, { signal })

/** GET /admin/logs. */
export function serveLogs(http: FastifyInstance, options: LogRoutesOptions): void {
  const { lines } = options
  // Before the server waits for its last answers: those that follow the log end with it.
  http.addHook('preClose', lines.close)
  const schema = {
    summary: 'The last lines of the log; with stream=true also those that come, as events `line`',
    description:
      'They are kept in memory since the service started. Who follows and reads too slowly is told, by a line of its own, how many ' +
      'were left out.',
    tags: ['admin'],
    querystring: logsQuery,
    response: { 200: logsAnswer, '4xx': errorBody, '5xx': errorBody },
  }
  http.get<{ Querystring: LogsQuery }>('/admin/logs', { schema }, async (request, reply) => {
    return request.query.stream === true ? stream(options, request, reply) : { lines: lines.list(request.query) }
  })
}

async function stream(
  { lines, isStillValid, silence = usualSilence }: LogRoutesOptions,
  request: LogsRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const gone = clientGone(reply)
  const over = new AbortController()
  async function* frames(): AsyncGenerator<string> {
    // At once: where nothing has been logged yet, the reader is to know that it is connected.
    yield ': connected\n\n'
    const followed = lines.follow(request.query, AbortSignal.any([gone, over.signal]))
    for await (const line of followed) yield formatEvent(JSON.stringify(line), 'line')
  }
  const looking = endWhenInvalid(() => isStillValid(request), { silence, over })
  try {
    await sendEventStream(reply, {
      frames: withHeartbeats(frames(), silence),
      gone,
      toAppError: (error) => toAppError(error, request.log),
      formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
    })
  } finally {
    over.abort()
    await looking
  }
  return reply
}

type Ending = Readonly<{ silence: NonNullable<LogRoutesOptions['silence']>; over: AbortController }>

/** Looks every now and then, whatever is sent meanwhile. */
async function endWhenInvalid(isValid: () => Promise<boolean>, { silence, over }: Ending): Promise<void> {
  while (!over.signal.aborted) {
    await silence(over.signal).catch(() => undefined)
    if (!over.signal.aborted && !(await isValid().catch(() => false))) over.abort()
  }
}
