import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import type { Predict } from '../predict/predict.ts'
import { anthropicModels } from './anthropic-models.ts'
import { openaiErrors } from './openai-error.ts'

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
  const forAnthropic = anthropicModels({ listModels, now })
  const describe = (id: string) => ({ id, object: 'model' as const, created, owned_by: 'simpleia' })
  const list = {
    summary: 'List the models that answer, and those that make vectors',
    tags,
    response: { 200: modelListAnswer, ...openaiErrors },
  }
  http.get('/models', { schema: list, preHandler: forAnthropic.list }, async () => ({
    object: 'list' as const,
    data: (await listModels()).map(describe),
  }))
  // A wildcard, as the name of a model may hold a slash.
  http.get<{ Params: { '*': string } }>(
    '/models/*',
    {
      schema: { summary: 'Describe a model', tags, response: { 200: modelAnswer, ...openaiErrors } },
      preHandler: forAnthropic.find,
    },
    async (request) => {
      const name = request.params['*']
      if ((await listModels()).includes(name)) return describe(name)
      const { provider, model } = await predict.choose({ model: name, provider: undefined })
      return describe(name.startsWith(`${provider}/`) ? name : model)
    },
  )
}
