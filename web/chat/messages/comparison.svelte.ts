import { service } from '../../shell/service.ts'
import { rate } from './feedback.svelte.ts'
import type { ShownMessage } from './shown-message.svelte.ts'

/** Two answers to the same question, side by side in the place of the answer. */
export type Comparison = Readonly<{ key: string; left: ShownMessage; right: ShownMessage }>

/** Tells the service which of two answers is better, and gives the one that is to be shown. Throws AppError. */
export async function vote({ left, right }: Comparison, better: 'left' | 'right'): Promise<ShownMessage> {
  const [kept, rejected] = better === 'left' ? [left.message, right] : [right.message, left]
  const { prediction_id: rejectedId } = rejected.message
  if (kept.prediction_id !== undefined && rejectedId !== undefined) {
    await rate(service, kept.prediction_id, { rating: 'up', rejectedId })
  }
  return better === 'left' ? left : right
}
