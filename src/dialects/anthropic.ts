import { setTimeout } from 'node:timers/promises'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { toAppError } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import { setOriginHeaders } from '../http/origin-headers.ts'
import type { Asker, OpenAnswer, Predict, PredictRequest } from '../predict/predict.ts'
import { toMessageAnswer } from './anthropic-answer.ts'
import { anthropicErrorBody, replyWithAnthropicErrors, toAnthropicErrorBody } from './anthropic-error.ts'
import { readAnthropicBodies } from './anthropic-read.ts'
import { fromCountTokensBody, fromMessagesBody } from './anthropic-request.ts'
import {
  type CountTokensBody,
  countTokensAnswer,
  countTokensBody,
  type MessagesBody,
  messageAnswer,
  messagesBody,
} from './anthropic-schema.ts'
import { ping, toMessageEvents } from './anthropic-stream.ts'

export type AnthropicRoutesOptions = Readonly<{
  predict: Predict
  askerOf: (request: FastifyRequest) => Asker
  /** Counts a request to the model. */
  limit: onRequestAsyncHookHandler
  /** Resolves when a stream has been silent for so long that its reader wants a sign of life. */
  waitInSilence?: (signal: AbortSignal) => Promise<unknown>
}>

const silenceMs = 15_000
const errors = { '4xx': anthropicErrorBody, '5xx': anthropicErrorBody }
const tags = ['anthropic']

/** Anthropic's API under /v1/messages, for the caller scope: it maps to predict and back, and nothing else. */
export function anthropicRoutes(options: AnthropicRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    await scope.register(
      async (http) => {
        replyWithAnthropicErrors(http)
        readAnthropicBodies(http)
        serveMessages(http, options)
        serveCountTokens(http, options)
      },
      { prefix: '/v1/messages' },
    )
  }
}

function serveMessages(http: FastifyInstance, options: AnthropicRoutesOptions): void {
  const schema = { summary: 'Answer a conversation', tags, body: messagesBody, response: { 200: messageAnswer, ...errors } }
  http.post<{ Body: MessagesBody }>('', { schema, onRequest: options.limit }, async (request, reply) => {
    const question = fromMessagesBody(request.body)
    const showsThinking = request.body.thinking?.display !== 'omitted'
    if (request.body.stream === true) return stream(options, { question, showsThinking }, request, reply)
    const completion = await options.predict.complete(question, options.askerOf(request), clientGone(reply))
    setOriginHeaders(reply, completion)
    return toMessageAnswer(completion, showsThinking)
  })
}

function serveCountTokens(http: FastifyInstance, { predict, askerOf, limit }: AnthropicRoutesOptions): void {
  const response = { 200: countTokensAnswer, ...errors }
  const schema = { summary: 'Count the tokens of a conversation', tags, body: countTokensBody, response }
  http.post<{ Body: CountTokensBody }>('/count_tokens', { schema, onRequest: limit }, async (request, reply) => {
    const { tokens } = await predict.countTokens(fromCountTokensBody(request.body), askerOf(request), clientGone(reply))
    return { input_tokens: tokens }
  })
}

type Question = Readonly<{ question: PredictRequest; showsThinking: boolean }>
/** `tellOrigin` is called before anything is sent, unless a ping had to be. */
type Asked = Question & Readonly<{ asker: Asker; tellOrigin: (opened: Pick<OpenAnswer, 'id' | 'target'>) => void }>

async function stream(
  options: AnthropicRoutesOptions,
  question: Question,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { waitInSilence = (signal) => setTimeout(silenceMs, undefined, { signal }) } = options
  const gone = clientGone(reply)
  const tellOrigin: Asked['tellOrigin'] = ({ id, target }) => setOriginHeaders(reply, { id, ...target })
  const asked = { ...question, asker: options.askerOf(request), tellOrigin }
  await sendEventStream(reply, {
    frames: withHeartbeats(answer(options.predict, asked, gone), waitInSilence, () => ping),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toAnthropicErrorBody(error, request.id)), 'error'),
  })
  return reply
}

async function* answer(predict: Predict, asked: Asked, signal: AbortSignal): AsyncGenerator<string> {
  const { question, showsThinking, asker, tellOrigin } = asked
  const counting = countLocally(predict, question, asker, signal)
  await using opened = await predict.open(question, asker, signal)
  const { id, target, events } = opened
  tellOrigin(opened)
  yield* toMessageEvents(events, { id, model: target.model, inputTokens: await counting, showsThinking })
}

/** Readers show how full the context is from the first event. Where counting would be a call to a cloud, they learn it at the end. */
async function countLocally(predict: Predict, question: PredictRequest, asker: Asker, signal: AbortSignal): Promise<number> {
  try {
    const { ranOn } = await predict.choose(question)
    return ranOn === 'local' ? (await predict.countTokens(question, asker, signal)).tokens : 0
  } catch {
    // The answer itself fails for the same reason, or goes on without.
    return 0
  }
}
