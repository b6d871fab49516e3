import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Selection } from '../config/selection.ts'
import type { HostedModel, ModelHost, ModelInfo } from '../engine/provider.ts'
import type { Providers } from '../engine/providers.ts'
import { errorBody } from '../http/error-reply.ts'

export type ModelRoutesOptions = Readonly<{
  host: ModelHost
  /** The host, and what else answers. */
  providers: Providers
  /** Downloads a model that is named as on the hub and is not installed; does nothing for other names. */
  install: (name: string, signal: AbortSignal, user: string) => Promise<void>
  /** Writes the choice, so that the next start makes it again. */
  saveSelection: (selection: Selection) => Promise<void>
  /** Reads again what else can change while the service runs. Throws `invalid`, and changes nothing then. */
  onReload: () => Promise<void>
  /** What the ledger of what leaves this machine calls who asks. */
  userOf: (request: FastifyRequest) => string
  /** Reads the choice again; undefined where nobody has made one. */
  readSelection: () => Promise<Selection | undefined>
}>

const modelAnswer = Type.Object({
  model_name: Type.Union([Type.String(), Type.Null()]),
  provider: Type.String(),
  ran_on: Type.Enum(['local', 'cloud'], { description: 'Where it answers.' }),
  loaded: Type.Boolean(),
  state: Type.Enum(['empty', 'unloaded', 'loading', 'ready', 'failed'], {
    description: '`unloaded`: not in memory, and loaded when a request needs it.',
  }),
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

const listedModel = Type.Object({
  name: Type.String({ description: '`base+adapter` for an adapter on a base.' }),
  aliases: Type.Array(Type.String()),
  kind: Type.Enum(['chat', 'embedding', 'reranker', 'adapter', 'projector', 'unknown']),
  selected: Type.Boolean({ description: 'Answers who names no model.' }),
  loaded: Type.Boolean(),
  state: Type.Enum(['unloaded', 'loading', 'ready', 'failed']),
  reason: Type.Optional(Type.String({ description: 'Why it cannot be used.' })),
  architecture: Type.Optional(Type.String()),
  quantization: Type.Optional(Type.String()),
  parameters: Type.Optional(Type.Integer()),
  size_bytes: Type.Optional(Type.Integer({ description: 'Of its files.' })),
  trained_context_size: Type.Optional(Type.Integer({ description: 'Tokens that it was trained for.' })),
  context_size: Type.Optional(Type.Integer({ description: 'Tokens of prompt and answer, while it is in memory.' })),
  estimated_memory_bytes: Type.Optional(Type.Integer({ description: 'What it takes once it is loaded and busy.' })),
  memory_bytes: Type.Integer({ description: 'What it takes now; 0 while it is not in memory.' }),
  active: Type.Integer({ description: 'Answers being written now.' }),
  queued: Type.Integer({ description: 'Requests that wait for a place.' }),
  requests_served: Type.Integer({ description: 'Since the service started.' }),
  loaded_since: Type.Optional(Type.String({ format: 'date-time' })),
  last_used_at: Type.Optional(Type.String({ format: 'date-time' })),
})

const modelsAnswer = Type.Object({ models: Type.Array(listedModel) })

const providersAnswer = Type.Object({
  providers: Type.Array(
    Type.Object({
      name: Type.String({ description: '`hf`: the models of this machine.' }),
      ran_on: Type.Enum(['local', 'cloud']),
      selected: Type.Boolean({ description: 'Answers who names nobody.' }),
      models: Type.Array(Type.String(), { description: 'Those that are listed; empty: whatever it has.' }),
    }),
  ),
  routes: Type.Array(Type.String(), { description: 'Names that can be given as a model.' }),
})

const selectBody = Type.Object(
  {
    model_name: Type.String({
      minLength: 1,
      maxLength: 500,
      description:
        'An installed name, an alias, BASE+ADAPTER, a path inside the models folder, or a name on the hub (owner/repository, with :QUANT if it matters), which is downloaded where it is not installed.',
    }),
    provider: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 50,
        description: '"hf", or one that is configured. The model is one of its own then.',
      }),
    ),
  },
  { additionalProperties: false },
)
type SelectBody = Static<typeof selectBody>

const tags = ['models']
const loadSummary = 'POST /models/{name}/load and /unload: bring a model into memory, or take it out once nobody uses it'
const failures = { '4xx': errorBody, '5xx': errorBody }

