/** What is read of a JSON schema to put it into words. */
export type Readable = Readonly<{
  $ref?: string
  type?: string | readonly string[]
  description?: string
  properties?: Readonly<Record<string, Readable>>
  required?: readonly string[]
  items?: Readable
  anyOf?: readonly Readable[]
  oneOf?: readonly Readable[]
  allOf?: readonly Readable[]
  enum?: readonly unknown[]
  const?: unknown
  default?: unknown
  format?: string
  pattern?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
}>

export type Property = Readonly<{ name: string; required: boolean; schema: Readable }>

/** The fields of an object; of one of several kinds, those of all of them. */
export function propertiesOf(schema: Readable): readonly Property[] {
  const kinds = schema.oneOf ?? schema.anyOf ?? schema.allOf
  if (schema.properties === undefined && kinds !== undefined) {
    const all = kinds.flatMap(propertiesOf)
    return [...new Map(all.map((property) => [property.name, { ...property, required: isInAll(kinds, property.name) }])).values()]
  }
  return Object.entries(schema.properties ?? {}).map(([name, field]) => ({
    name,
    required: schema.required?.includes(name) === true,
    schema: field,
  }))
}

const isInAll = (kinds: readonly Readable[], name: string) => kinds.every(({ required }) => required?.includes(name) === true)

const mostAlternatives = 6

/** "text", "a list of integer", "\"up\" or \"down\"". */
export function typeOf(schema: Readable): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(' or ')
  const kinds = schema.anyOf ?? schema.oneOf
  if (kinds !== undefined) {
    const words = [...new Set(kinds.map(typeOf))]
    return words.length > mostAlternatives ? `one of ${words.length} kinds` : words.join(' or ')
  }
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type })).join(' or ')
  switch (schema.type) {
    case 'string':
      return schema.format === 'binary' ? 'file' : (formats[schema.format ?? ''] ?? 'text')
    case 'array':
      return schema.items === undefined ? 'list' : `list of ${typeOf(schema.items)}`
    case undefined:
      return schema.$ref === undefined ? 'anything' : 'object'
    default:
      return String(schema.type)
  }
}

const formats: Readonly<Record<string, string>> = { uuid: 'UUID', 'date-time': 'time', date: 'day', uri: 'address' }

/** Of "this or null" what is there beside null. */
export function withoutNull(schema: Readable): Readable {
  const kinds = schema.anyOf?.filter(({ type }) => type !== 'null') ?? []
  const [only] = kinds
  return kinds.length === 1 && only !== undefined ? only : schema
}

/** "1 to 512; default 64." */
export function constraintsOf(schema: Readable): string {
  const { minimum = schema.exclusiveMinimum, maximum, minLength, maxLength, minItems, maxItems } = schema
  const parts = [
    range(minimum, maximum, ''),
    range(minLength === 0 ? undefined : minLength, maxLength, ' characters'),
    range(minItems === 0 ? undefined : minItems, maxItems, ' items'),
    schema.default === undefined ? '' : `default \`${JSON.stringify(schema.default)}\``,
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : `(${parts.join('; ')})`
}

function range(least: number | undefined, most: number | undefined, unit: string): string {
  if (least === undefined && most === undefined) return ''
  if (least === undefined) return `at most ${most}${unit}`
  return most === undefined ? `at least ${least}${unit}` : `${least} to ${most}${unit}`
}
