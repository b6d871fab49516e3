import { type JsonObject, refuse } from './json-grammar-limits.ts'
import { choice, type Expression, type GrammarRules, literal, nothing, sequence } from './json-grammar-rules.ts'

/** What objects and arrays need of the rest. */
export type Containing = Readonly<{
  rules: GrammarRules
  /** The grammar of a schema inside; undefined where it allows no value. */
  inside: (schema: unknown, pointer: string) => Expression | undefined
}>

export const maxItemsCounted = 1000
/** From `min` to `max` parts; undefined: without limit. */
export type Counts = Readonly<{ min: number; max: number | undefined }>

/** At most one blank: a model that begins to write white space seldom stops. */
export const space = (rules: GrammarRules): Expression =>
  rules.share('space', () => choice([literal(' '), literal('\n'), nothing]))
export const comma = (rules: GrammarRules) => sequence(literal(','), space(rules))
export const between = (rules: GrammarRules, open: string, content: Expression, close: string) =>
  sequence(literal(open), space(rules), content, space(rules), literal(close))

export function readCount(schema: JsonObject, keyword: string, pointer: string): number | undefined {
  const value = schema[keyword]
  if (value === undefined) return undefined
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
    ? value
    : refuse(pointer, keyword, 'must be a whole number from 0')
}

export const segment = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1')

/** A part that may be written or not, or must be; parts keep their order. */
export type Part = Readonly<{ content: Expression; required: boolean }>

const mostStates = 20_000

/**
 * Parts with commas between them: each required one, any of the others, so many in all; then `rest`, which may be repeated, where parts
 * are not counted. Undefined when there are too many ways to count them.
 */
export function partsExpression(
  rules: GrammarRules,
  parts: readonly Part[],
  { min, max, rest }: Counts & Readonly<{ rest?: Readonly<{ first: Expression; after: Expression }> | undefined }>,
): Expression | undefined {
  // Past what is counted, only whether a comma is due is of interest.
  const counted = Math.max(min, max === undefined ? 0 : max + 1, 1)
  if (parts.length * Math.min(counted, parts.length) > mostStates) return undefined
  const isTooMany = (count: number) => max !== undefined && count > max
  const ends = Array.from({ length: Math.min(counted, parts.length) + 1 }, (_, count) => {
    if (count < min || isTooMany(count)) return undefined
    return (count === 0 ? rest?.first : rest?.after) ?? nothing
  })
  // What may come from a part on, for each number of parts before it.
  let following: ReadonlyArray<Expression | undefined> = ends
  for (const [place, { content, required }] of [...parts.entries()].toReversed()) {
    const next = following
    following = Array.from({ length: Math.min(counted, place) + 1 }, (_, count) => {
      const after = next[Math.min(count + 1, counted)]
      const written = after && sequence(...(count === 0 ? [] : [comma(rules)]), content, after)
      const options = [written, required ? undefined : next[count]].filter((option) => option !== undefined)
      // A rule of its own, as several ways lead here.
      return options.length === 0 ? undefined : rules.add('parts', choice(options))
    })
  }
  return following[0]
}
