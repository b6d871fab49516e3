import { AppError, type ErrorCode } from '../errors.ts'
import type { ChosenModel, Provider } from './provider.ts'

/** What a request says of what is to answer it. */
export type Wanted = Readonly<{
  /** A model's name, `PROVIDER/MODEL`, or a route's name; undefined, or `default` where nothing is called so: what is selected. */
  model: string | undefined
  provider: string | undefined
}>

/** One who may answer; which of its models does is found out when its turn comes. */
export type Candidate = Readonly<{ provider: Provider; choose(): Promise<ChosenModel> }>

export type Choice = Readonly<{
  /** In the order in which they are asked: the next one when the one before cannot begin to answer. Never empty. */
  candidates: readonly Candidate[]
  why: 'requested' | 'default'
}>

/** By name, the providers that are asked one after the other: `PROVIDER` or `PROVIDER/MODEL` each. */
export type FallbackRoutes = ReadonlyMap<string, readonly string[]>

/** Providers besides the models of this machine. */
export type Elsewhere = Readonly<{
  providers: readonly Provider[]
  routes: FallbackRoutes
  /** US dollars that a provider may cost in a day, by its name. */
  ceilings?: ReadonlyMap<string, number>
}>

/** What requests that name no model may name as well; the route for them where there is one. */
export const defaultRoute = 'default'

/** Everything that can answer. */
export interface Providers {
  /**
   * Who answers. Nothing leaves this machine unless the request, the selection or a route that somebody wrote says so: a name that an
   * installed model has means that model. Throws `not_found`, and `invalid` for a provider that is not
   * configured and for a name that is no text.
   */
  choose(wanted: Wanted): Promise<Choice>
  /** Who answers requests that name nobody. */
  selected(): Selected
  /** Makes another one answer them. Throws like `choose`. */
  select(provider: string, model: string | undefined): Promise<void>
  find(name: string): Provider | undefined
  /** The local one first. */
  list(): readonly Provider[]
  routes(): FallbackRoutes
  /** US dollars that a provider may cost in a day, by its name. */
  ceilings(): ReadonlyMap<string, number>
  /**
   * Gives what puts others in place of all but the local one, and selects; answers under way go on. Without `selected` the selection stays, or
   * falls back to this machine. Throws `invalid` for a route that leads nowhere, and like `choose`; nothing has changed then.
   */
  prepare(elsewhere: Elsewhere, selected?: Selected): Promise<() => Promise<void>>
  /** Closes all but the local one. */
  close(): Promise<void>
}

/** A model of a provider; undefined: its usual one. */
export type Selected = Readonly<{ provider: string; model: string | undefined }>

/** Chooses among the local models and `elsewhere`. Throws `invalid` like `prepare`, and for a selected provider that there is not. */
export function createProviders(local: Provider, elsewhere: Elsewhere, selected?: Selected): Providers {
  let { providers, routes, ceilings = noCeilings } = checked(local, elsewhere)
  let selection = selected ?? { provider: local.name, model: undefined }
  if (local.name !== selection.provider) getFrom([local, ...providers], selection.provider)

  function list(): readonly Provider[] {
    return [local, ...providers]
  }

  function find(name: string): Provider | undefined {
    return list().find((provider) => provider.name === name)
  }

  const get = (name: string): Provider => getFrom(list(), name)

  const toCandidate = (provider: Provider, model: string | undefined): Candidate => ({
    provider,
    choose: () => provider.choose(model),
  })

  function followRoute(steps: readonly string[]): readonly Candidate[] {
    return steps.map((step) => {
      const { name, model } = splitStep(step)
      return toCandidate(get(name), model ?? usualModelOf(name))
    })
  }

  /** The local provider knows its selection itself. */
  const usualModelOf = (name: string) => (name === selection.provider && name !== local.name ? selection.model : undefined)

  function usual(): readonly Candidate[] {
    const steps = routes.get(defaultRoute)
    return steps === undefined ? [toCandidate(get(selection.provider), usualModelOf(selection.provider))] : followRoute(steps)
  }

  async function chooseByName(model: string): Promise<readonly Candidate[]> {
    try {
      await local.choose(model)
      return [toCandidate(local, model)]
    } catch (error) {
      if (!(error instanceof AppError) || (error.code !== 'not_found' && error.code !== 'invalid')) throw error
      const steps = routes.get(model)
      if (steps !== undefined) return followRoute(steps)
      if (model === defaultRoute) return usual()
      const { name, model: rest } = splitStep(model)
      const named = find(name)
      if (named !== undefined) return [toCandidate(named, rest ?? usualModelOf(name))]
      // The models of the selected provider need not be named with it.
      if (selection.provider === local.name || error.code !== 'not_found') throw error
      return [toCandidate(get(selection.provider), model)]
    }
  }

  return {
    async choose({ model, provider }) {
      refuseHalfCharacters('model', model)
      refuseHalfCharacters('provider', provider)
      if (provider !== undefined)
        return { candidates: [toCandidate(get(provider), model ?? usualModelOf(provider))], why: 'requested' }
      if (model !== undefined) return { candidates: await chooseByName(model), why: 'requested' }
      return { candidates: usual(), why: 'default' }
    },
    selected: () => selection,
    async select(name, model) {
      refuseHalfCharacters('model', model)
      const provider = get(name)
      if (provider !== local) await provider.choose(model)
      selection = { provider: name, model }
    },
    find,
    list,
    routes: () => routes,
    ceilings: () => ceilings,
    async prepare(next, selected) {
      checked(local, next)
      if (selected !== undefined && selected.provider !== local.name)
        await getFrom([local, ...next.providers], selected.provider).choose(selected.model)
      return async () => {
        const before = providers
        ;({ providers, routes, ceilings = noCeilings } = next)
        if (selected !== undefined) selection = selected
        else if (find(selection.provider) === undefined) selection = { provider: local.name, model: undefined }
        await Promise.all(before.map((provider) => provider.close()))
      }
    },
    close: () => Promise.all(providers.map((provider) => provider.close())).then(() => {}),
  }
}

