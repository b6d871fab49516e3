import { anyNumber, digitsFrom, magnitudes, prefixed } from './json-grammar-number.ts'
import { characters, choice, digit, type Expression, literal, nothing, optional, repeat, sequence } from './json-grammar-rules.ts'

/** Undefined for "no limit"; whether the bound itself is left out. Bounds have at most `decimalPlaces` digits behind the point. */
export type NumberBounds = Readonly<{
  min: number | undefined
  max: number | undefined
  exclusiveMin: boolean
  exclusiveMax: boolean
}>

/** Where a number has bounds it is smaller, so that no fraction is rounded over them: 15 digits in all. */
export const largestBoundedNumber = 1_000_000_000
export const decimalPlaces = 6

/** A distance from zero: `fraction` are the digits behind the point, without zeros at the end. */
type Bound = Readonly<{ whole: number; fraction: string; exclusive: boolean }>

/** The numbers between two bounds, or undefined when there is none. */
export function numberExpression({ min, max, exclusiveMin, exclusiveMax }: NumberBounds): Expression | undefined {
  if (min === undefined && max === undefined) return anyNumber
  const options: Expression[] = []
  if (min === undefined || min < 0) {
    const from = toBound(Math.max(0, -(max ?? 0)), exclusiveMax && max !== undefined && max <= 0)
    options.push(...prefixed('-', decimals(from, toBound(-(min ?? -largestBoundedNumber), exclusiveMin))))
  }
  if (max === undefined || max >= 0) {
    const from = toBound(Math.max(0, min ?? 0), exclusiveMin && min !== undefined && min >= 0)
    options.push(...decimals(from, toBound(max ?? largestBoundedNumber, exclusiveMax)))
  }
  return options.length === 0 ? undefined : choice(options)
}

/** Whether a bound can be kept to: not longer than the numbers that are written. */
export const isWritableBound = (value: number) =>
  /^-?\d+(?:\.\d+)?$/.test(String(value)) && fractionOf(value).length <= decimalPlaces
const fractionOf = (value: number) => String(value).split('.')[1] ?? ''
const toBound = (value: number, exclusive: boolean): Bound => ({
  whole: Math.trunc(value),
  fraction: fractionOf(value),
  exclusive,
})

function decimals(low: Bound, high: Bound): readonly Expression[] {
  if (low.whole > high.whole) return []
  if (low.whole === high.whole) return behind(low.whole, between(low, high))
  return [
    ...behind(low.whole, fractionFrom(low)),
    ...magnitudes(low.whole + 1, high.whole - 1).map((whole) => sequence(whole, optional(afterPoint(digits(1, decimalPlaces))))),
    ...behind(high.whole, fractionTo(high)),
  ]
}

const behind = (whole: number, fraction: Expression | undefined): readonly Expression[] =>
  fraction === undefined ? [] : [sequence(literal(String(whole)), fraction)]
const afterPoint = (expression: Expression) => sequence(literal('.'), expression)
const digits = (min: number, max: number) => repeat(digit, min, max)
const isZero = (text: string) => /^0*$/.test(text)

function fractionFrom({ fraction, exclusive }: Bound): Expression | undefined {
  if (fraction === '' && !exclusive) return optional(afterPoint(digits(1, decimalPlaces)))
  const after = atLeast(fraction, exclusive, decimalPlaces)
  return after && afterPoint(after)
}

function fractionTo({ fraction, exclusive }: Bound): Expression | undefined {
  if (fraction === '') return exclusive ? undefined : optional(afterPoint(repeat(characters('0'), 1, decimalPlaces)))
  return choice([nothing, ...atMost(fraction, exclusive, decimalPlaces).map(afterPoint)])
}

function between(low: Bound, high: Bound): Expression | undefined {
  const length = Math.max(low.fraction.length, high.fraction.length)
  const [from, to] = [low.fraction.padEnd(length, '0'), high.fraction.padEnd(length, '0')]
  if (from === to) {
    if (low.exclusive || high.exclusive) return undefined
    return isZero(from) ? optional(afterPoint(repeat(characters('0'), 1, decimalPlaces))) : literal(`.${from}`)
  }
  if (from > to) return undefined
  const options = betweenDigits({ ...low, fraction: from }, { ...high, fraction: to }, decimalPlaces).map(afterPoint)
  const all = isZero(from) && !low.exclusive ? [nothing, ...options] : options
  return all.length === 0 ? undefined : choice(all)
}

/** At least one digit; `left`: how many may come. The bounds have equally many digits and differ. */
function betweenDigits(low: Bound, high: Bound, left: number): readonly Expression[] {
  const [first, last] = [Number(low.fraction[0]), Number(high.fraction[0])]
  const [lowRest, highRest] = [low.fraction.slice(1), high.fraction.slice(1)]
  if (first === last) {
    const rest = betweenDigits({ ...low, fraction: lowRest }, { ...high, fraction: highRest }, left - 1)
    const all = isZero(lowRest) && !low.exclusive ? [nothing, ...rest] : rest
    return all.length === 0 ? [] : [sequence(literal(String(first)), choice(all))]
  }
  const same = atLeast(lowRest, low.exclusive, left - 1)
  return [
    ...(same === undefined ? [] : [sequence(literal(String(first)), same)]),
    ...(last - first > 1 ? [sequence(digitsFrom(first + 1, last - 1), digits(0, left - 1))] : []),
    ...following(last, highRest, high.exclusive, left),
  ]
}

/** Digits that are, behind a point, at least these. */
function atLeast(least: string, exclusive: boolean, left: number): Expression | undefined {
  if (isZero(least)) {
    if (!exclusive) return digits(0, left)
    return left === 0 ? undefined : sequence(digits(0, left - 1), characters([0x31, 0x39]))
  }
  const first = Number(least[0])
  const same = atLeast(least.slice(1), exclusive, left - 1)
  const options = [
    ...(same === undefined ? [] : [sequence(literal(String(first)), same)]),
    ...(first === 9 ? [] : [sequence(digitsFrom(first + 1, 9), digits(0, left - 1))]),
  ]
  return options.length === 0 ? undefined : choice(options)
}

/** One digit or more that are, behind a point, at most these, which are not all zero. */
function atMost(most: string, exclusive: boolean, left: number): readonly Expression[] {
  const first = Number(most[0])
  const lower = first === 0 ? [] : [sequence(digitsFrom(0, first - 1), digits(0, left - 1))]
  return [...lower, ...following(first, most.slice(1), exclusive, left)]
}

/** The digit, and behind it no more than the rest. */
function following(first: number, rest: string, exclusive: boolean, left: number): readonly Expression[] {
  const digitItself = literal(String(first))
  if (!isZero(rest)) return [sequence(digitItself, choice([nothing, ...atMost(rest, exclusive, left - 1)]))]
  return exclusive ? [] : [sequence(digitItself, repeat(characters('0'), 0, left - 1))]
}
