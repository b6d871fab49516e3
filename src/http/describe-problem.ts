import type { ErrorDetail } from '../errors.ts'

/** What the JSON schema validator (Ajv, with `verbose`) says about one thing that is wrong. */
export type SchemaProblem = Readonly<{
  keyword: string
  instancePath: string
  params: Readonly<Record<string, unknown>>
  message?: string | undefined
  data?: unknown
  /** The part of the schema that the keyword stands in. */
  parentSchema?: unknown
}>

/** Unknown fields that are named, of one object. */
const mostUnknown = 5

/** Alternatives of one field (`anyOf`) become one detail: what was expected is then "this or that". */
export function describeProblems(problems: readonly SchemaProblem[]): ErrorDetail[] {
  const details = new Map<string, ErrorDetail>()
  for (const one of closest(problems).flatMap(describeProblem)) {
    const other = details.get(one.field)
    details.set(one.field, other === undefined ? one : { ...other, expected: `${other.expected} or ${one.expected}` })
  }
  return [...details.values()]
}

/** Of the alternatives the one that the value came furthest with: it is the one that was meant. */
function closest(problems: readonly SchemaProblem[]): readonly SchemaProblem[] {
  if (!problems.some(({ keyword }) => keyword === 'anyOf') || problems.length === 1) return problems
  const depth = Math.max(...problems.map(depthOf))
  return problems.filter((problem) => problem.keyword !== 'anyOf' && depthOf(problem) === depth)
}

/** A wrong kind is told by its object, but it is the field below that is wrong. */
const depthOf = ({ keyword, instancePath }: SchemaProblem) =>
  instancePath.split('/').length + (keyword === 'discriminator' ? 1 : 0)

/** Names the field, what was expected and what was got, without repeating texts that a caller may want to keep secret. */
function describeProblem(problem: SchemaProblem): ErrorDetail[] {
  const { keyword, params } = problem
  const at = problem.instancePath.split('/').slice(1).map(unescapePointer)
  if (keyword === 'required') return [detail([...at, text(params.missingProperty)], 'given', 'missing')]
  if (keyword === 'additionalProperties') return describeUnknown(problem, at)
  if (keyword === 'discriminator') return [describeKind(problem, at)]
  return [detail(at, expectation(problem), describeValue(problem.data))]
}

/** The validator stops at the first unknown field; whoever mistyped one may have mistyped others. */
function describeUnknown({ params, data, parentSchema }: SchemaProblem, at: readonly string[]): ErrorDetail[] {
  const known = namesOf(valueAt(parentSchema, 'properties'))
  const patterns = namesOf(valueAt(parentSchema, 'patternProperties'))
  const isKnown = (name: string) => known.includes(name) || patterns.some((pattern) => new RegExp(pattern, 'u').test(name))
  const first = text(params.additionalProperty)
  const others = namesOf(data).filter((name) => name !== first && !isKnown(name))
  const reason = patterns.length === 0 ? 'there is no such field' : `names here fit ${patterns.join(' or ')}`
  const names = [first, ...others].slice(0, mostUnknown)
  return names.map((name) => detail([...at, shorten(name)], `left out (${reason})`, 'given'))
}

function namesOf(value: unknown): readonly string[] {
  return typeof value === 'object' && value !== null ? Object.keys(value) : []
}

/** An object is of no kind that its place takes. */
function describeKind({ params, parentSchema }: SchemaProblem, at: readonly string[]): ErrorDetail {
  const { tag, tagValue } = params
  const kinds = valueAt(parentSchema, 'oneOf')
  const known = Array.isArray(kinds) ? kinds.flatMap((kind) => valuesOf(valueAt(kind, 'properties', text(tag)))) : []
  const got = typeof tagValue === 'string' ? JSON.stringify(shorten(tagValue)) : tagValue === undefined ? 'missing' : 'no text'
  return detail([...at, text(tag)], `one of ${JSON.stringify(known)}`, got)
}

function valuesOf(schema: unknown): readonly unknown[] {
  const values = valueAt(schema, 'enum')
  return Array.isArray(values) ? values : [valueAt(schema, 'const')]
}

function valueAt(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce((inner, name) => {
    return typeof inner === 'object' && inner !== null ? Object.getOwnPropertyDescriptor(inner, name)?.value : undefined
  }, value)
}

function detail(path: readonly string[], expected: string, got: string): ErrorDetail {
  return { field: path.join('.') || 'body', expected, got }
}

function expectation({ keyword, params, message }: SchemaProblem): string {
  switch (keyword) {
    case 'type':
      return `of type ${text(params.type)}`
    case 'enum':
      return `one of ${JSON.stringify(params.allowedValues)}`
    case 'const':
      return JSON.stringify(params.allowedValue)
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `${text(params.comparison)} ${text(params.limit)}`
    case 'minLength':
      return `a text of at least ${count(params.limit, 'character')}`
    case 'maxLength':
      return `a text of at most ${count(params.limit, 'character')}`
    case 'minItems':
      return `a list of at least ${text(params.limit)}`
    case 'maxItems':
      return `a list of at most ${text(params.limit)}`
    case 'minProperties':
      return `an object of at least ${count(params.limit, 'field')}`
    case 'maxProperties':
      return `an object of at most ${count(params.limit, 'field')}`
    case 'pattern':
      return `a text that fits ${text(params.pattern)}`
    default:
      return (message ?? 'valid').replace(/^must (be |match )?/, '')
  }
}

/** A number, truth value or null as it is; of everything else the kind and size only: it may be a password or a prompt. */
function describeValue(value: unknown): string {
  if (typeof value === 'string') return `a text of ${count(value.length, 'character')}`
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

const count = (limit: unknown, noun: string) => `${text(limit)} ${noun}${limit === 1 ? '' : 's'}`

function text(value: unknown): string {
  return Array.isArray(value) ? value.join(' or ') : String(value)
}

function shorten(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}
