import { type IntegerBounds, largestInteger, prefixed } from './json-grammar-number.ts'
import { choice, type Expression, type GrammarRules, literal, nothing, sequence } from './json-grammar-rules.ts'

/** Without its zeros at the end, a multiple may be of no more than this: a grammar has one rule for each remainder and place. */
export const largestDivisor = 100

/** The whole numbers within bounds that can be divided by a whole number above 0; undefined when there is none. */
export function multipleExpression(rules: GrammarRules, divisor: number, { min, max }: IntegerBounds): Expression | undefined {
  const { rest, zeros } = withoutZeros(divisor)
  const unit = 10 ** zeros
  const most = Math.floor(largestInteger / unit)
  const low = Math.ceil((min ?? -largestInteger) / unit)
  const high = Math.floor((max ?? largestInteger) / unit)
  // Zero has no zeros behind it, and is a multiple of everything.
  const zero = low <= 0 && high >= 0 ? [literal('0')] : []
  const below = prefixed('-', multiples(rules, rest, { from: Math.max(1, -high), to: Math.min(most, -low) }))
  const above = multiples(rules, rest, { from: Math.max(1, low), to: Math.min(most, high) })
  const options = [...zero, ...[...below, ...above].map((option) => sequence(option, literal('0'.repeat(zeros))))]
  return options.length === 0 ? undefined : choice(options)
}

export function withoutZeros(divisor: number): { rest: number; zeros: number } {
  let [rest, zeros] = [divisor, 0]
  for (; rest % 10 === 0; zeros++) rest /= 10
  return { rest, zeros }
}

type Range = Readonly<{ from: number; to: number }>

function multiples(rules: GrammarRules, divisor: number, { from, to }: Range): readonly Expression[] {
  const options: Expression[] = []
  for (let length = 1; length <= String(Math.max(0, to)).length; length++) {
    const first = Math.max(from, 10 ** (length - 1))
    const last = Math.min(to, 10 ** length - 1)
    const digits = { low: String(first), high: String(last) }
    const option = first > last ? undefined : tight(rules, divisor, { ...digits, needed: 0, atLow: true, atHigh: true })
    if (option !== undefined) options.push(option)
  }
  return options
}

/** Digits from `low` to `high` (while the number written so far equals their beginning) with this remainder. */
type Tight = Readonly<{ low: string; high: string; needed: number; atLow: boolean; atHigh: boolean }>

function tight(rules: GrammarRules, divisor: number, { low, high, needed, atLow, atHigh }: Tight): Expression | undefined {
  if (!atLow && !atHigh) return anyWith(rules, divisor, { length: low.length, needed })
  if (low === '') return needed === 0 ? nothing : undefined
  const options: Expression[] = []
  const [first, last] = [atLow ? Number(low[0]) : 0, atHigh ? Number(high[0]) : 9]
  for (let digit = first; digit <= last; digit++) {
    const rest = tight(rules, divisor, {
      low: low.slice(1),
      high: high.slice(1),
      needed: remainderAfter(divisor, digit, { length: low.length, needed }),
      atLow: atLow && digit === first,
      atHigh: atHigh && digit === last,
    })
    if (rest !== undefined) options.push(sequence(literal(String(digit)), rest))
  }
  return options.length === 0 ? undefined : choice(options)
}

type Remaining = Readonly<{ length: number; needed: number }>

/** So many digits that have this remainder. */
function anyWith(rules: GrammarRules, divisor: number, { length, needed }: Remaining): Expression | undefined {
  if (length === 0) return needed === 0 ? nothing : undefined
  if (needed >= 10 ** length) return undefined
  return rules.share(`multiple ${divisor} ${length} ${needed}`, () => {
    const options: Expression[] = []
    for (let digit = 0; digit <= 9; digit++) {
      const after = { length: length - 1, needed: remainderAfter(divisor, digit, { length, needed }) }
      const rest = anyWith(rules, divisor, after)
      if (rest !== undefined) options.push(sequence(literal(String(digit)), rest))
    }
    return choice(options)
  })
}

/** What the rest must leave once this digit is the first of so many. Exact: each factor is below the divisor. */
function remainderAfter(divisor: number, digit: number, { length, needed }: Remaining): number {
  let weight = 1
  for (let place = 1; place < length; place++) weight = (weight * 10) % divisor
  return (((needed - digit * weight) % divisor) + divisor) % divisor
}
