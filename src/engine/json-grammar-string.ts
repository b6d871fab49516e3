import { type JsonObject, refuse } from './json-grammar-limits.ts'
import { parseRegex, type RegexBranch, type RegexNode, UnsupportedRegex } from './json-grammar-regex.ts'
import { lengthsOf, withLengths } from './json-grammar-regex-lengths.ts'
import {
  choice,
  type Expression,
  type GrammarRules,
  literal,
  maxRepetitions,
  nothing,
  repeat,
  sequence,
} from './json-grammar-rules.ts'
import { allCharacters, longestCountedText, oneOf, textExpression, textKind } from './json-grammar-text.ts'

const anyCharacter = textKind(allCharacters)
const quoted = (expression: Expression) => sequence(literal('"'), expression, literal('"'))

export const anyString = (rules: GrammarRules) =>
  rules.share('string', () => quoted(textExpression(rules, anyCharacter, 0, undefined)))

const label = '[a-z0-9]{1,20}(?:-[a-z0-9]{1,20}){0,2}'
const host = `${label}(?:\\.${label}){0,3}\\.[a-z]{2,10}`
const date =
  '(?:19|20)[0-9]{2}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))'
const time = '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])'
const byte = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])'
const email = `^[a-z0-9]{1,32}(?:[._+-][a-z0-9]{1,20}){0,4}@${host}$`
const uri = `^https?://${host}(?:/[a-zA-Z0-9._~-]+){0,10}/?$`

/** What is written for each format: plain values of it, not every one that its standard allows. */
export const formats: Readonly<Record<string, string>> = {
  date: `^${date}$`,
  time: `^${time}$`,
  'date-time': `^${date}T${time}$`,
  duration: '^P(?:[0-9]{1,3}D(?:T[0-9]{1,2}H(?:[0-9]{1,2}M)?)?|[0-9]{1,3}[YMW]|T(?:[0-9]{1,3}[HS]|[0-9]{1,3}M(?:[0-9]{1,2}S)?))$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
  email,
  'idn-email': email,
  hostname: `^${host}$`,
  'idn-hostname': `^${host}$`,
  ipv4: `^(?:${byte}\\.){3}${byte}$`,
  ipv6: '^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$',
  uri,
  url: uri,
  iri: uri,
  'uri-reference': uri,
  'iri-reference': uri,
  'json-pointer': '^(?:/[a-zA-Z0-9_.-]+){0,10}$',
  byte: '^(?:[A-Za-z0-9+/]{4}){1,400}$',
}
/** Formats of OpenAPI that say how a text is shown or kept, and allow any. */
const freeFormats: ReadonlySet<unknown> = new Set(['password', 'binary'])

/** A string with the keywords of its schema. */
export function stringExpression(rules: GrammarRules, schema: JsonObject, pointer: string): Expression {
  const min = readLength(schema, 'minLength', pointer) ?? 0
  const max = readLength(schema, 'maxLength', pointer)
  if (max !== undefined && max < min) refuse(pointer, 'maxLength', 'is less than minLength')
  if (min > longestCountedText) refuse(pointer, 'minLength', `is more than ${longestCountedText}`)
  const pattern = readPattern(schema, pointer)
  if (pattern === undefined) {
    if (min === 0 && max === undefined) return anyString(rules)
    return quoted(textExpression(rules, anyCharacter, min, max))
  }
  try {
    const branches = parseRegex(pattern.source)
      .map((branch) => withLengths(branch, { min, max }))
      .filter((branch) => branch !== undefined)
    if (branches.length === 0) refuse(pointer, pattern.keyword, 'allows other lengths than minLength and maxLength')
    return quoted(choice(branches.map((branch) => branchExpression(rules, branch))))
  } catch (error) {
    if (error instanceof UnsupportedRegex) refuse(pointer, pattern.keyword, error.message)
    throw error
  }
}

/** What a text between quotation marks may be that the pattern matches. Throws `UnsupportedRegex`. */
export const patternExpression = (rules: GrammarRules, pattern: string): Expression =>
  quoted(choice(parseRegex(pattern).map((branch) => branchExpression(rules, branch))))

function readLength(schema: JsonObject, keyword: string, pointer: string): number | undefined {
  const value = schema[keyword]
  if (value === undefined) return undefined
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
    ? value
    : refuse(pointer, keyword, 'must be a whole number from 0')
}

function readPattern(schema: JsonObject, pointer: string): { source: string; keyword: string } | undefined {
  const { pattern } = schema
  const format = freeFormats.has(schema.format) ? undefined : schema.format
  if (pattern !== undefined && format !== undefined) refuse(pointer, 'format', "can't be combined with a pattern")
  if (pattern !== undefined) {
    return typeof pattern === 'string' ? { source: pattern, keyword: 'pattern' } : refuse(pointer, 'pattern', 'must be a string')
  }
  if (format === undefined) return undefined
  const source = typeof format === 'string' && Object.hasOwn(formats, format) ? formats[format] : undefined
  return source === undefined
    ? refuse(pointer, 'format', `must be one of ${Object.keys(formats).join(', ')}`)
    : { source, keyword: 'format' }
}

/** A pattern that is not tied to the start or end of the text may have any text there. */
function branchExpression(rules: GrammarRules, { nodes, fromStart, toEnd }: RegexBranch): Expression {
  const around = textExpression(rules, anyCharacter, 0, undefined)
  return sequence(fromStart ? nothing : around, ...nodes.map((node) => nodeExpression(rules, node)), toEnd ? nothing : around)
}

function nodeExpression(rules: GrammarRules, node: RegexNode): Expression {
  switch (node.type) {
    case 'set': {
      const one = oneOf(textKind(node.set))
      if (one === undefined) throw new UnsupportedRegex('needs a character that is not written in JSON')
      return one
    }
    case 'options':
      return choice(node.options.map((nodes) => sequence(...nodes.map((part) => nodeExpression(rules, part)))))
    case 'repeat': {
      const { of, min, max } = node
      if (min > maxRepetitions) throw new UnsupportedRegex(`repeats more than ${maxRepetitions} times`)
      // Checks that the set can be written at all.
      const one = nodeExpression(rules, of)
      if (of.type === 'set') return textExpression(rules, textKind(of.set), min, max)
      // What may be empty can't repeat without end: the grammar would not know when to stop.
      const most = max ?? (lengthsOf([of]).min === 0 ? Math.max(min, 1) : undefined)
      return repeat(rules.add('repeated', one), min, most === undefined ? undefined : Math.min(most, maxRepetitions))
    }
  }
}
