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
