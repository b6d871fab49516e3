import {
  characters,
  choice,
  type Expression,
  type GrammarRules,
  literal,
  nothing,
  repeat,
  sequence,
} from './json-grammar-rules.ts'
import { type CharacterSet, invert, unite, without } from './json-grammar-text.ts'

/** One of the texts. Beginnings that they share are written once, so that the engine follows few alternatives at a time. */
export function anyOfTexts(rules: GrammarRules, texts: readonly string[]): Expression {
  return fromSorted(
    rules,
    [...new Set(texts)].sort().map((text) => [...text]),
    0,
  )
}

function fromSorted(rules: GrammarRules, texts: ReadonlyArray<readonly string[]>, at: number): Expression {
  const [first = [], last = []] = [texts[0], texts.at(-1)]
  let shared = at
  while (shared < first.length && first[shared] === last[shared]) shared++
  const prefix = literal(first.slice(at, shared).join(''))
  if (texts.length === 1) return prefix
  const ends = first.length === shared ? [nothing] : []
  const groups = Map.groupBy(
    texts.filter((text) => text.length > shared),
    (text) => text[shared],
  )
  const branches = [...groups.values()].map((group) => fromSorted(rules, group, shared))
  return sequence(prefix, rules.add('text', choice([...ends, ...branches])))
}

// The keys that a model may think of: no escapes, no white space, so that two spellings are never one key.
const keyCharacters: CharacterSet = invert(
  unite(
    [0, 0x20],
    [0x22, 0x22],
    [0x5c, 0x5c],
    [0x7f, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200f],
    [0x2028, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xd800, 0xdfff],
    [0xfeff, 0xfeff],
  ),
)
const longestFreeKey = 64

/** An object's key in quotation marks that is none of the names. */
export function otherKey(rules: GrammarRules, names: readonly string[]): Expression {
  const sorted = [...new Set(names)].sort().map((name) => [...name])
  return sequence(literal('"'), notOf(rules, sorted, 0), literal('"'))
}

function notOf(rules: GrammarRules, names: ReadonlyArray<readonly string[]>, at: number): Expression {
  const inner = names.filter((name) => name.length > at)
  const groups = Map.groupBy(inner, (name) => name[at] ?? '')
  const taken: CharacterSet = unite(
    ...[...groups.keys()].map((character) => [character.codePointAt(0) ?? 0, character.codePointAt(0) ?? 0] as const),
  )
  const free = characters(...without(keyCharacters, taken))
  const rest = repeat(characters(...keyCharacters), 0, Math.max(0, longestFreeKey - at - 1))
  const followed = [...groups]
    .filter(
      ([character]) => without([[character.codePointAt(0) ?? 0, character.codePointAt(0) ?? 0]], keyCharacters).length === 0,
    )
    .map(([character, group]) => sequence(literal(character), rules.add('key', notOf(rules, group, at + 1))))
  // A name itself may not end here, and a key is never empty.
  const ends = at === 0 || names.some((name) => name.length === at) ? [] : [nothing]
  return choice([...ends, sequence(free, rest), ...followed])
}
