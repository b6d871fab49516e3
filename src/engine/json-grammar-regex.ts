import type { CharacterRange } from './json-grammar-rules.ts'
import { type CharacterSet, invert, unite } from './json-grammar-text.ts'

/** A regular expression of the kind that a grammar can follow. */
export type RegexNode =
  | Readonly<{ type: 'set'; set: CharacterSet }>
  | Readonly<{ type: 'options'; options: ReadonlyArray<readonly RegexNode[]> }>
  | Readonly<{ type: 'repeat'; of: RegexNode; min: number; max: number | undefined }>

/** One side of a top-level `|`: what it matches, and where it may stand in the text. */
export type RegexBranch = Readonly<{ nodes: readonly RegexNode[]; fromStart: boolean; toEnd: boolean }>

/** Thrown with what can't be followed, in words that end a sentence. */
export class UnsupportedRegex extends Error {}

const maxNesting = 30

const digits: CharacterSet = [[0x30, 0x39]]
const wordCharacters: CharacterSet = unite([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a])
const spaces: CharacterSet = unite(
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
)
const lineEnds: CharacterSet = unite([0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029])

const classEscapes: Readonly<Record<string, CharacterSet>> = {
  d: digits,
  D: invert(digits),
  w: wordCharacters,
  W: invert(wordCharacters),
  s: spaces,
  S: invert(spaces),
}
const controlEscapes: Readonly<Record<string, number>> = { t: 0x09, n: 0x0a, v: 0x0b, f: 0x0c, r: 0x0d, '0': 0 }

const single = (character: string): CharacterSet => {
  const code = character.codePointAt(0) ?? 0
  return [[code, code]]
}

/** Throws `UnsupportedRegex` for a pattern that is no regular expression, or one that a grammar can't follow. */
export function parseRegex(pattern: string): readonly RegexBranch[] {
  try {
    new RegExp(pattern, 'u')
  } catch (error) {
    throw new UnsupportedRegex(`is not a regular expression (${error instanceof Error ? error.message : 'unknown fault'})`)
  }
  return createParser([...pattern]).branches()
}

/** Reads a pattern that JavaScript has found valid, so that only what is unsupported must be noticed. */
function createParser(source: readonly string[]) {
  let at = 0
  let nesting = 0
  const next = () => source[at]
  const startsWith = (text: string) => [...text].every((character, offset) => source[at + offset] === character)

  function take(text: string): boolean {
    if (!startsWith(text)) return false
    at += text.length
    return true
  }

  function branches(): readonly RegexBranch[] {
    const found: RegexBranch[] = []
    do {
      const fromStart = take('^')
      const nodes = readSequence()
      const toEnd = take('$')
      if (next() !== undefined && next() !== '|') throw new UnsupportedRegex(`has "${next()}" where it can't be followed`)
      found.push({ nodes, fromStart, toEnd })
    } while (take('|'))
    return found
  }

  function readSequence(): readonly RegexNode[] {
    const nodes: RegexNode[] = []
    for (let character = next(); character !== undefined && !'|)$'.includes(character); character = next()) {
      nodes.push(readRepetition(readAtom()))
    }
    return nodes
  }

  function readAtom(): RegexNode {
    const character = source[at++] ?? ''
    if (character === '(') return readGroup()
    if (character === '[') return { type: 'set', set: readClass() }
    if (character === '.') return { type: 'set', set: invert(lineEnds) }
    if (character === '^') throw new UnsupportedRegex('has "^" in the middle')
    if (character === '\\') return { type: 'set', set: readEscape() }
    return { type: 'set', set: single(character) }
  }

  function readGroup(): RegexNode {
    if (++nesting > maxNesting) throw new UnsupportedRegex(`has groups more than ${maxNesting} levels deep`)
    if (startsWith('?') && !take('?:')) {
      if (!startsWith('?<') || startsWith('?<=') || startsWith('?<!'))
        throw new UnsupportedRegex('looks ahead or behind, or sets flags')
      while (source[at++] !== '>');
    }
    const options: Array<readonly RegexNode[]> = []
    do options.push(readSequence())
    while (take('|'))
    if (!take(')')) throw new UnsupportedRegex('has "$" in the middle')
    nesting--
    const [[only, ...others] = [], ...otherOptions] = options
    return only !== undefined && others.length === 0 && otherOptions.length === 0 ? only : { type: 'options', options }
  }

  function readRepetition(of: RegexNode): RegexNode {
    const range = readTimes()
    if (range === undefined) return of
    // A lazy quantifier matches the same texts.
    take('?')
    return { type: 'repeat', of, ...range }
  }

  function readTimes(): { min: number; max: number | undefined } | undefined {
    if (take('*')) return { min: 0, max: undefined }
    if (take('+')) return { min: 1, max: undefined }
    if (take('?')) return { min: 0, max: 1 }
    if (!take('{')) return undefined
    const end = source.indexOf('}', at)
    const [low = '0', high] = source.slice(at, end).join('').split(',')
    at = end + 1
    if (high === undefined) return { min: Number(low), max: Number(low) }
    return { min: Number(low), max: high === '' ? undefined : Number(high) }
  }

  function readClass(): CharacterSet {
    const negated = take('^')
    const ranges: CharacterRange[] = []
    while (!take(']')) {
      const first = readClassMember()
      if (next() === '-' && source[at + 1] !== ']') {
        at++
        ranges.push([first[0]?.[0] ?? 0, readClassMember()[0]?.[0] ?? 0])
      } else ranges.push(...first)
    }
    const set = unite(...ranges)
    return negated ? invert(set) : set
  }

  function readClassMember(): CharacterSet {
    const character = source[at++] ?? ''
    if (character !== '\\') return single(character)
    return take('b') ? [[0x08, 0x08]] : readEscape()
  }

  function readEscape(): CharacterSet {
    const letter = source[at++] ?? ''
    const known = classEscapes[letter]
    if (known !== undefined) return known
    const control = controlEscapes[letter]
    if (control !== undefined) return [[control, control]]
    if (letter === 'x') return readHexadecimal(2)
    if (letter === 'u') return readUnicode()
    if (/[a-zA-Z1-9]/.test(letter)) throw new UnsupportedRegex(`uses "\\${letter}"`)
    return single(letter)
  }

  function readUnicode(): CharacterSet {
    if (take('{')) {
      const set = readHexadecimal(source.indexOf('}', at) - at)
      at++
      return set
    }
    const [[code] = [0]] = readHexadecimal(4)
    if (code >= 0xd800 && code <= 0xdfff) throw new UnsupportedRegex('names half a character; write it as \\u{…}')
    return [[code, code]]
  }

  function readHexadecimal(length: number): CharacterSet {
    const code = Number.parseInt(source.slice(at, at + length).join(''), 16)
    at += length
    return [[code, code]]
  }

  return { branches }
}
