import { type DefaultedSampling, defaultedSampling, type SamplingParameters } from './provider.ts'

type Values = Readonly<Record<DefaultedSampling, number>>
/** What a caller says of sampling; undefined: nothing. */
export type SampledBy = Readonly<{ [Name in DefaultedSampling]?: number | undefined }>

/** What the caller chose, the defaults in place of the rest, and which is which. */
export function resolveSampling(chosen: SampledBy, defaults: Values): Values & Required<Pick<SamplingParameters, 'given'>> {
  return {
    temperature: chosen.temperature ?? defaults.temperature,
    topP: chosen.topP ?? defaults.topP,
    topK: chosen.topK ?? defaults.topK,
    minP: chosen.minP ?? defaults.minP,
    repeatPenalty: chosen.repeatPenalty ?? defaults.repeatPenalty,
    given: defaultedSampling.filter((name) => chosen[name] !== undefined),
  }
}

/** Whether the caller chose the value of a parameter. */
export function isGiven({ given = defaultedSampling }: Pick<SamplingParameters, 'given'>, name: DefaultedSampling): boolean {
  return given.includes(name)
}
