import { localOnlyError } from '../engine/cloud/egress.ts'
import { defaultRoute, type Providers } from '../engine/providers.ts'
import { AppError } from '../errors.ts'
import { type Arm, refusal } from './arms.ts'

export type ModelsParts = Readonly<{
  providers: Pick<Providers, 'choose' | 'find' | 'routes' | 'list'>
  /** The provider whose models are named without it. */
  localProvider: string
  /** Nothing may leave this machine. */
  localOnly: boolean
}>

export type ArmModel = Omit<Arm, 'ranges'>

/** What its provider calls the model of an arm. */
export function nameInProvider({ model, provider }: Pick<ArmModel, 'model' | 'provider'>, localProvider: string): string {
  return provider === localProvider ? model : model.slice(provider.length + 1)
}

/** What answers requests that name no model, now. Throws `unavailable` where nothing is selected. */
export async function findSelected({ providers, localProvider }: ModelsParts): Promise<ArmModel> {
  const { candidates } = await providers.choose({ model: undefined, provider: undefined })
  const [first] = candidates
  if (first === undefined) throw new AppError('internal', 'A choice of providers is empty.')
  const { provider } = first
  const { name } = await first.choose()
  const model = provider.name === localProvider ? name : `${provider.name}/${name}`
  return { model, provider: provider.name, ranOn: provider.ranOn }
}

/**
 * The model that a name stands for, by its full name. Throws `invalid` for a route, and for a model elsewhere whose provider is not named;
 * `forbidden` for a cloud where nothing may leave this machine; `not_found` and `invalid` for what cannot answer.
 */
export async function findArmModel(parts: ModelsParts, name: string, field: string): Promise<ArmModel> {
  const { providers, localProvider, localOnly } = parts
  const { candidates } = await providers.choose({ model: name, provider: undefined })
  const [only] = candidates
  if (only === undefined) throw new AppError('internal', 'A choice of providers is empty.')
  const { provider } = only
  if (provider.name === localProvider) {
    if (await isModelHere(parts, name))
      return { model: (await only.choose()).name, provider: provider.name, ranOn: provider.ranOn }
    throw refusal(field, 'the name of an installed model, or PROVIDER/MODEL', `the route ${JSON.stringify(name)}`)
  }
  if (providers.routes().has(name)) throw refusal(field, 'a model', `the route ${JSON.stringify(name)}`)
  const rest = name.startsWith(`${provider.name}/`) ? name.slice(provider.name.length + 1) : ''
  if (rest === '')
    throw refusal(field, `an installed model, or PROVIDER/MODEL for one of "${provider.name}"`, JSON.stringify(name))
  if (localOnly && provider.ranOn === 'cloud') throw localOnlyError(`the provider "${provider.name}"`)
  const { name: model } = await only.choose()
  return { model: `${provider.name}/${model}`, provider: provider.name, ranOn: provider.ranOn }
}

/** Whether the name is that of a model of this machine which answers. */
export async function isModelHere({ providers, localProvider }: ModelsParts, name: string): Promise<boolean> {
  return (
    providers
      .find(localProvider)
      ?.choose(name)
      .then(
        () => true,
        () => false,
      ) ?? false
  )
}

const aliasPattern = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,99}$/u

/** Throws `invalid` for what is no name, and `conflict` where requests for the name mean something else. */
export async function refuseTakenAlias(parts: ModelsParts, alias: string): Promise<void> {
  const { providers, localProvider } = parts
  if (!aliasPattern.test(alias))
    throw refusal('alias', 'letters, digits, ".", "_" and "-", 100 at most', JSON.stringify(alias.slice(0, 120)))
  if (providers.routes().has(alias)) {
    const advice = alias === defaultRoute ? 'Take the route out of providers.json, and reload.' : 'Choose another alias.'
    throw new AppError('conflict', `"${alias}" is a route of providers.json, which answers in its own order. ${advice}`)
  }
  if (alias === defaultRoute) return
  if (providers.list().some(({ name }) => name === alias))
    throw new AppError('conflict', `"${alias}" is the name of a provider. Choose another alias.`)
  // A file that answers no prompts has the name, too.
  const missing = await providers
    .find(localProvider)
    ?.choose(alias)
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  if (missing instanceof AppError && missing.code === 'not_found') return
  throw new AppError(
    'conflict',
    `"${alias}" is the name of an installed model, which requests for it mean. Choose another alias.`,
  )
}