/** GET /model and GET /models, for the caller scope. */
export function modelRoutes({ host, providers }: Pick<ModelRoutesOptions, 'host' | 'providers'>): FastifyPluginAsync {
  return async (http) => {
    const response = { 200: modelAnswer, ...failures }
    http.get('/model', { schema: { summary: 'The model that answers now', tags, response } }, async () =>
      describe(host, providers),
    )

    const listResponse = { 200: modelsAnswer, ...failures }
    http.get('/models', { schema: { summary: 'Installed models', tags, response: listResponse } }, async () => {
      return { models: (await host.list()).map(toListed) }
    })

    const providersResponse = { 200: providersAnswer, ...failures }
    const providersSchema = { summary: 'Who can answer, and the routes between them', tags, response: providersResponse }
    http.get('/providers', { schema: providersSchema }, async () => {
      const { provider } = providers.selected()
      return {
        providers: providers.list().map(({ name, ranOn, models }) => {
          return { name, ran_on: ranOn, selected: name === provider, models: (models ?? []).map((model) => model.name) }
        }),
        routes: [...providers.routes()],
      }
    })
  }
}

/** POST /model and POST /admin/reload, for the admin scope. */
export function modelAdminRoutes(options: ModelRoutesOptions): FastifyPluginAsync {
  const { host, providers, install, saveSelection, readSelection, onReload, userOf } = options
  return async (http) => {
    const response = { 200: modelAnswer, ...failures }
    const select = {
      summary: 'Load a model, then switch to it; a failed load keeps the old one',
      tags,
      body: selectBody,
      response,
    }
    http.post<{ Body: SelectBody }>('/model', { schema: select }, async (request) => {
      const { model_name: name, provider = host.name } = request.body
      if (provider !== host.name) {
        await providers.select(provider, name)
        await saveSelection({ selectedModel: name, provider })
        return describe(host, providers)
      }
      // Not given up with its caller: a download takes longer than many of them wait.
      await install(name, new AbortController().signal, userOf(request))
      const { name: selectedModel } = await host.select(name)
      await providers.select(provider, selectedModel)
      await saveSelection({ selectedModel, provider })
      return describe(host, providers)
    })

    const action = { tags, response: { 200: modelsAnswer, ...failures } }
    // A wildcard, as the name of a model may hold a slash.
    http.post<{ Params: { '*': string } }>(
      '/models/*',
      { schema: { summary: loadSummary, ...action } },
      async (request, reply) => {
        const [, name, verb] = /^(.+)\/(load|unload)$/.exec(request.params['*']) ?? []
        if (name === undefined) return reply.callNotFound()
        if (verb === 'load') await host.load(name)
        else await host.unload(name)
        const chosen = await host.choose(name)
        return { models: (await host.list()).filter((model) => model.name === chosen.name).map(toListed) }
      },
    )

    const reload = {
      summary: 'Read config.json, providers.json and prices.json in config/ again and switch to what they say',
      tags,
      response,
    }
    http.post('/admin/reload', { schema: reload }, async () => {
      await onReload()
      const selection = await readSelection()
      if (selection === undefined) return describe(host, providers)
      const { selectedModel, provider } = selection
      if (provider === host.name && selectedModel !== undefined && selectedModel !== host.selected()?.name)
        await host.select(selectedModel)
      await providers.select(provider, selectedModel)
      return describe(host, providers)
    })
  }
}

function describe(host: ModelHost, providers: Providers): ModelAnswer {
  const selected = providers.selected()
  const elsewhere = selected.provider === host.name ? undefined : providers.find(selected.provider)
  if (elsewhere !== undefined) {
    const { name: provider, ranOn } = elsewhere
    return { model_name: selected.model ?? null, provider, ran_on: ranOn, loaded: true, state: 'ready' }
  }
  const { state, reason } = host.status()
  const { name = null, info } = host.selected() ?? {}
  const service = { provider: host.name, ran_on: host.ranOn, state, ...(reason === undefined ? {} : { reason }) }
  if (info === undefined) return { model_name: name, loaded: false, ...service }
  return { model_name: name, loaded: true, ...service, ...toInfo(info) }
}

function toInfo(model: ModelInfo) {
  return {
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

function toListed(model: HostedModel): Static<typeof listedModel> {
  const { name, aliases, kind, selected, state, reason, info, header, loadedAt, usedAt } = model
  const timeOf = (time: number) => new Date(time).toISOString()
  return {
    name,
    aliases: [...aliases],
    kind,
    selected,
    loaded: state === 'ready',
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(header === undefined
      ? {}
      : {
          architecture: header.architecture,
          quantization: info?.quantization ?? header.quantization,
          parameters: header.parameters,
          size_bytes: header.sizeBytes,
          trained_context_size: header.trainedContext,
          estimated_memory_bytes: header.estimatedBytes,
        }),
    ...(info === undefined ? {} : { context_size: info.contextSize }),
    memory_bytes: model.memoryBytes,
    active: model.active,
    queued: model.queued,
    requests_served: model.served,
    ...(loadedAt === undefined ? {} : { loaded_since: timeOf(loadedAt) }),
    ...(usedAt === undefined ? {} : { last_used_at: timeOf(usedAt) }),
  }
}
