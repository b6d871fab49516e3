import { randomInt } from 'node:crypto'

/**
 * A piece of a prompt. In a `special` one the strings of control tokens are the tokens; in the others they are the
 * letters that somebody typed. The tokenizer takes the pieces one by one.
 */
export type PromptPart = Readonly<{ text: string; special: boolean }>

type TokenIndex = Readonly<{ tokens: ReadonlySet<string>; lengths: readonly number[]; beginnings: ReadonlySet<string> }>

// A vocabulary has thousands of control tokens and does not change: one index for each list.
const indexes = new WeakMap<readonly string[], TokenIndex>()

function indexOf(controlTokens: readonly string[]): TokenIndex {
  const known = indexes.get(controlTokens)
  if (known !== undefined) return known
  const tokens = new Set(controlTokens.filter((token) => token.length > 0))
  const lengths = [...new Set([...tokens].map((token) => token.length))].sort((left, right) => right - left)
  const beginnings = new Set<string>()
  for (const token of tokens) for (let end = 1; end < token.length; end++) beginnings.add(token.slice(0, end))
  const index = { tokens, lengths, beginnings }
  indexes.set(controlTokens, index)
  return index
}

function tokenAt(text: string, at: number, { tokens, lengths }: TokenIndex): string | undefined {
  for (const length of lengths) {
    const candidate = text.slice(at, at + length)
    if (candidate.length === length && tokens.has(candidate)) return candidate
  }
  return undefined
}

/** The end of a text that another text could complete to a control token; templates trim, so white space after it does not count. */
function danglingEnd(text: string, { lengths, beginnings }: TokenIndex): { at: number; end: number } | undefined {
  const end = text.trimEnd().length
  for (let length = Math.min(end, lengths[0] ?? 0); length > 0; length--) {
    if (beginnings.has(text.slice(end - length, end))) return { at: end - length, end }
  }
  return undefined
}

// Private-use characters: no case, no white space, not escaped by JSON. The random part cannot be guessed by who writes a message.
const firstDigit = 0xe100
const digitCount = 0x100
const digits = (value: number, count: number) =>
  Array.from({ length: count }, (_, place) =>
    String.fromCharCode(firstDigit + (Math.floor(value / digitCount ** place) % digitCount)),
  ).join('')
const numberWidth = 4
const numberOf = (text: string) =>
  text.length < numberWidth
    ? -1
    : Array.from({ length: numberWidth }, (_, place) => (text.charCodeAt(place) - firstDigit) * digitCount ** place).reduce(
        (sum, value) => sum + value,
      )

/**
 * Keeps the control tokens that people typed out of a template's reach: `hide` puts a mark in place of each, and
 * `reveal` cuts the rendered text at the marks. One instance serves one rendering.
 */
export function createTokenCover(controlTokens: readonly string[]) {
  const index = indexOf(controlTokens)
  const firstCharacters = new Set([...index.tokens].map((token) => token.charAt(0)))
  const nonce = `\ue000${digits(randomInt(2 ** 47), 6)}${digits(randomInt(2 ** 47), 6)}`
  const hidden: string[] = []

  // No text has this number.
  const end = `${nonce}${digits(digitCount ** numberWidth - 1, numberWidth)}`

  const mark = (text: string) => `${nonce}${digits(hidden.push(text) - 1, numberWidth)}`

  function hide(text: string): string {
    const dangling = danglingEnd(text, index)
    let covered = ''
    let at = 0
    while (at < text.length) {
      const token = firstCharacters.has(text.charAt(at)) ? tokenAt(text, at, index) : undefined
      const piece = token ?? (dangling?.at === at ? text.slice(at, dangling.end) : undefined)
      covered += piece === undefined ? text.charAt(at) : mark(piece)
      at += piece?.length ?? 1
    }
    return covered
  }

  function reveal(rendered: string): readonly PromptPart[] {
    const [first = '', ...rest] = rendered.split(nonce)
    const parts: PromptPart[] = [{ text: first, special: true }]
    for (const piece of rest) {
      const original = hidden[numberOf(piece)]
      // A mark that the template cut short has lost its number: what it stood for is lost with it.
      if (original !== undefined) parts.push({ text: original, special: false })
      parts.push({ text: piece.slice(original === undefined ? 0 : numberWidth), special: true })
    }
    return parts.filter((part) => part.text !== '')
  }

  /** `end`: a mark that stands for nothing, to be found again in the rendered text. */
  return { hide, reveal, end }
}
