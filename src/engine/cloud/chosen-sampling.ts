import { AppError } from '../../errors.ts'
import type { SamplingParameters } from '../provider.ts'

/** What the service fills in where a caller says nothing: a request that holds these is taken to have said nothing. */
const usual = { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1 }
/** With these, nothing is cut or penalized: so do the providers' own models unless they are told otherwise. */
const off = { topP: 1, topK: 0, minP: 0 }

export type ChosenSampling = Partial<Omit<SamplingParameters, 'byDefault' | 'seed'>> & Readonly<{ seed?: number }>

/** What a provider must be told: the values that are neither the usual ones nor switch something off. */
export function chosenSampling(sampling: SamplingParameters): ChosenSampling {
  const {
    temperature,
    topP,
    topK,
    minP,
    repeatPenalty,
    byDefault = false,
    frequencyPenalty,
    presencePenalty,
    logitBias,
    seed,
  } = sampling
  const hasBias = logitBias !== undefined && Object.keys(logitBias).length > 0
  return {
    ...(byDefault || temperature === usual.temperature ? {} : { temperature }),
    ...(byDefault || topP === usual.topP || topP === off.topP ? {} : { topP }),
    ...(byDefault || topK === usual.topK || topK === off.topK ? {} : { topK }),
    ...(byDefault || minP === usual.minP || minP === off.minP ? {} : { minP }),
    ...(byDefault || repeatPenalty === usual.repeatPenalty ? {} : { repeatPenalty }),
    ...(frequencyPenalty === undefined || frequencyPenalty === 0 ? {} : { frequencyPenalty }),
    ...(presencePenalty === undefined || presencePenalty === 0 ? {} : { presencePenalty }),
    ...(hasBias ? { logitBias } : {}),
    ...(seed === undefined ? {} : { seed }),
  }
}

const fieldOf: Readonly<Record<keyof ChosenSampling, string>> = {
  temperature: 'temperature',
  topP: 'top_p',
  topK: 'top_k',
  minP: 'min_p',
  repeatPenalty: 'repeat_penalty',
  frequencyPenalty: 'frequency_penalty',
  presencePenalty: 'presence_penalty',
  logitBias: 'logit_bias',
  seed: 'seed',
}

/** Throws `invalid` for the first of the parameters that was chosen. */
export function refuseChosen(provider: string, chosen: ChosenSampling, names: readonly (keyof ChosenSampling)[]): void {
  for (const name of names) {
    if (chosen[name] !== undefined) throw cannot(provider, fieldOf[name], 'left out', JSON.stringify(chosen[name]).slice(0, 60))
  }
}

/** The provider's API has no way to do what a field asks for. */
export function cannot(provider: string, field: string, expected: string, got: string): AppError {
  return new AppError('invalid', `With the provider "${provider}", "${field}" must be ${expected}, but is ${got}.`, {
    details: [{ field, expected, got }],
  })
}
