import Type from 'typebox'
import type { ReasoningEffort } from '../engine/provider.ts'

const efforts = {
  none: 'none',
  // The least that a model of this machine can be told is not to think at all.
  minimal: 'none',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'high',
} as const

export type EffortBody = keyof typeof efforts

export const effortBody = Type.Unsafe<EffortBody>({
  type: 'string',
  enum: Object.keys(efforts),
  description: 'How long the model thinks, where it does. minimal is as none, xhigh and max are as high.',
})

/** The part of a prompt that says how long to think. */
export function toReasoning(effort: EffortBody | undefined): Readonly<{ reasoning?: ReasoningEffort }> {
  return effort === undefined ? {} : { reasoning: efforts[effort] }
}
