import type { QuotaAnswer } from '../../../src/usage/schema.ts'
import { formatDollars, speaker } from '../../shell/language.svelte.ts'
import { texts } from './texts.ts'

const say = speaker(texts)

/** The limits in words; empty where there are none of its own. */
export function quotaParts({
  requests_per_day: requests,
  tokens_per_day: tokens,
  cost_per_day_usd: cost,
}: QuotaAnswer): readonly string[] {
  return [
    ...(requests === null ? [] : [say('quotaRequests', { count: limit(requests) })]),
    ...(tokens === null ? [] : [say('quotaTokens', { count: limit(tokens) })]),
    ...(cost === null ? [] : [cost === 0 ? `$ ${say('unlimited')}` : formatDollars(cost)]),
  ]
}

const limit = (count: number) => (count === 0 ? say('unlimited') : count)
