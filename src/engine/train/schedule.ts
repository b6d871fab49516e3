import { unreachable } from '../../errors.ts'
import type { TrainParameters } from './protocol.ts'

export type Schedule = Pick<TrainParameters, 'learningRate' | 'schedule' | 'warmup'>

/**
 * The learning rate of a step (from 1) of so many. It rises in equal steps through the warm-up, is at its highest in the last of it and
 * in the step after, and falls from there towards 0, which only the step after the last would have.
 */
export function learningRateAt(step: number, steps: number, { learningRate, schedule, warmup }: Schedule): number {
  const rising = Math.round(warmup * steps)
  if (step <= rising) return (learningRate * step) / rising
  const passed = (step - rising - 1) / (steps - rising)
  switch (schedule) {
    case 'constant':
      return learningRate
    case 'linear':
      return learningRate * (1 - passed)
    case 'cosine':
      return (learningRate * (1 + Math.cos(Math.PI * passed))) / 2
    default:
      return unreachable(schedule)
  }
}
