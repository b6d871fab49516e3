import { isJsonObject } from './json-grammar-limits.ts'

/** What reading comes to where the text ends too early, and where it is something else. */
export type Unread = 'more' | 'other'

export function skipSpace(text: string, at: number): number {
  let end = at
  while (end < text.length && ' \n\r\t'.includes(text.charAt(end))) end++
  return end
}

/** Where a JSON value that begins at `at` ends. */
export function endOfValue(text: string, at: number): number | Unread {
  const first = text.charAt(at)
  if (first === '') return 'more'
  if (first === '"') return endOfString(text, at)
  if (first === '{' || first === '[') {
    const end = createJsonScanner().scan(text, at).end
    return end ?? 'more'
  }
  const length = text.slice(at).search(/[\s,\]}]/)
  if (length === 0) return 'other'
  return length < 0 ? 'more' : at + length
}

function endOfString(text: string, at: number): number | Unread {
  for (let end = at + 1; end < text.length; end++) {
    const character = text.charAt(end)
    if (character === '\\') end++
    else if (character === '"') return end + 1
  }
  return 'more'
}

/** The string at the start of a text of JSON, or undefined. */
export function parseString(json: string): string | undefined {
  const value = parseJson(json)
  return typeof value === 'string' ? value : undefined
}

export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** The arguments of a call as the text of an object: some models write that text as a string. */
export function argumentsText(json: string): string {
  const text = parseString(json)
  if (text !== undefined) return isJsonObject(parseJson(text)) ? text : json
  return json === 'null' ? '{}' : json
}

/** Follows an object or list that comes in pieces up to its end. It looks at brackets and strings only: what is inside may be wrong. */
export function createJsonScanner() {
  let depth = 0
  let inString = false
  let escaped = false

  /** Follows one character; true when it is the last one. */
  function follow(character: string): boolean {
    if (inString) {
      if (escaped) escaped = false
      else if (character === '\\') escaped = true
      else if (character === '"') inString = false
      return false
    }
    if (character === '"') inString = true
    else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
    return depth === 0
  }

  return {
    /**
     * Goes on from `at`. `end`: behind the last character, once it is there. `at`: how far it came; it stops before `mark`, and before
     * the end of the text where that may be its beginning, unless they stand inside a string.
     */
    scan(text: string, from: number, mark = ''): Readonly<{ at: number; end: number | undefined; met: boolean }> {
      for (let at = from; at < text.length; at++) {
        const character = text.charAt(at)
        if (mark !== '' && !inString && character === mark.charAt(0)) {
          if (text.startsWith(mark, at)) return { at, end: undefined, met: true }
          if (mark.startsWith(text.slice(at))) return { at, end: undefined, met: false }
        }
        if (follow(character)) return { at: at + 1, end: at + 1, met: false }
      }
      return { at: text.length, end: undefined, met: false }
    },
  }
}
