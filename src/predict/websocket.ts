import type { FastifyBaseLogger, FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Static, TSchema } from 'typebox'
import { isJsonObject } from '../engine/json-object.ts'
import type { FinishReason, GenerateEvent } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { describeProblems } from '../http/describe-problem.ts'
import { messageFor, toAppError } from '../http/error-reply.ts'
import { refuseDeepJson } from '../http/json-depth.ts'
import { type Connection, closeCodes, type SocketHandlers, type Sockets } from '../http/websocket.ts'
import type { Asker, Predict, PredictRequest, Target } from './predict.ts'
import { type SocketRequest, type SocketStop, socketRequest, socketStop, toOrigin, toTimingsBody, toUsageBody } from './schema.ts'
import { toPredictRequest } from './to-request.ts'

export type PredictSocketOptions = Readonly<{
  predict: Predict
  sockets: Sockets
  askerOf: (request: FastifyRequest) => Asker
  /** Counts one generation; throws `rate_limited`. */
  countGeneration: (request: FastifyRequest) => Promise<void>
}>

const maxRunningPerSocket = 16

/**
 * GET /predict/ws, for the caller scope. A client sends what it would POST to /predict, with a `request_id` where it has several
 * under way, and `{"type":"stop","request_id"?}` (without a name: all). Each request is answered by `token` messages, then one
 * `done` (`finish_reason` is `stopped`, without usage, after a stop) or one `error`.
 */
export function predictSocketRoutes(options: PredictSocketOptions): FastifyPluginAsync {
  return async (http) => {
    http.route({
      method: 'GET',
      url: '/predict/ws',
      schema: { summary: 'Continue prompts over a WebSocket', tags: ['predict'] },
      onRequest: async (request, reply) => {
        if (request.ws) await options.sockets.admit(request, reply)
      },
      handler: async () => {
        throw new AppError('invalid', 'This is a WebSocket: connect with ws:// and the header "Upgrade: websocket".')
      },
      wsHandler: (socket, request) => {
        options.sockets.serve(socket, request, (connection) => servePredictions(connection, request, options))
      },
    })
  }
}

type AnswerParts = Readonly<{
  predict: Predict
  question: PredictRequest
  asker: Asker
  stop: AbortSignal
  log: FastifyBaseLogger
}>

type Message = Readonly<{ type: 'stop'; stop: SocketStop }> | Readonly<{ type: 'predict'; request: SocketRequest }>

function servePredictions(connection: Connection, request: FastifyRequest, options: PredictSocketOptions): SocketHandlers {
  const running = new Map<string, AbortController>()
  let isClosed = false

  async function start(message: SocketRequest): Promise<void> {
    const name = message.request_id ?? ''
    if (running.has(name)) throw new AppError('conflict', 'A request with this request_id is still running.')
    if (running.size >= maxRunningPerSocket) {
      throw new AppError('busy', `One socket may have ${maxRunningPerSocket} requests under way.`, { retryAfterSeconds: 1 })
    }
    const question = toPredictRequest(withoutEnvelope(message))
    await options.countGeneration(request)
    // It may have closed while the caller was checked: nobody would ever stop what begins now.
    if (isClosed) return
    const stop = new AbortController()
    running.set(name, stop)
    connection.work(1)
    const parts = { predict: options.predict, question, asker: options.askerOf(request), stop: stop.signal, log: request.log }
    // Not awaited: the socket goes on reading. It never rejects, and ends when the socket closes.
    void answer(connection, parts, message).finally(() => {
      running.delete(name)
      connection.work(-1)
    })
  }

  return {
    async message(text) {
      let name: string | undefined
      try {
        const content = parseJson(text)
        name = requestIdIn(content)
        refuseDeepJson(content)
        const message = toMessage(content, request)
        if (message.type === 'predict') await start(message.request)
        else for (const stop of stopsFor(message.stop, running)) stop.abort()
      } catch (error) {
        await connection.sendError(toAppError(error, request.log), named(name))
      }
    },
    closed() {
      isClosed = true
      for (const stop of running.values()) stop.abort()
    },
  }
}

function stopsFor({ request_id: name }: SocketStop, running: ReadonlyMap<string, AbortController>): readonly AbortController[] {
  if (name === undefined) return [...running.values()]
  const one = running.get(name)
  return one === undefined ? [] : [one]
}

/** Sends one whole answer, or the error that it ended with. Never rejects. */
async function answer(connection: Connection, parts: AnswerParts, message: SocketRequest): Promise<void> {
  const { predict, question, asker, stop, log } = parts
  const name = named(message.request_id)
  let begun = false
  let id = ''
  try {
    await using opened = await predict.open(question, asker, stop)
    id = opened.id
    const reasons: FinishReason[] = []
    for await (const event of opened.events) {
      begun = true
      if (event.type === 'text-delta') await connection.send({ type: 'token', ...name, index: event.index, text: event.text })
      else if (event.type === 'choice-end') reasons[event.index] = event.reason
      else if (event.type === 'generation-end')
        await connection.send({ type: 'done', ...name, id, ...toDone(event, opened.target, reasons) })
    }
  } catch (error) {
    if (stop.aborted) return connection.send({ type: 'done', ...name, id, finish_reason: 'stopped' })
    await connection.sendError(toAppError(error, log), name)
    // Half an answer went out and the rest cannot come: the socket says so too, once its other requests have ended.
    if (begun) connection.closeWhenIdle(closeCodes.failure, 'An answer failed on its way.')
  }
}

type GenerationEnd = Extract<GenerateEvent, { type: 'generation-end' }>

function toDone({ usage, timings }: GenerationEnd, target: Target, reasons: readonly FinishReason[]) {
  return {
    model: target.model,
    provider: target.provider,
    finish_reason: reasons[0],
    choices: reasons.map((reason, index) => ({ index, finish_reason: reason })),
    usage: toUsageBody(usage),
    timings: toTimingsBody(timings),
    ...toOrigin(target),
  }
}

function toMessage(content: unknown, request: FastifyRequest): Message {
  if (isJsonObject(content) && content.type === 'stop') return { type: 'stop', stop: checked(socketStop, content, request) }
  return { type: 'predict', request: checked(socketRequest, content, request) }
}

/** The content, if the schema allows it, by the same validator as bodies. Throws `invalid`. */
function checked<S extends TSchema>(schema: S, content: unknown, request: FastifyRequest): Static<S> {
  const validate = request.compileValidationSchema(schema, 'body')
  const isValid = (value: unknown): value is Static<S> => validate(value) === true
  if (isValid(content)) return content
  const details = describeProblems(validate.errors ?? [])
  throw new AppError('invalid', messageFor(details), { details })
}

function requestIdIn(content: unknown): string | undefined {
  return isJsonObject(content) && typeof content.request_id === 'string' ? content.request_id.slice(0, 64) : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AppError('invalid', 'The message is not valid JSON.', { cause })
  }
}

function withoutEnvelope({ type: _type, request_id: _name, stream: _stream, ...body }: SocketRequest) {
  return body
}

function named(name: string | undefined) {
  return name === undefined ? {} : { request_id: name }
}
