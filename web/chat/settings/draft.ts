import type { ConversationSettings } from '../../../src/conversations/schema.ts'
import { type ParameterName, parameters, readNumber } from './parameters.ts'
import { readTools, writeTools } from './read-tools.ts'

export const reasoningLevels = ['none', 'low', 'medium', 'high'] as const

/** Settings as they are typed. What is empty is as the service does it. */
export type Draft = {
  system: string
  reasoning: string
  collection: string
  tools: string
  numbers: Record<ParameterName, string>
  /** Chosen elsewhere, and kept. */
  chosen: Pick<ConversationSettings, 'model' | 'provider'>
}

export function toDraft(settings: ConversationSettings): Draft {
  const { system = '', reasoning = '', collection = '', tools, model, provider } = settings
  const typed = (name: ParameterName) => settings[name]?.toString() ?? ''
  return {
    system,
    reasoning,
    collection,
    tools: writeTools(tools),
    numbers: {
      temperature: typed('temperature'),
      max_length: typed('max_length'),
      top_p: typed('top_p'),
      top_k: typed('top_k'),
      min_p: typed('min_p'),
      repeat_penalty: typed('repeat_penalty'),
      seed: typed('seed'),
    },
    chosen: { ...(model === undefined ? {} : { model }), ...(provider === undefined ? {} : { provider }) },
  }
}

/** The names of the parameters that are no numbers within their bounds. */
export const wrongNumbers = ({ numbers }: Draft): readonly ParameterName[] =>
  parameters.flatMap((parameter) => {
    const typed = numbers[parameter.name]
    return typed.trim() === '' || readNumber(typed, parameter) !== undefined ? [] : [parameter.name]
  })

/** The settings that a draft says; undefined: something in it is wrong. */
export function fromDraft(draft: Draft): ConversationSettings | undefined {
  const { system, reasoning, collection, tools: typedTools, numbers, chosen } = draft
  const read = readTools(typedTools)
  if (read.problem !== undefined || wrongNumbers(draft).length > 0) return undefined
  const level = reasoningLevels.find((one) => one === reasoning)
  const values = parameters.flatMap((parameter) => {
    const value = readNumber(numbers[parameter.name], parameter)
    return value === undefined ? [] : [[parameter.name, value] as const]
  })
  return {
    ...chosen,
    ...(system.trim() === '' ? {} : { system }),
    ...Object.fromEntries(values),
    ...(level === undefined ? {} : { reasoning: level }),
    ...(collection === '' ? {} : { collection }),
    ...(read.tools === undefined ? {} : { tools: read.tools }),
  }
}

/** Everything as the service does it; who answers stays. */
export const resetDraft = ({ chosen }: Draft): Draft => toDraft(chosen)
