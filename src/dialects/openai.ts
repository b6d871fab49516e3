import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { Embedders, Rerankers } from '../engine/embedder.ts'
import { toAppError } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream } from '../http/event-stream.ts'
import { setOriginHeaders } from '../http/origin-headers.ts'
import type { Asker, Completion, Predict, PredictRequest } from '../predict/predict.ts'
import type { Metered } from '../usage/metered.ts'
import { anthropicModels } from './anthropic-models.ts'
import { serveEmbeddings } from './openai-embeddings.ts'
import { openaiErrorBody, replyWithOpenaiErrors, toOpenaiErrorBody } from './openai-error.ts'
import { fromChatBody, fromCompletionBody } from './openai-request.ts'
import {
  type ChatAnswer,
  type ChatBody,
  type CompletionAnswer,
  type CompletionBody,
  chatAnswer,
  chatBody,
  completionAnswer,
  completionBody,
  modelAnswer,
  modelListAnswer,
} from './openai-schema.ts'
import { type ChunkFormat, chatChunks, completionChunks, toChunks, toFinishReason, toUsageBody } from './openai-stream.ts'
import { serveRerank } from './rerank.ts'

export type OpenaiRoutesOptions = Readonly<{
  predict: Predict
  askerOf: (request: FastifyRequest) => Asker
  /** Counts a request to the model. */
  limit: onRequestAsyncHookHandler
  /** Counts the work of embedding models and rerankers. */
  metered: Metered
  embedders: Embedders
  rerankers: Rerankers
  /** The names of the models that can be asked for. */
  listModels: () => Promise<readonly string[]>
  /** Milliseconds since 1970. */
  now: () => number
}>

const errors = { '4xx': openaiErrorBody, '5xx': openaiErrorBody }
const tags = ['openai']

/** OpenAI's API under /v1, for the caller scope: it maps to predict and back, and nothing else. */
export function openaiRoutes(options: OpenaiRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    await scope.register(
      async (http) => {
        replyWithOpenaiErrors(http)
        dropNulls(http)
        serveModels(http, options)
        serveChat(http, options)
        serveCompletions(http, options)
        serveEmbeddings(http, options.embedders, options.metered)
        serveRerank(http, options.rerankers, options.metered)
      },
      { prefix: '/v1' },
    )
  }
}

/** In OpenAI's API a null is the same as a field that is left out, and clients send both. */
function dropNulls(http: FastifyInstance): void {
  http.addHook('preValidation', async (request) => {
    if (!isObject(request.body)) return
    const body = withoutNulls(request.body)
    const { messages } = body
    request.body = Array.isArray(messages)
      ? { ...body, messages: messages.map((one: unknown) => (isObject(one) ? withoutNulls(one) : one)) }
      : body
  })
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const withoutNulls = (value: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null))

function serveModels(http: FastifyInstance, { predict, listModels, now }: OpenaiRoutesOptions): void {
  const created = toSeconds(now())
  const forAnthropic = anthropicModels({ listModels, now })
  const describe = (id: string) => ({ id, object: 'model' as const, created, owned_by: 'simpleia' })
  http.get(
    '/models',
    {
      schema: {
        summary: 'List the models that answer, and those that make vectors',
        tags,
        response: { 200: modelListAnswer, ...errors },
      },
      preHandler: forAnthropic.list,
    },
    async () => ({ object: 'list' as const, data: (await listModels()).map(describe) }),
  )
  // A wildcard, as the name of a model may hold a slash.
  http.get<{ Params: { '*': string } }>(
    '/models/*',
    { schema: { summary: 'Describe a model', tags, response: { 200: modelAnswer, ...errors } }, preHandler: forAnthropic.find },
    async (request) => {
      const name = request.params['*']
      if ((await listModels()).includes(name)) return describe(name)
      return describe((await predict.choose({ model: name, provider: undefined })).model)
    },
  )
}

function serveChat(http: FastifyInstance, options: OpenaiRoutesOptions): void {
  const schema = { summary: 'Answer a conversation', tags, body: chatBody, response: { 200: chatAnswer, ...errors } }
  http.post<{ Body: ChatBody }>('/chat/completions', { schema, onRequest: options.limit }, (request, reply) => {
    const question = fromChatBody(request.body)
    const endpoint = { prefix: 'chatcmpl-', object: 'chat.completion.chunk', chunks: chatChunks, toAnswer: toChatAnswer }
    return answer(options, endpoint, question, request, reply)
  })
}

function serveCompletions(http: FastifyInstance, options: OpenaiRoutesOptions): void {
  const schema = { summary: 'Continue a text', tags, body: completionBody, response: { 200: completionAnswer, ...errors } }
  http.post<{ Body: CompletionBody }>('/completions', { schema, onRequest: options.limit }, (request, reply) => {
    const endpoint = { prefix: 'cmpl-', object: 'text_completion', chunks: completionChunks, toAnswer: toCompletionAnswer }
    return answer(options, endpoint, fromCompletionBody(request.body), request, reply)
  })
}

type Head = Readonly<{ id: string; created: number; model: string }>
type Endpoint<Answer> = Readonly<{
  prefix: string
  object: string
  chunks: ChunkFormat
  toAnswer: (completion: Completion, head: Head) => Answer
}>
type AnyBody = Readonly<{ stream?: boolean; stream_options?: Readonly<{ include_usage?: boolean }> }>

async function answer<Answer>(
  { predict, askerOf, now }: OpenaiRoutesOptions,
  { prefix, object, chunks, toAnswer }: Endpoint<Answer>,
  question: PredictRequest,
  request: FastifyRequest<{ Body: AnyBody }>,
  reply: FastifyReply,
): Promise<Answer | FastifyReply> {
  const { stream = false, stream_options: streamOptions } = request.body
  const asker = askerOf(request)
  const gone = clientGone(reply)
  const created = toSeconds(now())
  if (!stream) {
    const completion = await predict.complete(question, asker, gone)
    setOriginHeaders(reply, completion)
    return toAnswer(completion, { id: `${prefix}${completion.id}`, created, model: completion.model })
  }
  const { id, target, events } = await predict.open(question, asker, gone)
  setOriginHeaders(reply, target)
  const head = { id: `${prefix}${id}`, object, created, model: target.model }
  await sendEventStream(reply, {
    frames: toChunks(events, head, chunks, streamOptions?.include_usage === true),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toOpenaiErrorBody(error))),
  })
  return reply
}

function toChatAnswer({ choices, usage }: Completion, head: Head): ChatAnswer {
  return {
    ...head,
    object: 'chat.completion',
    choices: choices.map(({ index, text, reason }) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: null,
      finish_reason: toFinishReason(reason),
    })),
    usage: toUsageBody(usage),
  }
}

function toCompletionAnswer({ choices, usage }: Completion, head: Head): CompletionAnswer {
  return {
    ...head,
    object: 'text_completion',
    choices: choices.map(({ index, text, reason }) => ({ index, text, logprobs: null, finish_reason: toFinishReason(reason) })),
    usage: toUsageBody(usage),
  }
}

const toSeconds = (milliseconds: number) => Math.floor(milliseconds / 1000)
