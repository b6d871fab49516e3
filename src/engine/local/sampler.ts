import { AppError } from '../../errors.ts'
import type { SamplingParameters } from '../provider.ts'
import type { GrammarState } from './backend.ts'
import { createRandom } from './random.ts'

/** How many of the latest tokens a repeat penalty looks at. */
const penaltyWindow = 64
/** Tokens less likely than the likeliest by this factor (e^20, about 5·10⁸) are never drawn: it spares work on 262,144 scores. */
const negligible = 20
const buckets = 256
const noNumbers = 'The model computes no numbers any more: its file may be damaged, or the prompt too much for it.'

export type ChoiceParameters = Omit<SamplingParameters, 'seed'> & Readonly<{ seed: number }>

export interface Sampler {
  /**
   * Chooses the next token from its scores (`[vocabulary]`, changed in place) and remembers it.
   * Undefined when a grammar allows no token at all. Throws `internal` when none of the scores is a number.
   */
  sample(scores: Float32Array): number | undefined
}

/**
 * Repeat penalty, top-k, top-p, min-p, temperature: in that order, as llama.cpp and its clients have it. The cuts look at the
 * model's own probabilities, the temperature only at what is left. The same scores, parameters and seed give the same tokens.
 */
export function createSampler(
  parameters: ChoiceParameters,
  prompt: readonly number[],
  grammar: GrammarState | undefined,
): Sampler {
  const random = createRandom(parameters.seed)
  const recent = prompt.slice(-penaltyWindow)
  const choose = (scores: Float32Array) => {
    const { temperature, topK, topP, minP } = parameters
    if (temperature === 0) return likeliest(scores)
    if (topK === 0 && topP === 1 && minP === 0) return drawFromAll(scores, temperature, random)
    return draw(scores, cut(scores, parameters), temperature, random)
  }

  return {
    sample(scores) {
      if (parameters.repeatPenalty !== 1) penalize(scores, recent, parameters.repeatPenalty)
      let token = choose(scores)
      if (grammar !== undefined && grammar.allowed([token])[0] !== true) {
        if (!keepAllowed(scores, grammar)) return undefined
        token = choose(scores)
      }
      grammar?.accept(token)
      recent.push(token)
      if (recent.length > penaltyWindow) recent.shift()
      return token
    },
  }
}

function likeliest(scores: Float32Array): number {
  let best = 0
  let highest = Number.NEGATIVE_INFINITY
  forEachAbove(scores, highest, (token, score) => {
    best = token
    highest = score
    return highest
  })
  if (highest === Number.NEGATIVE_INFINITY) throw new AppError('internal', noNumbers)
  return best
}

/**
 * Calls `found` for each score above a bound, which each call may raise, in order. Eight comparisons at a time: hardly any score is
 * above the bound, and one by one the 262,144 scores of a large vocabulary take two to four times as long.
 */
function forEachAbove(scores: Float32Array, from: number, found: (token: number, score: number) => number): void {
  let bound = from
  const visit = (start: number, end: number) => {
    for (let token = start; token < end; token += 1) {
      const score = scores[token] ?? Number.NEGATIVE_INFINITY
      if (score > bound) bound = found(token, score)
    }
  }
  const whole = scores.length - (scores.length % 8)
  for (let at = 0; at < whole; at += 8) {
    if (
      (scores[at] ?? bound) > bound ||
      (scores[at + 1] ?? bound) > bound ||
      (scores[at + 2] ?? bound) > bound ||
      (scores[at + 3] ?? bound) > bound ||
      (scores[at + 4] ?? bound) > bound ||
      (scores[at + 5] ?? bound) > bound ||
      (scores[at + 6] ?? bound) > bound ||
      (scores[at + 7] ?? bound) > bound
    ) {
      visit(at, at + 8)
    }
  }
  visit(whole, scores.length)
}

function penalize(scores: Float32Array, tokens: readonly number[], penalty: number): void {
  for (const token of new Set(tokens)) {
    const score = scores[token] ?? 0
    scores[token] = score > 0 ? score / penalty : score * penalty
  }
}

/** Nothing is cut: two passes over the scores, and no list of them. */
function drawFromAll(scores: Float32Array, temperature: number, random: () => number): number {
  const best = likeliest(scores)
  const highest = scores[best] ?? 0
  const floor = highest - negligible * temperature
  let mass = 0
  for (let token = 0; token < scores.length; token += 1) {
    const score = scores[token] ?? Number.NEGATIVE_INFINITY
    if (score >= floor) mass += Math.exp((score - highest) / temperature)
  }
  let left = random() * mass
  for (let token = 0; token < scores.length; token += 1) {
    const score = scores[token] ?? Number.NEGATIVE_INFINITY
    if (!(score >= floor)) continue
    left -= Math.exp((score - highest) / temperature)
    if (left < 0) return token
  }
  return best
}

