import { AppError } from '../../errors.ts'
import { defaultedSampling, type SamplingParameters } from '../provider.ts'
import { isGiven } from '../sampling.ts'

export type ChosenSampling = Partial<Omit<SamplingParameters, 'given' | 'seed'>> & Readonly<{ seed?: number }>

/** What a provider must be told: what the caller chose. */
export function chosenSampling(sampling: SamplingParameters): ChosenSampling {
  const { frequencyPenalty, presencePenalty, logitBias, seed } = sampling
  const given = defaultedSampling.filter((name) => isGiven(sampling, name)).map((name) => [name, sampling[name]])
  const hasBias = logitBias !== undefined && Object.keys(logitBias).length > 0
  return {
    ...Object.fromEntries(given),
    ...(frequencyPenalty === undefined || frequencyPenalty === 0 ? {} : { frequencyPenalty }),
    ...(presencePenalty === undefined || presencePenalty === 0 ? {} : { presencePenalty }),
    ...(hasBias ? { logitBias } : {}),
    ...(seed === undefined ? {} : { seed }),
  }
}

/** What the clouds themselves do unless they are told otherwise, by their documentation: nothing is cut or penalized. */
const usual = { temperature: 1, topP: 1, topK: 0, minP: 0, repeatPenalty: 1 }

/** Without what a cloud does anyway: its newer models refuse to be told. */
export function withoutUsual({ temperature, topP, topK, minP, repeatPenalty, ...chosen }: ChosenSampling): ChosenSampling {
  return {
    ...chosen,
    ...(temperature === undefined || temperature === usual.temperature ? {} : { temperature }),
    ...(topP === undefined || topP === usual.topP ? {} : { topP }),
    ...(topK === undefined || topK === usual.topK ? {} : { topK }),
    ...(minP === undefined || minP === usual.minP ? {} : { minP }),
    ...(repeatPenalty === undefined || repeatPenalty === usual.repeatPenalty ? {} : { repeatPenalty }),
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