/** Half of a surrogate pair can be written in JSON, but not in an address, a header or the database. */
function refuseHalfCharacters(field: 'model' | 'provider', name: string | undefined): void {
  if (name === undefined || name.isWellFormed()) return
  throw new AppError('invalid', `"${field}" must be whole characters, but holds half a surrogate pair.`, {
    details: [{ field, expected: 'whole characters', got: 'half a surrogate pair' }],
  })
}

const noCeilings: ReadonlyMap<string, number> = new Map()

function getFrom(providers: readonly Provider[], name: string): Provider {
  const provider = providers.find((one) => one.name === name)
  if (provider !== undefined) return provider
  const names = providers.map((one) => `"${one.name}"`)
  const message = `The provider "${name.slice(0, 100)}" is not configured. There is ${names.join(', ')}; docs/cloud.md says how to add one.`
  throw new AppError('invalid', message, {
    details: [{ field: 'provider', expected: names.join(' or '), got: JSON.stringify(name.slice(0, 100)) }],
  })
}

/** What stopped one candidate and need not stop the next. */
const passableCodes: readonly ErrorCode[] = [
  'busy',
  'unavailable',
  'upstream',
  'rate_limited',
  'quota_exceeded',
  'context_length_exceeded',
]

/**
 * Whether those after it may do better. Who may not be asked (LOCAL_ONLY) is passed by for a model of this machine alone: that nothing may
 * leave is never hidden behind the failure of another cloud.
 */
export function canPassOn(error: unknown, later: readonly Candidate[]): error is AppError {
  if (!(error instanceof AppError) || later.length === 0) return false
  if (error.code === 'forbidden') return later.some(({ provider }) => provider.ranOn === 'local')
  return passableCodes.includes(error.code)
}

/** `PROVIDER/MODEL`; a model's name may hold slashes itself. */
function splitStep(step: string): Readonly<{ name: string; model: string | undefined }> {
  const slash = step.indexOf('/')
  return slash < 0 ? { name: step, model: undefined } : { name: step.slice(0, slash), model: step.slice(slash + 1) }
}

function checked(local: Provider, elsewhere: Elsewhere): Elsewhere {
  const names = [local, ...elsewhere.providers].map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new AppError('invalid', `Two providers are called "${twice}".`)
  for (const [route, steps] of elsewhere.routes) {
    if (steps.length === 0) throw new AppError('invalid', `The route "${route}" has no steps.`)
    if (names.includes(route)) throw new AppError('invalid', `The route "${route}" has the name of a provider: choose another.`)
    const unknown = steps.find((step) => !names.includes(splitStep(step).name))
    if (unknown === undefined) continue
    throw new AppError(
      'invalid',
      `The route "${route}" leads to "${unknown}", but there is no such provider: ${names.join(', ')}.`,
    )
  }
  return elsewhere
}
