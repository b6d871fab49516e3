import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { Embedders } from '../engine/embedder.ts'
import { AppError } from '../errors.ts'
import { toAppError } from '../http/error-reply.ts'
import { clientGone, sendEventStream } from '../http/event-stream.ts'
import { formatLine, ndjson } from '../http/ndjson.ts'
import { setOriginHeaders } from '../http/origin-headers.ts'
import type { Asker, Predict, Target } from '../predict/predict.ts'
import type { Metered } from '../usage/metered.ts'
import { chatPiece, generatePiece, type Head, type PieceFormat, toLines, toWhole } from './ollama-answer.ts'
import { prepareOllamaScope } from './ollama-border.ts'
import { serveEmbeddings } from './ollama-embed.ts'
import { ollamaErrors, replyToUnknownAddresses, toOllamaErrorBody } from './ollama-error.ts'
import { type OllamaModels, serveModels } from './ollama-models.ts'
import { fromChatBody, fromGenerateBody, type Question } from './ollama-request.ts'
import { type ChatBody, chatAnswer, chatBody, type GenerateBody, generateAnswer, generateBody } from './ollama-schema.ts'

export type OllamaRoutesOptions = OllamaModels &
  Readonly<{
    predict: Predict
    askerOf: (request: FastifyRequest) => Asker
    /** Counts a request to the model. */
    limit: onRequestAsyncHookHandler
    embedders: Embedders
    /** Counts the work of embedding models, and what loads a model. */
    metered: Metered
    /** Whether the caller may take models out of memory. */
    isAdmin: (request: FastifyRequest) => boolean
  }>

const tags = ['ollama']

/** Ollama's API under /api, for the caller scope: it maps to predict and back. What changes the installed models is in ollama-admin.ts. */
export function ollamaRoutes(options: OllamaRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    await scope.register(
      async (http) => {
        prepareOllamaScope(http)
        replyToUnknownAddresses(http)
        serveChat(http, options)
        serveGenerate(http, options)
        serveEmbeddings(http, options)
        serveModels(http, options)
      },
      { prefix: '/api' },
    )
  }
}

const streams =
  'The answer is application/x-ndjson, one JSON object a line, the last one with done:true; with stream:false one JSON object.'

function serveChat(http: FastifyInstance, options: OllamaRoutesOptions): void {
  const response = { 200: chatAnswer, ...ollamaErrors }
  const schema = { summary: 'Answer a conversation', description: streams, tags, body: chatBody, response }
  http.post<{ Body: ChatBody }>('/chat', { schema, onRequest: options.limit }, (request, reply) =>
    answer(options, fromChatBody(request.body), chatPiece, request, reply),
  )
}

function serveGenerate(http: FastifyInstance, options: OllamaRoutesOptions): void {
  const response = { 200: generateAnswer, ...ollamaErrors }
  const schema = { summary: 'Answer a prompt', description: streams, tags, body: generateBody, response }
  http.post<{ Body: GenerateBody }>('/generate', { schema, onRequest: options.limit }, (request, reply) =>
    answer(options, fromGenerateBody(request.body), generatePiece, request, reply),
  )
}

type AnyRequest = FastifyRequest<{ Body: ChatBody | GenerateBody }>

async function answer<Written extends object>(
  options: OllamaRoutesOptions,
  question: Question,
  format: PieceFormat<Written>,
  request: AnyRequest,
  reply: FastifyReply,
): Promise<object> {
  const { predict, askerOf, host, isAdmin } = options
  if (question.request === undefined) return moveModel(options, question, format, request, reply)
  const gone = clientGone(reply)
  const leave = ({ model, provider }: Target) => {
    // Nobody waits for it, as it waits for all who use the model. Who closes the host ends it.
    if (question.leaves && provider === host.name && isAdmin(request))
      host.unload(model).catch((error: unknown) => request.log.warn({ err: error }, 'A model did not leave memory'))
  }
  if (request.body.stream === false) {
    const completion = await predict.complete(question.request, askerOf(request), gone)
    leave(completion)
    setOriginHeaders(reply, completion)
    return { ...toWhole(completion, headOf(options, request, completion), format), prediction_id: completion.id }
  }
  await using opened = await predict.open(question.request, askerOf(request), gone)
  const { id, target, events } = opened
  setOriginHeaders(reply, { id, ...target })
  await sendEventStream(reply, {
    frames: toLines(events, { id, head: () => headOf(options, request, target) }, format),
    contentType: ndjson,
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatLine(toOllamaErrorBody(error)),
  })
  leave(target)
  return reply
}

/** Without a question, the model comes into memory or leaves it. */
async function moveModel<Written extends object>(
  options: OllamaRoutesOptions,
  { model, leaves }: Question,
  format: PieceFormat<Written>,
  request: AnyRequest,
  reply: FastifyReply,
): Promise<object> {
  const { predict, host, metered, isAdmin } = options
  if (leaves && !isAdmin(request)) throw new AppError('forbidden', 'Only an admin may take a model out of memory.')
  const target = await predict.choose({ model, provider: undefined })
  if (target.provider === host.name && leaves) await host.unload(target.model)
  // Loading takes more than many an answer.
  if (target.provider === host.name && !leaves)
    await metered(request, target.model, async () => {
      await host.load(target.model, clientGone(reply))
      return { tokens: [] }
    })
  return {
    ...headOf(options, request, target),
    ...format({ text: '' }),
    done: true,
    done_reason: leaves ? 'unload' : 'load',
  }
}

function headOf({ now }: OllamaRoutesOptions, request: AnyRequest, { ranOn, model, provider }: Target): Head {
  const remote = ranOn === 'cloud' ? { remote_model: model, remote_host: provider } : {}
  return { model: request.body.model, created_at: new Date(now()).toISOString(), ...remote }
}
