import type { ListedModel, ModelAnswer, ProviderList } from '../../../src/client.ts'
import type { ConversationSettings } from '../../../src/conversations/schema.ts'

/** Who answers, as a conversation says it. */
export type Chosen = Readonly<Pick<ConversationSettings, 'model' | 'provider'>>

/** `service`: whoever the service has selected; `gone`: what a conversation names, and nobody has. */
export type Choice = Readonly<{
  key: string
  kind: 'service' | 'installed' | 'route' | 'elsewhere' | 'gone'
  name: string
  /** The part of the name after the `+`, which is the adapter. */
  adapter: string | undefined
  chosen: Chosen
  ranOn: 'local' | 'cloud' | undefined
  /** The provider of a model that is not of this machine. */
  provider: string | undefined
  /** What is loaded for it on this machine. */
  model: ListedModel | undefined
}>

export type Offer = Readonly<{
  models: readonly ListedModel[]
  providers: ProviderList | undefined
  selected: ModelAnswer | undefined
}>

/** The provider of the models of this machine. */
const ownProvider = 'hf'
const keyOf = ({ model = '', provider = '' }: Chosen) => JSON.stringify([provider, model])

/** What can be chosen, in the order in which it is shown. */
export function listChoices({ models, providers, selected }: Offer): readonly Choice[] {
  return [
    serviceChoice({ models, selected }),
    ...models.filter(isChatModel).map((model) => installedChoice(model, models)),
    ...(providers?.routes ?? []).map((route): Choice => {
      const chosen = { model: route }
      return { key: keyOf(chosen), kind: 'route', name: route, adapter: undefined, chosen, ...noModel, provider: undefined }
    }),
    ...(providers?.providers ?? []).filter(({ name }) => name !== ownProvider).flatMap(elsewhereChoices),
  ]
}

const noModel = { ranOn: undefined, model: undefined } as const
const isChatModel = ({ kind, state }: ListedModel) => kind === 'chat' || (kind === 'unknown' && state !== 'failed')

function serviceChoice({ models, selected }: Omit<Offer, 'providers'>): Choice {
  const name = selected?.model_name ?? selected?.provider ?? ''
  const model = selected?.provider === ownProvider ? models.find((listed) => listed.name === selected.model_name) : undefined
  const provider = selected === undefined || selected.provider === ownProvider ? undefined : selected.provider
  return {
    key: keyOf({}),
    kind: 'service',
    name,
    adapter: undefined,
    chosen: {},
    ranOn: selected?.ran_on,
    provider,
    model,
  }
}

function installedChoice(model: ListedModel, models: readonly ListedModel[]): Choice {
  // A file may have a plus in its name, too.
  const base = models.find(({ name, kind }) => kind === 'chat' && model.name.startsWith(`${name}+`))
  const name = base?.name ?? model.name
  const adapter = base === undefined ? undefined : model.name.slice(name.length + 1)
  const chosen = { model: model.name }
  return { key: keyOf(chosen), kind: 'installed', name, adapter, chosen, ranOn: 'local', provider: undefined, model }
}

function elsewhereChoices({ name: provider, ran_on: ranOn, models }: ProviderList['providers'][number]): readonly Choice[] {
  const toChoice = (name: string, chosen: Chosen): Choice => {
    return { key: keyOf(chosen), kind: 'elsewhere', name, adapter: undefined, chosen, ranOn, provider, model: undefined }
  }
  // One that lists none answers with whatever it has.
  if (models.length === 0) return [toChoice(provider, { provider })]
  return models.map((model) => toChoice(model, { model, provider }))
}

/** The one that a conversation has chosen. */
export function findChoice(choices: readonly Choice[], { model, provider }: Chosen): Choice {
  const chosen = { ...(model === undefined ? {} : { model }), ...(provider === undefined ? {} : { provider }) }
  const key = keyOf(chosen)
  const found = choices.find(
    (choice) =>
      choice.key === key ||
      (choice.kind === 'installed' &&
        (provider === undefined || provider === ownProvider) &&
        model !== undefined &&
        (choice.model?.name === model || choice.model?.aliases.includes(model))),
  )
  if (found !== undefined) return found
  return { key, kind: 'gone', name: model ?? provider ?? '', adapter: undefined, chosen, ...noModel, provider }
}

/** Those in whose names all words stand. */
export function searchChoices(choices: readonly Choice[], search: string): readonly Choice[] {
  const words = search.toLowerCase().split(/\s+/)
  return choices.filter(({ name, adapter = '', provider = '' }) => {
    const text = `${name} ${adapter} ${provider}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

/** Settings with another choice of who answers. */
export function withChoice(settings: ConversationSettings, chosen: Chosen): ConversationSettings {
  const { model: _model, provider: _provider, ...rest } = settings
  return { ...rest, ...chosen }
}
