import { refuse } from './json-grammar-limits.ts'
import { parseRegex, type RegexBranch, type RegexNode, UnsupportedRegex } from './json-grammar-regex.ts'

/**
 * Whether a pattern of a schema matches a text. All ways are followed at once: JavaScript's own expressions can take longer than anyone
 * waits, and both come from a request. Throws `invalid` with the pattern's place where it can't be followed.
 */
export function matchesAt(pattern: string, text: string, pointer: string): boolean {
  try {
    const characters = [...text].map((character) => character.codePointAt(0) ?? 0)
    return parseRegex(pattern).some((branch) => matches(branch, characters))
  } catch (error) {
    if (error instanceof UnsupportedRegex) return refuse(pointer, '', error.message)
    throw error
  }
}

function matches({ nodes, fromStart, toEnd }: RegexBranch, text: readonly number[]): boolean {
  const starts = fromStart ? [0] : Array.from({ length: text.length + 1 }, (_, place) => place)
  const ends = endsOfAll(nodes, text, new Set(starts))
  return toEnd ? ends.has(text.length) : ends.size > 0
}

type Places = ReadonlySet<number>
const isSame = (left: Places, right: Places) => left.size === right.size && [...left].every((place) => right.has(place))

const endsOfAll = (nodes: readonly RegexNode[], text: readonly number[], starts: Places): Places =>
  nodes.reduce((places, node) => endsOf(node, text, places), starts)

function endsOf(node: RegexNode, text: readonly number[], starts: Places): Places {
  switch (node.type) {
    case 'set': {
      const fits = (code: number | undefined) =>
        code !== undefined && node.set.some(([first, last]) => first <= code && code <= last)
      return new Set([...starts].filter((place) => fits(text[place])).map((place) => place + 1))
    }
    case 'options':
      return new Set(node.options.flatMap((nodes) => [...endsOfAll(nodes, text, starts)]))
    case 'repeat': {
      let now = starts
      for (let count = 0; count < node.min && now.size > 0; count++) {
        const next = endsOf(node.of, text, now)
        // What may be empty reaches all that it can in a few steps.
        if (isSame(next, now)) break
        now = next
      }
      const all = new Set(now)
      for (let count = node.min; count < (node.max ?? Number.POSITIVE_INFINITY) && now.size > 0; count++) {
        now = new Set([...endsOf(node.of, text, now)].filter((place) => !all.has(place)))
        for (const place of now) all.add(place)
      }
      return all
    }
  }
}
