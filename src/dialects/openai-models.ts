import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { toAppError } from '../http/error-reply.ts'
import type { Predict } from '../predict/predict.ts'
import { sendAnthropicError } from './anthropic-error.ts'
import { anthropicModels, isForAnthropic } from './anthropic-models.ts'
import { openaiErrors, sendOpenaiError } from './openai-error.ts'

const modelAnswer = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer({ description: 'Seconds since 1970.' }),
  owned_by: Type.String(),
})
const modelListAnswer = Type.Object({ object: Type.Literal('list'), data: Type.Array(modelAnswer) })
const tags = ['openai']

type ModelsOptions = Readonly<{
  predict: Pick<Predict, 'choose'>
  /** The names of the models that can be asked for. */
  listModels: () => Promise<readonly string[]>
  /** Milliseconds since 1970. */
  now: () => number
}>

/** GET /v1/models and /v1/models/{id}. */
export function serveModels(http: FastifyInstance, { predict, listModels, now }: ModelsOptions): void {
  const created = Math.floor(now() / 1000)
  const anthropic = anthropicModels({ listModels, now })
  const describe = (id: string) => ({ id, object: 'model' as const, created, owned_by: 'simpleia' })
  const list = {
    summary: 'List the models that answer, and those that make vectors',
    tags,
    response: { 200: modelListAnswer, ...openaiErrors },
  }
  http.get('/models', { schema: list, errorHandler }, async (request, reply) => {
    if (isForAnthropic(request)) return anthropic.list(request, reply)
    return { object: 'list' as const, data: (await listModels()).map(describe) }
  })
  const find = { summary: 'Describe a model', tags, response: { 200: modelAnswer, ...openaiErrors } }
  // A wildcard, as the name of a model may hold a slash.
  http.get<{ Params: { '*': string } }>('/models/*', { schema: find, errorHandler }, async (request, reply) => {
    // It is known by the name that was asked for, whatever else it is called.
    const name = request.params['*']
    if (!(await listModels()).includes(name)) await predict.choose({ model: name, provider: undefined })
    return isForAnthropic(request) ? anthropic.describe(name, reply) : describe(name)
  })
}

/** Two dialects share these addresses, and who asks in one is refused in it. */
function errorHandler(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = toAppError(error, request.log)
  return isForAnthropic(request) ? sendAnthropicError(reply, failure) : sendOpenaiError(reply, failure)
}
