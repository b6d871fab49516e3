import type { SamplingParameters } from '../provider.ts'
import type { GrammarState } from './backend.ts'
import { likeliest, mostLikely } from './likeliest.ts'
import { createRandom } from './random.ts'
import { createScoreChanges } from './score-changes.ts'

/** Tokens less likely than the likeliest by this factor (e^20, about 5·10⁸) are never drawn: it spares work on 262,144 scores. */
const negligible = 20
const buckets = 256
/** How far below the likeliest the tokens are that a grammar is asked about, one bunch after the other. */
const bunches = [negligible / 4, negligible / 2, (3 * negligible) / 4, negligible]

export type ChoiceParameters = Omit<SamplingParameters, 'seed'> & Readonly<{ seed: number }>

export interface Sampler {
  /**
   * Chooses the next token from its scores (`[vocabulary]`, changed in place) and remembers it.
   * Undefined when a grammar allows no token at all. Throws `internal` when none of the scores is a number.
   */
  sample(scores: Float32Array): number | undefined
}

/**
 * Biases and penalties, top-k, top-p, min-p, temperature: in that order, as llama.cpp and its clients have it. The cuts look at the
 * probabilities before the temperature, which is for what they leave. The same scores, parameters and seed give the same tokens.
 */
export function createSampler(
  parameters: ChoiceParameters,
  prompt: readonly number[],
  grammar: Pick<GrammarState, 'allowed' | 'accept'> | undefined,
): Sampler {
  const random = createRandom(parameters.seed)
  const changes = createScoreChanges(parameters, prompt)
  /** `kept`: the tokens that have a finite score, where they are known. */
  const choose = (scores: Float32Array, kept?: readonly number[]) => {
    const { temperature, topK, topP, minP } = parameters
    if (temperature === 0) return likeliest(scores)
    if (topK === 0 && topP === 1 && minP === 0)
      return kept === undefined ? drawFromAll(scores, temperature, random) : draw(scores, kept, temperature, random)
    return draw(scores, cut(scores, parameters), temperature, random)
  }

  return {
    sample(scores) {
      changes.apply(scores)
      let token = choose(scores)
      if (grammar !== undefined && grammar.allowed([token])[0] !== true) {
        const kept = keepAllowed(scores, grammar)
        if (kept === undefined) return undefined
        token = choose(scores, kept)
      }
      grammar?.accept(token)
      changes.add(token)
      return token
    },
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

/** Takes away what the grammar forbids; undefined when nothing is left. Asks in bunches, the likeliest first, as asking for all is slow. */
function keepAllowed(scores: Float32Array, grammar: Pick<GrammarState, 'allowed'>): readonly number[] | undefined {
  const highest = scores[likeliest(scores)] ?? 0
  let asked = Number.POSITIVE_INFINITY
  // A token that the caller forbids has no finite score.
  for (const lowest of [...bunches.map((distance) => highest - distance), -Number.MAX_VALUE]) {
    const tokens = tokensBetween(scores, lowest, asked)
    asked = lowest
    const allowed = grammar.allowed(tokens)
    const kept = tokens.filter((_, index) => allowed[index] === true)
    if (kept.length === 0) continue
    const keptScores = kept.map((token) => scores[token] ?? 0)
    scores.fill(Number.NEGATIVE_INFINITY)
    for (const [index, token] of kept.entries()) scores[token] = keptScores[index] ?? 0
    return kept
  }
  return undefined
}

/** Those from `lowest` on that are below `bound`. */
function tokensBetween(scores: Float32Array, lowest: number, bound: number): number[] {
  const tokens: number[] = []
  for (let token = 0; token < scores.length; token += 1) {
    const score = scores[token] ?? Number.NEGATIVE_INFINITY
    if (score >= lowest && score < bound) tokens.push(token)
  }
  return tokens
}
