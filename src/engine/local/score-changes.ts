import type { SamplingParameters } from '../provider.ts'

/** How many of the latest tokens a repeat penalty looks at. */
const penaltyWindow = 64
/** A bias from here down forbids a token, however likely the model finds it. */
const forbidden = -100

type Parameters = Pick<SamplingParameters, 'repeatPenalty' | 'frequencyPenalty' | 'presencePenalty' | 'logitBias'>

/** What the caller changes in a model's scores before a token is chosen. */
export interface ScoreChanges {
  /** Changes the scores in place. */
  apply(scores: Float32Array): void
  /** Told each token of the answer. */
  add(token: number): void
}

/**
 * Biases, the repeat penalty over the latest tokens of prompt and answer, and OpenAI's penalties over the tokens of the answer: in that
 * order, as llama.cpp has it. What is not asked for costs nothing.
 */
export function createScoreChanges(parameters: Parameters, prompt: readonly number[]): ScoreChanges {
  const { repeatPenalty, frequencyPenalty = 0, presencePenalty = 0, logitBias = {} } = parameters
  const biases = Object.entries(logitBias).map(([token, bias]) => [Number(token), bias] as const)
  const changes = [
    ...(biases.length > 0 ? [biasing(biases)] : []),
    ...(repeatPenalty !== 1 ? [penalizingRepeats(repeatPenalty, prompt)] : []),
    ...(frequencyPenalty !== 0 || presencePenalty !== 0 ? [penalizingSaid(frequencyPenalty, presencePenalty)] : []),
  ]
  return {
    apply(scores) {
      for (const change of changes) change.apply(scores)
    },
    add(token) {
      for (const change of changes) change.add(token)
    },
  }
}

function biasing(biases: ReadonlyArray<readonly [token: number, bias: number]>): ScoreChanges {
  return {
    apply(scores) {
      for (const [token, bias] of biases) {
        scores[token] = bias <= forbidden ? Number.NEGATIVE_INFINITY : (scores[token] ?? 0) + bias
      }
    },
    add() {},
  }
}

function penalizingRepeats(penalty: number, prompt: readonly number[]): ScoreChanges {
  const recent = prompt.slice(-penaltyWindow)
  return {
    apply(scores) {
      for (const token of new Set(recent)) {
        const score = scores[token] ?? 0
        scores[token] = score > 0 ? score / penalty : score * penalty
      }
    },
    add(token) {
      recent.push(token)
      if (recent.length > penaltyWindow) recent.shift()
    },
  }
}

/** https://platform.openai.com/docs/advanced-usage: one part for each time that the token was said, one for its being said at all. */
function penalizingSaid(frequencyPenalty: number, presencePenalty: number): ScoreChanges {
  const counts = new Map<number, number>()
  return {
    apply(scores) {
      for (const [token, count] of counts) {
        scores[token] = (scores[token] ?? 0) - count * frequencyPenalty - presencePenalty
      }
    },
    add: (token) => void counts.set(token, (counts.get(token) ?? 0) + 1),
  }
}
