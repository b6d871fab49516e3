import { SvelteMap } from 'svelte/reactivity'
import type { Client } from '../../../src/client.ts'
import { noteDone } from '../../first-run/tour.svelte.ts'

export type Rating = 'up' | 'down'
export type Given = Readonly<{
  rating: Rating
  text?: string
  tags?: readonly string[]
  correction?: string
  /** The answer over which this one was kept. */
  rejectedId?: string
}>

/** The feedback that was given, by the answer. */
const given = new SvelteMap<string, Given>()

export const feedbackOn = (predictionId: string): Given | undefined => given.get(predictionId)

/**
 * Sends feedback on an answer. Of several on one answer the last counts, so that each repeats what was said before. Gives whether the
 * answer is remembered, so that something can be learned of it. Throws AppError.
 */
export async function rate(
  service: Pick<Client, 'sendFeedback'>,
  predictionId: string,
  next: Given,
): Promise<Readonly<{ isRemembered: boolean }>> {
  const all = merge(given.get(predictionId), next)
  const saved = await service.sendFeedback({
    prediction_id: predictionId,
    rating: all.rating,
    ...(all.text === undefined ? {} : { text: all.text }),
    ...(all.tags === undefined || all.tags.length === 0 ? {} : { tags: [...all.tags] }),
    ...(all.correction === undefined ? {} : { correction: all.correction }),
    ...(all.rejectedId === undefined ? {} : { rejected_prediction_id: all.rejectedId }),
  })
  given.set(predictionId, all)
  noteDone('feedback-given')
  return { isRemembered: saved.prediction !== 'unknown' }
}

function merge(before: Given | undefined, next: Given): Given {
  const { rejectedId, ...all } = { ...before, ...next }
  // Who dislikes an answer does not keep it over another one.
  return all.rating === 'up' && rejectedId !== undefined ? { ...all, rejectedId } : all
}
