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

/** With these, nothing is cut or penalized. */
const off = { topP: 1, topK: 0, minP: 0, repeatPenalty: 1 } as const

/** Without what switches something off, for an API that cuts and penalizes nothing unless it is told to. */
export function withoutOff({ topP, topK, minP, repeatPenalty, ...chosen }: ChosenSampling): ChosenSampling {
  return {
    ...chosen,
    ...(topP === undefined || topP === off.topP ? {} : { topP }),
    ...(topK === undefined || topK === off.topK ? {} : { topK }),
    ...(minP === undefined || minP === off.minP ? {} : { minP }),
    ...(repeatPenalty === undefined || repeatPenalty === off.repeatPenalty ? {} : { repeatPenalty }),
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
