/** An answer repeats a passage when its latest tokens, so many at least, came before in this order. */
const shortestMatch = 3
/**
 * How often the token after a match is the same again, by the length of the match (3, 4–7, 8–15, 16–31, 32 and more), before an
 * answer has shown how often that is in it.
 */
const usualChances = [0.4, 0.6, 0.8, 0.9, 0.95]
/** How many guesses of an answer weigh as much as what is usual. */
const usualWeight = 4

/** Guesses how an answer goes on that repeats a passage of its prompt or of itself. */
export interface PromptLookup {
  /** Adds the token that came next. Whether the guess was right is remembered, also when nobody asked for it: that costs nothing. */
  add(token: number): void
  /** What followed the passage that the latest tokens repeat, `count` tokens at most; empty when they repeat none. */
  guess(count: number): readonly number[]
  /** How many tokens the guess has at most. */
  length(): number
  /** How likely the next token of the guess is right, if those before it are: from 0 to 1. */
  chance(): number
}

/** Prompt lookup decoding (Saxena 2023), with the answer's own record of right guesses. */
export function createPromptLookup(prompt: readonly number[]): PromptLookup {
  const tokens: number[] = []
  /** By the hash of the tokens before it: the latest position where they were followed by something. */
  const followers = new Map<number, number>()
  const right = usualChances.map((chance) => chance * usualWeight)
  const tried = usualChances.map(() => usualWeight)
  /** The position whose token is the guess, and the length of the match before it; 0 when there is no guess. */
  let position = 0
  let matched = 0

  function matchBefore(earlier: number): number {
    let length = 0
    while (length < earlier && tokens[earlier - 1 - length] === tokens[tokens.length - 1 - length]) length += 1
    return length
  }

  function find(): void {
    const earlier = followers.get(hashOfLast(tokens))
    const length = earlier === undefined ? 0 : matchBefore(earlier)
    matched = length >= shortestMatch ? length : 0
    position = earlier ?? 0
  }

  function append(token: number): void {
    followers.set(hashOfLast(tokens), tokens.length)
    tokens.push(token)
  }

  function add(token: number): void {
    const isRight = tokens[position] === token
    if (matched > 0) {
      const length = lengthClass(matched)
      tried[length] = (tried[length] ?? 0) + 1
      if (isRight) right[length] = (right[length] ?? 0) + 1
    }
    append(token)
    if (matched > 0 && isRight) {
      position += 1
      matched += 1
    } else find()
  }

  for (const token of prompt) append(token)
  find()
  return {
    add,
    guess: (count) => (matched > 0 ? tokens.slice(position, position + count) : []),
    length: () => (matched > 0 ? tokens.length - position : 0),
    chance() {
      const length = lengthClass(matched)
      return matched > 0 ? (right[length] ?? 0) / (tried[length] ?? 1) : 0
    },
  }
}

const lengthClass = (matched: number) => Math.min(usualChances.length - 1, Math.max(0, Math.floor(Math.log2(matched)) - 1))

/** Of the last tokens of the list, as many as the shortest match has. Two lists may have the same one: a match is compared. */
function hashOfLast(tokens: readonly number[]): number {
  let hash = 0
  for (let index = tokens.length - shortestMatch; index < tokens.length; index += 1) {
    hash = (Math.imul(hash, 0x9e3779b1) + (tokens[index] ?? -1)) | 0
  }
  return hash
}
