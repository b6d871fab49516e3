import type { TrainingExample } from '../engine/train/example.ts'
import { AppError } from '../errors.ts'
import { bootstrapRatio, wilson } from '../statistics.ts'
import {
  type Both,
  type Contestant,
  type ExampleScore,
  type Likelihood,
  type Progress,
  type Score,
  sides,
  type Work,
} from './evaluation.ts'
import type { EstimateBody, LikelihoodBody, PreferencesBody } from './report-schema.ts'

/** What both models make of the same examples, in their order. */
export type ScoredExample = Readonly<{ example: TrainingExample }> & Both<ExampleScore>

/** Scores examples with both, one after the other. Gives why it cannot be done where one of them is not on this machine. */
export async function scoreBoth(
  { score, findFiles }: Pick<Work, 'score' | 'findFiles'>,
  contestants: Both<Contestant>,
  examples: readonly TrainingExample[],
  { onProgress, signal }: Readonly<{ onProgress: (progress: Progress) => void; signal: AbortSignal }>,
): Promise<Readonly<{ scored: readonly ScoredExample[] }> | Readonly<{ unavailable: string }>> {
  if (examples.length === 0) return { scored: [] }
  const files = { baseline: await findFiles(contestants.baseline), candidate: await findFiles(contestants.candidate) }
  for (const side of sides) {
    if (files[side] === undefined)
      return { unavailable: `"${contestants[side].model}" is not on this machine: how likely it finds a text is not known.` }
  }
  const scoreOne = async (side: keyof typeof files): Promise<readonly ExampleScore[]> => {
    const model = files[side]
    if (model === undefined) return []
    const stage = `score-${side}` as const
    const total = examples.length
    onProgress({ stage, done: 0, total })
    const scores = await score(model, examples, { onProgress: (done) => onProgress({ stage, done, total }), signal })
    if (scores.length === total) return scores
    throw new AppError('internal', `${total} examples were to be scored, but there are ${scores.length} scores.`)
  }
  const [baseline, candidate] = [await scoreOne('baseline'), await scoreOne('candidate')]
  return {
    scored: examples.map((example, at) => ({ example, baseline: scoreAt(baseline, at), candidate: scoreAt(candidate, at) })),
  }
}

const scoreAt = (scores: Awaited<ReturnType<Score>>, at: number): ExampleScore => scores[at] ?? { type: 'left-out' }

const mostShown = 5

/** Of texts and conversations; undefined where there are none. Preferences are left to `comparePreferences`. */
export function compareLikelihoods(examples: readonly ScoredExample[]): LikelihoodBody | undefined {
  const wanted = examples.filter(({ example }) => example.type !== 'preference')
  if (wanted.length === 0) return undefined
  const texts = wanted.flatMap(({ example, baseline, candidate }) =>
    baseline.type === 'text' && candidate.type === 'text' && baseline.logprob < 0 ? [{ example, baseline, candidate }] : [],
  )
  if (texts.length === 0) return undefined
  const worse = texts
    .map(({ example, baseline, candidate }) => ({
      text: toText(example),
      baseline: lossOf(baseline),
      candidate: lossOf(candidate),
      change: baseline.logprob - candidate.logprob,
    }))
    .filter(({ change }) => change > 0)
    .toSorted((one, other) => other.change - one.change)
  return {
    texts: texts.length,
    left_out: wanted.length - texts.length,
    baseline: sumUp(texts.map(({ baseline }) => baseline)),
    candidate: sumUp(texts.map(({ candidate }) => candidate)),
    change_percent: changeOf(texts),
    most_worse: worse.slice(0, mostShown).map(({ change: _, ...shown }) => shown),
  }
}

/**
 * All texts together, so that models with different tokens can be compared: the probability of a text does not depend on how it is cut.
 */
function changeOf(texts: ReadonlyArray<Both<Likelihood>>): EstimateBody {
  const { mean, low, high } = bootstrapRatio(texts.map(({ baseline, candidate }) => [candidate.logprob, baseline.logprob]))
  const toPercent = (ratio: number) => 100 * (ratio - 1)
  return { value: toPercent(mean), low: toPercent(low), high: toPercent(high) }
}

const lossOf = ({ logprob, tokens }: Likelihood) => (tokens === 0 ? 0 : -logprob / tokens)

function sumUp(likelihoods: readonly Likelihood[]) {
  const tokens = likelihoods.reduce((sum, one) => sum + one.tokens, 0)
  const loss = lossOf({ logprob: likelihoods.reduce((sum, one) => sum + one.logprob, 0), tokens })
  return { loss, perplexity: Math.exp(loss), tokens }
}

/** The last message of a conversation: what was scored, among the answers before it. */
function toText(example: TrainingExample): string {
  if (example.type === 'text') return example.text
  return example.messages
    .slice(-2)
    .map(({ content }) => content)
    .join(' → ')
}

/**
 * How well both tell chosen from rejected answers; undefined where there are no pairs.
 * Source of the reward: Rafailov et al., "Direct Preference Optimization" (2023): how much likelier the candidate has made an answer than
 * it was for the baseline.
 */
export function comparePreferences(examples: readonly ScoredExample[]): PreferencesBody | undefined {
  const wanted = examples.filter(({ example }) => example.type === 'preference')
  const pairs = wanted.flatMap(({ baseline, candidate }) =>
    baseline.type === 'pair' && candidate.type === 'pair' ? [{ baseline, candidate }] : [],
  )
  if (pairs.length === 0) return undefined
  const bySum = (of: (pair: Both<Pair>) => Pair) => accuracyOf(pairs.map((pair) => marginOf(of(pair), ({ logprob }) => logprob)))
  const byMean = (of: (pair: Both<Pair>) => Pair) => accuracyOf(pairs.map((pair) => marginOf(of(pair), (one) => -lossOf(one))))
  const rewards = pairs.map(({ baseline, candidate }) => {
    return marginOf(candidate, ({ logprob }) => logprob) - marginOf(baseline, ({ logprob }) => logprob)
  })
  return {
    pairs: pairs.length,
    left_out: wanted.length - pairs.length,
    by_reward: accuracyOf(rewards),
    by_sum: { baseline: bySum((pair) => pair.baseline), candidate: bySum((pair) => pair.candidate) },
    by_mean: { baseline: byMean((pair) => pair.baseline), candidate: byMean((pair) => pair.candidate) },
  }
}

type Pair = Extract<ExampleScore, { type: 'pair' }>

const marginOf = ({ chosen, rejected }: Pair, value: (of: Likelihood) => number) => value(chosen) - value(rejected)

/** The share of margins above 0; of those that are 0, half. */
function accuracyOf(margins: readonly number[]): PreferencesBody['by_reward'] {
  const right = margins.reduce((sum, margin) => sum + (margin > 0 ? 1 : margin === 0 ? 0.5 : 0), 0)
  return { pairs: margins.length, right, accuracy: { value: right / margins.length, ...wilson(right, margins.length) } }
}
