import { conversationDefaults } from '../../../src/conversations/bounds.ts'
import { predictBounds } from '../../../src/predict/bounds.ts'

/** A number that says how answers are made. `usual`: how models of this machine answer where nothing is said; undefined: there is none. */
export type Parameter = Readonly<{ name: ParameterName; min: number; max: number; isWhole: boolean; usual: number | undefined }>

export const parameterNames = ['temperature', 'max_length', 'top_p', 'top_k', 'min_p', 'repeat_penalty', 'seed'] as const
export type ParameterName = (typeof parameterNames)[number]

/** In the order in which they are shown, what is changed most first. */
export const parameters: readonly Parameter[] = [
  { name: 'temperature', min: 0, max: predictBounds.temperature, isWhole: false, usual: conversationDefaults.temperature },
  { name: 'max_length', min: 1, max: predictBounds.maxTokens, isWhole: true, usual: conversationDefaults.maxTokens },
  { name: 'top_p', min: 0, max: 1, isWhole: false, usual: conversationDefaults.topP },
  { name: 'top_k', min: 0, max: predictBounds.topK, isWhole: true, usual: conversationDefaults.topK },
  { name: 'min_p', min: 0, max: 1, isWhole: false, usual: conversationDefaults.minP },
  {
    name: 'repeat_penalty',
    min: predictBounds.repeatPenaltyMin,
    max: predictBounds.repeatPenaltyMax,
    isWhole: false,
    usual: conversationDefaults.repeatPenalty,
  },
  { name: 'seed', min: 0, max: predictBounds.seed, isWhole: true, usual: undefined },
]

/** A number as people type it, with a point or a comma; undefined: it is none, or out of bounds. */
export function readNumber(typed: string, { min, max, isWhole }: Parameter): number | undefined {
  const text = typed.trim().replace(',', '.')
  if (!/^\d+(\.\d*)?$|^\.\d+$/.test(text)) return undefined
  const value = Number(text)
  return value < min || value > max || (isWhole && !Number.isInteger(value)) ? undefined : value
}
