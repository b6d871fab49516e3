import type { FastifyPluginAsync } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Selection } from '../config/selection.ts'
import type { ModelHost, ModelInfo } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { errorBody } from '../http/error-reply.ts'

export type ModelRoutesOptions = Readonly<{
  host: ModelHost
  /** Writes the choice, so that the next start makes it again. */
  saveSelection: (selection: Selection) => Promise<void>
  /** Reads the choice again; undefined where nobody has made one. */
  readSelection: () => Promise<Selection | undefined>
}>

const modelAnswer = Type.Object({
  model_name: Type.Union([Type.String(), Type.Null()]),
  provider: Type.String(),
  loaded: Type.Boolean(),
  state: Type.Enum(['empty', 'loading', 'ready', 'failed']),
  reason: Type.Optional(Type.String({ description: 'Why nothing is loaded.' })),
  device: Type.Optional(Type.String()),
  context_size: Type.Optional(Type.Integer()),
  quantization: Type.Optional(Type.String()),
  architecture: Type.Optional(Type.String()),
  kv_cache_type: Type.Optional(Type.Enum(['f16', 'q8_0'], { description: 'What the context is kept in.' })),
  parameters: Type.Optional(Type.Integer()),
  size_bytes: Type.Optional(Type.Integer()),
  has_chat_template: Type.Optional(Type.Boolean()),
  threads: Type.Optional(Type.Integer()),
})
type ModelAnswer = Static<typeof modelAnswer>

const modelsAnswer = Type.Object({ models: Type.Array(Type.Object({ name: Type.String(), loaded: Type.Boolean() })) })

const selectBody = Type.Object(
  {
    model_name: Type.String({
      minLength: 1,
      maxLength: 500,
      description: 'An installed name, a path inside the models folder, or a Hugging Face id.',
    }),
    provider: Type.Optional(Type.Enum(['hf', 'claude', 'openai', 'custom'], { description: 'Only "hf" for now.' })),
  },
  { additionalProperties: false },
)
type SelectBody = Static<typeof selectBody>

const tags = ['models']
const failures = { '4xx': errorBody, '5xx': errorBody }

/** GET /model and GET /models, for the caller scope. */
export function modelRoutes({ host }: Pick<ModelRoutesOptions, 'host'>): FastifyPluginAsync {
  return async (http) => {
    const response = { 200: modelAnswer, ...failures }
    http.get('/model', { schema: { summary: 'The model that answers now', tags, response } }, async () => describe(host))

    const listResponse = { 200: modelsAnswer, ...failures }
    http.get('/models', { schema: { summary: 'Installed models', tags, response: listResponse } }, async () => {
      const current = findModel(host)?.name
      return { models: (await host.list()).map((name) => ({ name, loaded: name === current })) }
    })
  }
}

/** POST /model and POST /admin/reload, for the admin scope. */
export function modelAdminRoutes({ host, saveSelection, readSelection }: ModelRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const response = { 200: modelAnswer, ...failures }
    const select = {
      summary: 'Load a model, then switch to it; a failed load keeps the old one',
      tags,
      body: selectBody,
      response,
    }
    http.post<{ Body: SelectBody }>('/model', { schema: select }, async (request) => {
      const { model_name: name, provider = 'hf' } = request.body
      refuseOtherProvider(host, provider)
      const { name: selectedModel } = await host.load(name)
      await saveSelection({ selectedModel, provider })
      return describe(host)
    })

    const reload = { summary: 'Read config/config.json again and switch to what it says', tags, response }
    http.post('/admin/reload', { schema: reload }, async () => {
      const selection = await readSelection()
      if (selection === undefined) return describe(host)
      refuseOtherProvider(host, selection.provider)
      const { selectedModel } = selection
      if (selectedModel !== undefined && selectedModel !== findModel(host)?.name) await host.load(selectedModel)
      return describe(host)
    })
  }
}

function refuseOtherProvider(host: ModelHost, provider: string): void {
  if (provider === host.name) return
  throw new AppError('invalid', `The provider "${provider}" is not configured: this service answers from "${host.name}" only.`, {
    details: [{ field: 'provider', expected: `"${host.name}"`, got: JSON.stringify(provider) }],
  })
}

function findModel(host: ModelHost): ModelInfo | undefined {
  try {
    return host.model()
  } catch (error) {
    if (error instanceof AppError && error.code === 'unavailable') return undefined
    throw error
  }
}

function describe(host: ModelHost): ModelAnswer {
  const { state, reason } = host.status()
  const model = findModel(host)
  const service = { provider: host.name, state, ...(reason === undefined ? {} : { reason }) }
  if (model === undefined) return { model_name: null, loaded: false, ...service }
  return {
    model_name: model.name,
    loaded: true,
    ...service,
    device: model.device,
    context_size: model.contextSize,
    quantization: model.quantization,
    architecture: model.architecture,
    kv_cache_type: model.cacheType,
    parameters: model.parameters,
    size_bytes: model.sizeBytes,
    has_chat_template: model.hasChatTemplate,
    threads: model.threads,
  }
}