/** The tokens that may be drawn. */
function cut(scores: Float32Array, parameters: ChoiceParameters): number[] {
  const { temperature, topK, topP, minP } = parameters
  // Likeliest first, so that the scores are gone through once only.
  const first = topK > 0 ? mostLikely(scores, topK) : []
  const highest = scores[first[0] ?? likeliest(scores)] ?? 0
  const leastLikely = highest + Math.log(minP)
  if (topK === 0 && topP === 1) return tokensFrom(scores, leastLikely)
  const floor = highest - negligible * Math.max(temperature, 1)
  const likely = topK > 0 ? nucleusOf(scores, first, highest, topP) : nucleusOfAll(scores, floor, highest, topP)
  return likely.filter((token) => (scores[token] ?? 0) >= leastLikely)
}

/** Top-p of some tokens. */
function nucleusOf(scores: Float32Array, tokens: readonly number[], highest: number, topP: number): readonly number[] {
  return topP < 1 ? nucleus(scores, tokens, highest, topP * massOf(scores, tokens, highest)) : tokens
}

/** The `count` likeliest tokens, likeliest first: nearly all others cost one comparison. */
function mostLikely(scores: Float32Array, count: number): number[] {
  const tokens: number[] = []
  forEachAbove(scores, Number.NEGATIVE_INFINITY, (token, score) => {
    tokens.splice(placeOf(scores, tokens, score), 0, token)
    if (tokens.length > count) tokens.pop()
    return tokens.length === count ? (scores[tokens.at(-1) ?? 0] ?? score) : Number.NEGATIVE_INFINITY
  })
  return tokens
}

/** Behind all that are at least as likely: a binary search. */
function placeOf(scores: Float32Array, tokens: readonly number[], score: number): number {
  let from = 0
  let to = tokens.length
  while (from < to) {
    const middle = (from + to) >> 1
    if ((scores[tokens[middle] ?? 0] ?? 0) >= score) from = middle + 1
    else to = middle
  }
  return from
}

function tokensFrom(scores: Float32Array, lowest: number): number[] {
  const tokens: number[] = []
  for (let token = 0; token < scores.length; token += 1) {
    if ((scores[token] ?? Number.NEGATIVE_INFINITY) >= lowest) tokens.push(token)
  }
  return tokens
}

/** Top-p of the whole vocabulary. A histogram tells above which score they lie, so that only those few must be sorted. */
function nucleusOfAll(scores: Float32Array, floor: number, highest: number, topP: number): number[] {
  const masses = new Float64Array(buckets + 1)
  const scale = buckets / (highest - floor)
  for (let token = 0; token < scores.length; token += 1) {
    const score = scores[token] ?? Number.NEGATIVE_INFINITY
    if (!(score >= floor)) continue
    const bucket = Math.floor((score - floor) * scale)
    masses[bucket] = (masses[bucket] ?? 0) + Math.exp(score - highest)
  }
  const mass = topP * masses.reduce((sum, one) => sum + one, 0)
  let reached = 0
  let bucket = buckets
  for (; bucket > 0 && reached < mass; bucket -= 1) reached += masses[bucket] ?? 0
  // One bucket further down than needed: rounding must not cut a token that belongs.
  const tokens = tokensFrom(scores, floor + (bucket - 1) / scale)
  return nucleus(
    scores,
    tokens.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b),
    highest,
    mass,
  )
}

function massOf(scores: Float32Array, tokens: readonly number[], highest: number): number {
  return tokens.reduce((sum, token) => sum + Math.exp((scores[token] ?? 0) - highest), 0)
}

/** The shortest beginning of `tokens` (likeliest first) whose weights reach `mass`. Holtzman et al. 2019. */
function nucleus(scores: Float32Array, tokens: readonly number[], highest: number, mass: number): number[] {
  let reached = 0
  const last = tokens.findIndex((token) => {
    reached += Math.exp((scores[token] ?? 0) - highest)
    return reached >= mass
  })
  return last < 0 ? [...tokens] : tokens.slice(0, last + 1)
}

function draw(scores: Float32Array, tokens: readonly number[], temperature: number, random: () => number): number {
  const highest = tokens.reduce((found, token) => Math.max(found, scores[token] ?? found), Number.NEGATIVE_INFINITY)
  const chances = tokens.map((token) => Math.exp(((scores[token] ?? 0) - highest) / temperature))
  let left = random() * chances.reduce((sum, chance) => sum + chance, 0)
  const index = chances.findIndex((chance) => {
    left -= chance
    return left < 0
  })
  return tokens[index < 0 ? tokens.length - 1 : index] ?? 0
}

/** Takes away what the grammar forbids. Asks for the likeliest tokens first, since asking for all of them is slow. */
function keepAllowed(scores: Float32Array, grammar: GrammarState): boolean {
  const highest = scores[likeliest(scores)] ?? 0
  for (const margin of [negligible / 4, negligible / 2, Number.POSITIVE_INFINITY]) {
    const tokens = tokensFrom(scores, highest - margin)
    const allowed = grammar.allowed(tokens)
    if (!allowed.includes(true)) continue
    const kept = new Map(tokens.flatMap((token, index) => (allowed[index] === true ? [[token, scores[token] ?? 0]] : [])))
    scores.fill(Number.NEGATIVE_INFINITY)
    for (const [token, score] of kept) scores[token] = score
    return true
  }
  return false
}
