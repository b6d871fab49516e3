import { AppError } from '../../errors.ts'

const noNumbers = 'The model computes no numbers any more: its file may be damaged, or the prompt too much for it.'

/** The token with the highest score, the first one of equals. Throws `internal` when none of the scores is a number. */
export function likeliest(scores: Float32Array): number {
  const token = findLikeliest(scores)
  if (token === undefined) throw new AppError('internal', noNumbers)
  return token
}

/** Undefined when none of the scores is a number. */
export function findLikeliest(scores: Float32Array): number | undefined {
  let best: number | undefined
  forEachAbove(scores, Number.NEGATIVE_INFINITY, (token, score) => {
    best = token
    return score
  })
  return best
}

/** The `count` likeliest tokens, likeliest first: nearly all others cost one comparison. */
export function mostLikely(scores: Float32Array, count: number): number[] {
  const tokens: number[] = []
  if (count === 0) return tokens
  forEachAbove(scores, Number.NEGATIVE_INFINITY, (token, score) => {
    tokens.splice(placeOf(scores, tokens, score), 0, token)
    if (tokens.length > count) tokens.pop()
    return tokens.length === count ? (scores[tokens.at(-1) ?? 0] ?? score) : Number.NEGATIVE_INFINITY
  })
  return tokens
}

/**
 * Calls `found` for each score above a bound, which each call may raise, in order. Eight comparisons at a time: hardly any score is
 * above the bound, and one by one the 262,144 scores of a large vocabulary take two to four times as long. Numbers that are not
 * negative are ordered as their bits are, which are above those of negative ones too, and whole numbers are compared faster still.
 */
function forEachAbove(scores: Float32Array, from: number, found: (token: number, score: number) => number): void {
  const bits = new Int32Array(scores.buffer, scores.byteOffset, scores.length)
  const whole = scores.length - (scores.length % 8)
  let bound = from
  const visit = (start: number, end: number) => {
    for (let token = start; token < end; token += 1) {
      const score = scores[token] ?? Number.NEGATIVE_INFINITY
      if (score > bound) bound = found(token, score)
    }
  }
  let at = 0
  for (; at < whole && bound < 0; at += 8) if (isAnyAbove(scores, at, bound)) visit(at, at + 8)
  let boundBits = bitsOf(bound)
  for (; at < whole; at += 8) {
    // The bits of NaN are above all others: the visit sorts it out.
    if (!areAnyBitsAbove(bits, at, boundBits)) continue
    visit(at, at + 8)
    boundBits = bitsOf(bound)
  }
  visit(whole, scores.length)
}

function isAnyAbove(scores: Float32Array, at: number, bound: number): boolean {
  return (
    (scores[at] ?? bound) > bound ||
    (scores[at + 1] ?? bound) > bound ||
    (scores[at + 2] ?? bound) > bound ||
    (scores[at + 3] ?? bound) > bound ||
    (scores[at + 4] ?? bound) > bound ||
    (scores[at + 5] ?? bound) > bound ||
    (scores[at + 6] ?? bound) > bound ||
    (scores[at + 7] ?? bound) > bound
  )
}

/** The same for whole numbers: one function for both would be compiled for neither. */
function areAnyBitsAbove(bits: Int32Array, at: number, bound: number): boolean {
  return (
    (bits[at] ?? bound) > bound ||
    (bits[at + 1] ?? bound) > bound ||
    (bits[at + 2] ?? bound) > bound ||
    (bits[at + 3] ?? bound) > bound ||
    (bits[at + 4] ?? bound) > bound ||
    (bits[at + 5] ?? bound) > bound ||
    (bits[at + 6] ?? bound) > bound ||
    (bits[at + 7] ?? bound) > bound
  )
}

const oneFloat = new Float32Array(1)
const oneInt = new Int32Array(oneFloat.buffer)

/** Those of a 32-bit float, as a whole number. */
function bitsOf(number: number): number {
  oneFloat[0] = number
  return oneInt[0] ?? 0
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
