import type { FastifyPluginAsync } from 'fastify'
import Type from 'typebox'
import type { HostedModel, ModelHost } from '../engine/provider.ts'
import { errorBody } from '../http/error-reply.ts'
import { type ListedModel, type ModelsAnswer, modelsAnswer } from './schema.ts'
import { type Answering, describeSelected, modelAnswer, type SharedRequests } from './selected-model.ts'

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

const tags = ['models']
const loadSummary = 'POST /models/{name}/load and /unload: bring a model into memory, or take it out once nobody uses it'
const failures = { '4xx': errorBody, '5xx': errorBody }

export type ModelRoutesOptions = Answering &
  Readonly<{
    /** The models that share the requests which name none, if any do. */
    findShared: () => Promise<SharedRequests | undefined>
  }>

/** GET /model and GET /models, for the caller scope. */
export function modelRoutes(answering: ModelRoutesOptions): FastifyPluginAsync {
  const { host, providers, findShared } = answering
  return async (http) => {
    const response = { 200: modelAnswer, ...failures }
    http.get('/model', { schema: { summary: 'The model that answers now', tags, response } }, async () => {
      const rollout = await findShared()
      return {
        ...describeSelected(answering),
        ...(rollout === undefined ? {} : { rollout: { id: rollout.id, arms: rollout.arms.map((arm) => ({ ...arm })) } }),
      }
    })

    const listResponse = { 200: modelsAnswer, ...failures }
    http.get(
      '/models',
      { schema: { summary: 'Installed models', tags, response: listResponse } },
      async (): Promise<ModelsAnswer> => {
        return { models: (await host.list()).map(toListed), memory: memoryOf(host) }
      },
    )

    const providersResponse = { 200: providersAnswer, ...failures }
    const providersSchema = { summary: 'Who can answer, and the routes between them', tags, response: providersResponse }
    http.get('/providers', { schema: providersSchema }, async () => {
      const { provider } = providers.selected()
      return {
        providers: providers.list().map(({ name, ranOn, models }) => {
          return { name, ran_on: ranOn, selected: name === provider, models: (models ?? []).map((model) => model.name) }
        }),
        routes: [...providers.routes().keys()],
      }
    })
  }
}

/** POST /models/{name}/load and /unload, for the admin scope. */
export function loadRoutes({ host }: Pick<Answering, 'host'>): FastifyPluginAsync {
  return async (http) => {
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
        const models = (await host.list()).filter((model) => model.name === chosen.name).map(toListed)
        return { models, memory: memoryOf(host) }
      },
    )
  }
}

function memoryOf(host: Pick<ModelHost, 'memory'>): ModelsAnswer['memory'] {
  const { budgetBytes, usedBytes } = host.memory()
  return { budget_bytes: Math.floor(budgetBytes), used_bytes: usedBytes }
}

function toListed(model: HostedModel): ListedModel {
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
