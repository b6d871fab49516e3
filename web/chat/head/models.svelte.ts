import type { ListedModel, ModelAnswer, ProviderList } from '../../../src/client.ts'
import { service } from '../../shell/service.ts'
import { type Choice, listChoices } from './choices.ts'

let models = $state.raw<readonly ListedModel[]>([])
let providers = $state.raw<ProviderList | undefined>(undefined)
let selected = $state.raw<ModelAnswer | undefined>(undefined)
let failure = $state.raw<unknown>(undefined)
const choices = $derived(listChoices({ models, providers, selected }))

export const modelChoices = (): readonly Choice[] => choices
export const selectedModel = (): ModelAnswer | undefined => selected
export const modelsFailure = (): unknown => failure

/** Asks what there is and who is selected. */
export async function refreshModels(): Promise<void> {
  try {
    const [list, elsewhere, answer] = await Promise.all([service.models(), service.providers(), service.model()])
    models = list.models
    providers = elsewhere
    selected = answer
    failure = undefined
  } catch (error) {
    failure = error
  }
}

/** Asks once more what is in memory. */
export async function refreshStates(signal: AbortSignal): Promise<void> {
  const list = await service.models(signal).catch(() => undefined)
  if (list !== undefined && !signal.aborted) models = list.models
}
