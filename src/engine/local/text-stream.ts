/** Turns the bytes of an answer into text that can be shown, and notices where it must end. */
export interface TextStream {
  /** Adds the bytes of one token. Returns the text that is safe to show now, and whether a stop text was met. */
  add(bytes: Uint8Array): Readonly<{ text: string; stopped: boolean }>
  /** The text that was held back, at the end of an answer that met no stop text. An unfinished character is dropped. */
  end(): string
}

/**
 * Holds back bytes until they are whole characters, and characters as long as they may be the beginning of a stop text.
 * The stop text itself is never shown; when two match, the one that is complete first wins. `dropsFirstSpace`: for prompts after
 * which a model begins with the space between its words and the prompt's.
 */
export function createTextStream(stopTexts: readonly string[], { dropsFirstSpace = false } = {}): TextStream {
  // Half a surrogate pair would cut a character in two.
  const stops = stopTexts.map((stop) => stop.toWellFormed())
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let held = ''
  let begun = !dropsFirstSpace

  function decode(bytes: Uint8Array): string {
    const text = decoder.decode(bytes, { stream: true })
    if (begun || text === '') return text
    begun = true
    return text.startsWith(' ') ? text.slice(1) : text
  }

  return {
    add(bytes) {
      held += decode(bytes)
      const end = firstStop(held, stops)
      if (end >= 0) {
        const text = held.slice(0, end)
        held = ''
        return { text, stopped: true }
      }
      const safe = held.length - heldBack(held, stops)
      const text = held.slice(0, safe)
      held = held.slice(safe)
      return { text, stopped: false }
    },
    end() {
      const text = held
      held = ''
      return text
    },
  }
}

/**
 * Where the stop text begins that is complete first, or -1; of two that end together the one that begins first. Looking at the end,
 * not at the beginning, makes the answer independent of where the tokens' borders are.
 */
function firstStop(text: string, stops: readonly string[]): number {
  let first = -1
  let firstEnd = Number.POSITIVE_INFINITY
  for (const stop of stops) {
    const at = text.indexOf(stop)
    const end = at + stop.length
    if (at >= 0 && (end < firstEnd || (end === firstEnd && at < first))) {
      first = at
      firstEnd = end
    }
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
