import type { TokenLogprob, TokenScore } from '../provider.ts'

/** What can be shown, and the tokens that begin in it, where they are asked for. The last text of an answer may be empty. */
export type Shown = Readonly<{ text: string; tokens: readonly TokenLogprob[] }>

/** Turns the bytes of an answer into text that can be shown, and notices where it must end. */
export interface TextStream {
  /** Adds the bytes of one token. Returns what is safe to show now, and the stop text that was met, if one was. */
  add(bytes: Uint8Array, token?: TokenLogprob): Shown & Readonly<{ stopText: string | undefined }>
  /** What was held back, at the end of an answer that met no stop text. An unfinished character is dropped. */
  end(): Shown
}

/**
 * Holds back bytes until they are whole characters, and characters as long as they may be the beginning of a stop text.
 * The stop text itself is never shown; when two match, the one that is complete first wins. A token comes with the first of its text, so
 * one that the stop text begins in is still given, and those behind are not. `dropsFirstSpace`: for prompts after
 * which a model begins with the space between its words and the prompt's.
 */
export function createTextStream(stopTexts: readonly string[], { dropsFirstSpace = false } = {}): TextStream {
  // Half a surrogate pair would cut a character in two.
  const stops = stopTexts.map((stop) => stop.toWellFormed())
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const waiting = createWaitingTokens()
  let held = ''
  let begun = !dropsFirstSpace

  /** The characters that the bytes complete, and whether a first space before them was left out. */
  function decode(bytes: Uint8Array): Readonly<{ text: string; dropped: boolean }> {
    const text = decoder.decode(bytes, { stream: true })
    if (begun || text === '') return { text, dropped: false }
    begun = true
    const dropped = text.startsWith(' ')
    return { text: dropped ? text.slice(1) : text, dropped }
  }

  function show(length: number): string {
    const text = held.slice(0, length)
    held = held.slice(length)
    return text
  }

  return {
    add(bytes, token) {
      const { text: added, dropped } = decode(bytes)
      if (token !== undefined) waiting.add(dropped ? withoutFirstSpace(token) : token, held.length)
      held += added
      const stop = firstStop(held, stops)
      const text = show(stop?.at ?? held.length - heldBack(held, stops))
      const tokens = waiting.take(text.length)
      if (stop !== undefined) held = ''
      return { text, tokens, stopText: stop === undefined ? undefined : stopTexts[stop.index] }
    },
    end: () => ({ text: show(held.length), tokens: waiting.take(Number.POSITIVE_INFINITY) }),
  }
}

const noTokens: readonly TokenLogprob[] = []

/** Tokens whose text is held back, each with its place in that text. */
function createWaitingTokens() {
  let waiting: Array<{ token: TokenLogprob; at: number }> = []
  return {
    add: (token: TokenLogprob, at: number) => void waiting.push({ token, at }),
    /** Those that begin in the first `length` characters, which are held back no longer. */
    take(length: number): readonly TokenLogprob[] {
      if (waiting.length === 0) return noTokens
      const shown = waiting.filter(({ at }) => at < length)
      waiting = waiting.slice(shown.length).map(({ token, at }) => ({ token, at: at - length }))
      return shown.map(({ token }) => token)
    },
  }
}

function withoutFirstSpace(token: TokenLogprob): TokenLogprob {
  const without = <T extends TokenScore>(score: T) =>
    score.text.startsWith(' ') ? { ...score, text: score.text.slice(1), bytes: score.bytes.slice(1) } : score
  return { ...without(token), top: token.top.map(without) }
}

/**
 * The stop text that is complete first, and where it begins; of two that end together the one that begins first. Looking at the end,
 * not at the beginning, makes the answer independent of where the tokens' borders are.
 */
function firstStop(text: string, stops: readonly string[]): Readonly<{ at: number; index: number }> | undefined {
  let first: { at: number; end: number; index: number } | undefined
  for (const [index, stop] of stops.entries()) {
    const at = text.indexOf(stop)
    const end = at + stop.length
    if (at < 0) continue
    if (first === undefined || end < first.end || (end === first.end && at < first.at)) first = { at, end, index }
  }
  return first
}

/** How many characters at the end of `text` may be the beginning of a stop text: the longest such end. */
function heldBack(text: string, stops: readonly string[]): number {
  let longest = 0
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length -= 1) {
      if (text.endsWith(stop.slice(0, length))) {
        longest = length
        break
      }
    }
  }
  return longest
}
