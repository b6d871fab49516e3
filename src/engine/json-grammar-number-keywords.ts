import { decimalPlaces, isWritableBound, largestBoundedNumber, numberExpression } from './json-grammar-decimal.ts'
import { type JsonObject, refuse } from './json-grammar-limits.ts'
import { largestDivisor, multipleExpression, withoutZeros } from './json-grammar-multiple.ts'
import { integerExpression, largestInteger } from './json-grammar-number.ts'
import type { Expression, GrammarRules } from './json-grammar-rules.ts'

export const numberKeywords = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'] as const

/** The formats of whole numbers: how many there are on each side of zero. */
const rangeOfFormat: Readonly<Record<string, number>> = {
  int8: 2 ** 7,
  int16: 2 ** 15,
  int32: 2 ** 31,
  int64: largestInteger + 1,
}

/** A number with the keywords of its schema. Throws `invalid`, naming the keyword, where they can't be kept to or leave none. */
export function numberOf(
  rules: GrammarRules,
  { type, schema, pointer }: Readonly<{ type: 'integer' | 'number'; schema: JsonObject; pointer: string }>,
): Expression {
  const divisor = readDivisor(schema, pointer)
  const { format } = schema
  const range = typeof format === 'string' && Object.hasOwn(rangeOfFormat, format) ? rangeOfFormat[format] : undefined
  const isWhole = type === 'integer' || divisor !== undefined || range !== undefined
  const { low, high } = readBounds(schema, pointer, isWhole)
  if (!isWhole) {
    const [min, max] = [low?.value, high?.value]
    const expression = numberExpression({
      min,
      max,
      exclusiveMin: low?.exclusive ?? false,
      exclusiveMax: high?.exclusive ?? false,
    })
    return expression ?? refuse(pointer, 'maximum', 'leaves no number between the limits')
  }
  const [min, max] = [toWhole(low, 1), toWhole(high, -1)]
  const bounds = {
    min: range === undefined ? min : Math.max(min ?? -range, -range),
    max: range === undefined ? max : Math.min(max ?? range, range - 1),
  }
  const expression = divisor === undefined ? integerExpression(bounds) : multipleExpression(rules, divisor, bounds)
  return expression ?? refuse(pointer, 'maximum', 'leaves no number between the limits')
}

type Limit = Readonly<{ value: number; exclusive: boolean }>

function readBounds(schema: JsonObject, pointer: string, isWhole: boolean) {
  const most = isWhole ? largestInteger : largestBoundedNumber
  const read = (keyword: string): number | undefined => {
    const value = schema[keyword]
    if (value === undefined) return undefined
    if (typeof value !== 'number') return refuse(pointer, keyword, 'must be a number')
    if (!isWhole && Math.abs(value) <= most && !isWritableBound(value))
      return refuse(pointer, keyword, `must have at most ${decimalPlaces} digits behind the point`)
    return value
  }
  const [minimum, above, maximum, below] = [read('minimum'), read('exclusiveMinimum'), read('maximum'), read('exclusiveMaximum')]
  const exclusiveMin = above !== undefined && above >= (minimum ?? above)
  const exclusiveMax = below !== undefined && below <= (maximum ?? below)
  const low = exclusiveMin ? above : minimum
  const high = exclusiveMax ? below : maximum
  if (low !== undefined && low > most) refuse(pointer, exclusiveMin ? 'exclusiveMinimum' : 'minimum', `is more than ${most}`)
  if (high !== undefined && high < -most) refuse(pointer, exclusiveMax ? 'exclusiveMaximum' : 'maximum', `is less than ${-most}`)
  // A limit that no answer reaches is as good as none.
  return {
    low: low === undefined ? undefined : { value: Math.max(low, -most), exclusive: exclusiveMin },
    high: high === undefined ? undefined : { value: Math.min(high, most), exclusive: exclusiveMax },
  }
}

/** The first whole number inside a limit; `inward` is 1 for a lower limit and -1 for an upper one. */
function toWhole(limit: Limit | undefined, inward: 1 | -1): number | undefined {
  if (limit === undefined) return undefined
  const inside = inward === 1 ? Math.ceil(limit.value) : Math.floor(limit.value)
  return limit.exclusive && inside === limit.value ? limit.value + inward : inside
}

/** Multiples of fractions are refused: what is one in decimals is none where a validator divides in binary. */
function readDivisor(schema: JsonObject, pointer: string): number | undefined {
  const { multipleOf } = schema
  if (multipleOf === undefined) return undefined
  if (typeof multipleOf !== 'number' || !Number.isInteger(multipleOf) || multipleOf <= 0)
    return refuse(pointer, 'multipleOf', 'must be a whole number above 0')
  if (multipleOf > largestInteger || withoutZeros(multipleOf).rest > largestDivisor)
    return refuse(pointer, 'multipleOf', `must be at most ${largestDivisor}, or that with zeros behind it`)
  return multipleOf
}
