import Type, { type Static } from 'typebox'
import type { EngineStatus, ModelHost, ModelInfo } from '../engine/provider.ts'
import { defaultRoute, type Providers } from '../engine/providers.ts'

/** Who can answer: the models of this machine, and what else is configured. */
export type Answering = Readonly<{
  host: ModelHost
  /** The host, and what else answers. */
  providers: Providers
  /** Nothing may leave this machine. */
  localOnly: boolean
}>

export const modelAnswer = Type.Object({
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
  route: Type.Optional(
    Type.Array(Type.String(), { description: 'Who is asked instead, in this order: the route "default" of providers.json.' }),
  ),
  rollout: Type.Optional(
    Type.Object(
      { id: Type.String(), arms: Type.Array(Type.Object({ model: Type.String(), share: Type.Number() })) },
      { description: 'Models that share the requests which name none, by percent of the conversations.' },
    ),
  ),
})
type ModelAnswer = Static<typeof modelAnswer>

/** Models that share the requests for a name. */
export type SharedRequests = Readonly<{ id: string; arms: ReadonlyArray<Readonly<{ model: string; share: number }>> }>

/** What answers who names nothing. */
export function describeSelected({ host, providers, localOnly }: Answering): ModelAnswer {
  const steps = providers.routes().get(defaultRoute)
  const route = steps === undefined ? {} : { route: [...steps] }
  const elsewhere = selectedElsewhere({ host, providers })
  const { state, reason } = statusOf({ host, providers, localOnly })
  const told = { state, ...(reason === undefined ? {} : { reason }), ...route }
  if (elsewhere !== undefined)
    return {
      model_name: elsewhere.model ?? null,
      provider: elsewhere.name,
      ran_on: elsewhere.ranOn,
      loaded: state === 'ready',
      ...told,
    }
  const { name = null, info } = host.selected() ?? {}
  const service = { provider: host.name, ran_on: host.ranOn, ...told }
  if (info === undefined) return { model_name: name, loaded: false, ...service }
  return { model_name: name, loaded: true, ...service, ...toInfo(info) }
}

/** Whether requests that name nothing can be answered; a route is ready where one of its steps is. */
export function statusOf({ host, providers, localOnly }: Answering): EngineStatus {
  const own = host.status()
  const elsewhere = selectedElsewhere({ host, providers })
  const steps = providers.routes().get(defaultRoute)
  if (steps !== undefined) {
    const isReady = steps.some((step) => isUsable(providers.find(step.split('/', 1)[0] ?? ''), { host, localOnly }))
    return isReady ? { ...own, state: 'ready', reason: undefined } : own
  }
  if (elsewhere === undefined) return own
  const { name, ranOn, model } = elsewhere
  if (localOnly && ranOn === 'cloud')
    return {
      ...own,
      state: 'failed',
      reason: `LOCAL_ONLY is true, so the selected provider "${name}" is not asked. Select another.`,
    }
  if (model === undefined) return { ...own, state: 'empty', reason: `No model of the provider "${name}" is selected.` }
  return { ...own, state: 'ready', reason: undefined }
}

type Found = ReturnType<Providers['find']>

const isUsable = (provider: Found, { host, localOnly }: Pick<Answering, 'host' | 'localOnly'>): boolean =>
  provider !== undefined && provider.name !== host.name && !(localOnly && provider.ranOn === 'cloud')

function selectedElsewhere({ host, providers }: Pick<Answering, 'host' | 'providers'>) {
  const selected = providers.selected()
  const provider = selected.provider === host.name ? undefined : providers.find(selected.provider)
  if (provider === undefined) return undefined
  return { name: provider.name, ranOn: provider.ranOn, model: selected.model ?? provider.models?.[0]?.name }
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
