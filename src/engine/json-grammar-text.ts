import {
  type CharacterRange,
  characters,
  choice,
  type Expression,
  type GrammarRules,
  literal,
  maxRepetitions,
  nothing,
  type Repeatable,
  repeat,
  sequence,
} from './json-grammar-rules.ts'

/** Sorted, and apart from each other. */
export type CharacterSet = readonly CharacterRange[]

const lastCodePoint = 0x10ffff

/** Every code point that is not in the set. */
export function invert(set: CharacterSet): CharacterSet {
  const rest: CharacterRange[] = []
  let from = 0
  for (const [first, last] of set) {
    if (first > from) rest.push([from, first - 1])
    from = last + 1
  }
  return from <= lastCodePoint ? [...rest, [from, lastCodePoint]] : rest
}

export function unite(...ranges: readonly CharacterRange[]): CharacterSet {
  const united: CharacterRange[] = []
  for (const [first, last] of ranges.toSorted((left, right) => left[0] - right[0])) {
    const before = united.at(-1)
    if (before !== undefined && first <= before[1] + 1) united.splice(-1, 1, [before[0], Math.max(before[1], last)])
    else united.push([first, last])
  }
  return united
}

export const without = (set: CharacterSet, removed: CharacterSet): CharacterSet => invert(unite(...invert(set), ...removed))
const includes = (set: CharacterSet, code: number) => set.some(([first, last]) => first <= code && code <= last)

// Code points that show nothing and that a model may repeat without end.
const blanks: CharacterSet = unite(
  [0x09, 0x0d],
  [0x20, 0x20],
  [0x85, 0x85],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200b],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
)
// What JSON strings do not hold as it is: control characters, the quotation mark, the backslash; half characters do not exist in UTF-8.
const notLiteral: CharacterSet = unite([0, 0x1f], [0x22, 0x22], [0x5c, 0x5c], [0x7f, 0x9f], [0xd800, 0xdfff])
const shortEscapes: ReadonlyArray<readonly [code: number, letter: string]> = [
  [0x22, '"'],
  [0x5c, '\\'],
  [0x08, 'b'],
  [0x0c, 'f'],
  [0x0a, 'n'],
  [0x0d, 'r'],
  [0x09, 't'],
]

export const allCharacters: CharacterSet = [[0, lastCodePoint]]

/** The characters of a set as JSON writes them, told apart by whether they show. Undefined: none of that kind. */
type TextKind = Readonly<{ visible: Expression | undefined; blank: Expression | undefined; key: string }>

export function textKind(set: CharacterSet): TextKind {
  const inJson = (part: CharacterSet): Expression | undefined => {
    const plain = without(part, notLiteral)
    const escaped = shortEscapes.filter(([code]) => includes(part, code)).map(([, letter]) => literal(`\\${letter}`))
    const options = [...(plain.length > 0 ? [characters(...plain)] : []), ...escaped]
    return options.length === 0 ? undefined : choice(options)
  }
  return { visible: inJson(without(set, blanks)), blank: inJson(without(set, invert(blanks))), key: JSON.stringify(set) }
}

/** One character of the kind, or undefined when JSON text holds none of them. */
export function oneOf({ visible, blank }: TextKind): Expression | undefined {
  const options = [visible, blank].filter((option) => option !== undefined)
  return options.length === 0 ? undefined : choice(options)
}

const longestBlankRun = 20
const blockLength = 10
/** Longer texts can't be counted in a grammar. */
export const longestCountedText = blockLength * maxRepetitions

/**
 * From `min` to `max` characters of a kind. No more than 20 of them that do not show stand in a row, as a model that
 * begins to write white space seldom stops. A larger `max` than can be counted is lowered.
 */
export function textExpression(rules: GrammarRules, kind: TextKind, min: number, max: number | undefined): Expression {
  const one = rules.share(`character ${kind.key}`, () => oneOf(kind) ?? characters())
  if (kind.blank === undefined && max === undefined && min <= maxRepetitions) return repeat(one, min, undefined)
  if (kind.visible === undefined) return repeat(one, min, Math.max(min, Math.min(max ?? blockLength, blockLength)))
  const exactly = sequence(repeat(one, min % blockLength, min % blockLength), blocks(rules, kind, Math.floor(min / blockLength)))
  if (max === undefined) return sequence(exactly, freeText(rules, kind, min === 0 ? longestBlankRun : longestBlankRun / 2))
  const more = Math.min(max, longestCountedText) - min
  const whole = Math.floor(more / blockLength)
  if (whole === 0) return sequence(exactly, repeat(one, 0, more))
  const shorter = sequence(repeat(blockOf(rules, kind, blockLength), 0, whole - 1), repeat(one, 0, blockLength - 1))
  const longest = sequence(blocks(rules, kind, whole), repeat(one, 0, more % blockLength))
  return sequence(exactly, choice([shorter, longest]))
}

/** Text without end of which the first `run` characters at most do not show. */
function freeText(rules: GrammarRules, kind: TextKind, run: number): Repeatable {
  return rules.share(`text ${run} ${kind.key}`, () =>
    choice([
      ...(kind.visible === undefined ? [] : [sequence(kind.visible, freeText(rules, kind, longestBlankRun))]),
      ...(kind.blank === undefined || run === 0 ? [] : [sequence(kind.blank, freeText(rules, kind, run - 1))]),
      nothing,
    ]),
  )
}

const blocks = (rules: GrammarRules, kind: TextKind, count: number): Expression =>
  repeat(blockOf(rules, kind, blockLength), count, count)

/** Exactly so many characters, one of which shows at least: blanks can't pile up from block to block. */
function blockOf(rules: GrammarRules, kind: TextKind, length: number): Repeatable {
  return rules.share(`block ${length} ${kind.key}`, () => {
    const one = rules.share(`character ${kind.key}`, () => oneOf(kind) ?? characters())
    const options: Expression[] = []
    if (kind.visible !== undefined) options.push(sequence(kind.visible, repeat(one, length - 1, length - 1)))
    if (kind.blank !== undefined && length > 1) options.push(sequence(kind.blank, blockOf(rules, kind, length - 1)))
    return choice(options)
  })
}
