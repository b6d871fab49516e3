import type { SamplingParameters } from '../engine/provider.ts'
import type { Predict } from '../predict/predict.ts'
import { formatCalls } from './answer-text.ts'
import type { Ask } from './evaluation.ts'

/** The likeliest token each time, with nothing else in its way. */
const greedy = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repeatPenalty: 1,
  seed: undefined,
} as const satisfies SamplingParameters

/**
 * Asks by the one way to an answer: with the quotas of who has started the evaluation, in turn with all others. What is asked here is not
 * remembered. A model elsewhere is told of no temperature but its own: some refuse any other.
 */
export function createAsk(predict: Pick<Predict, 'complete'>): Ask {
  return async ({ provider, model, ranOn }, { prompt, maxTokens, format }, asker, signal) => {
    const request = {
      prompt,
      maxTokens,
      choices: 1,
      sampling: { ...greedy, given: ranOn === 'local' ? (['temperature'] as const) : [] },
      stop: [],
      ...(format === undefined ? {} : { format }),
      model,
      provider,
      remember: false,
    }
    const { choices, usage, timings } = await predict.complete(request, asker, signal)
    const { text = '', toolCalls = [] } = choices[0] ?? {}
    return {
      text: text === '' ? formatCalls(toolCalls) : text,
      tokens: usage.completionTokens,
      tokensPerSecond: timings.tokensPerSecond,
    }
  }
}
