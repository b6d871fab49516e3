import { characters, choice, digit, type Expression, literal, optional, repeat, sequence } from './json-grammar-rules.ts'

/** Whole numbers, undefined for "no limit". */
export type IntegerBounds = Readonly<{ min: number | undefined; max: number | undefined }>

/** Numbers have at most 15 digits before the point: as many as a double holds exactly, and no model fills an answer with digits. */
export const largestInteger = 999_999_999_999_999

const anyInteger = sequence(
  optional(literal('-')),
  choice([literal('0'), sequence(characters([0x31, 0x39]), repeat(digit, 0, 14))]),
)
const fraction = (maxDigits: number) => optional(sequence(literal('.'), repeat(digit, 1, maxDigits)))
const exponent = optional(sequence(characters('eE'), optional(characters('+-')), repeat(digit, 1, 2)))
export const anyNumber = sequence(anyInteger, fraction(15), exponent)

/** The whole numbers from min to max, or undefined when there is none. */
export function integerExpression({ min, max }: IntegerBounds): Expression | undefined {
  if (min === undefined && max === undefined) return anyInteger
  const low = min ?? -largestInteger
  const high = max ?? largestInteger
  const options: Expression[] = []
  if (low < 0) options.push(...prefixed('-', magnitudes(Math.max(1, -high), -low)))
  if (high >= 0) options.push(...magnitudes(Math.max(0, low), high))
  return options.length === 0 ? undefined : choice(options)
}

export const prefixed = (prefix: string, options: readonly Expression[]): readonly Expression[] =>
  options.length === 0 ? [] : [sequence(literal(prefix), choice(options))]

/** The decimal numerals without sign from low to high, one option for each length. */
export function magnitudes(low: number, high: number): readonly Expression[] {
  const options: Expression[] = []
  for (let length = 1; length <= String(Math.max(0, high)).length; length++) {
    const from = Math.max(low, length === 1 ? 0 : 10 ** (length - 1))
    const to = Math.min(high, 10 ** length - 1)
    if (from <= to) options.push(sameLength(String(from), String(to)))
  }
  return options
}

function sameLength(low: string, high: string): Expression {
  let shared = 0
  while (shared < low.length && low[shared] === high[shared]) shared++
  const prefix = literal(low.slice(0, shared))
  if (shared === low.length) return prefix
  const rest = low.length - shared - 1
  const first = Number(low[shared])
  const last = Number(high[shared])
  const options = [
    sequence(literal(String(first)), atLeast(low.slice(shared + 1))),
    ...(last - first > 1 ? [sequence(digitsFrom(first + 1, last - 1), anyDigits(rest))] : []),
    sequence(literal(String(last)), atMost(high.slice(shared + 1))),
  ]
  return sequence(prefix, choice(options))
}

function atLeast(low: string): Expression {
  if (/^0*$/.test(low)) return anyDigits(low.length)
  const first = Number(low[0])
  const same = sequence(literal(String(first)), atLeast(low.slice(1)))
  return first === 9 ? same : choice([same, sequence(digitsFrom(first + 1, 9), anyDigits(low.length - 1))])
}

function atMost(high: string): Expression {
  if (/^9*$/.test(high)) return anyDigits(high.length)
  const first = Number(high[0])
  const same = sequence(literal(String(first)), atMost(high.slice(1)))
  return first === 0 ? same : choice([same, sequence(digitsFrom(0, first - 1), anyDigits(high.length - 1))])
}

export const digitsFrom = (first: number, last: number) => characters([0x30 + first, 0x30 + last])
const anyDigits = (count: number) => repeat(digit, count, count)
