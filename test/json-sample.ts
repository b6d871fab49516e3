/** As much of a JSON schema as `/openapi.json` needs. */
export type JsonSchema = Readonly<{
  type?: string
  required?: readonly string[]
  properties?: Readonly<Record<string, JsonSchema>>
  items?: JsonSchema
  anyOf?: readonly JsonSchema[]
  enum?: readonly unknown[]
  const?: unknown
  minimum?: number
  maximum?: number
  additionalProperties?: unknown
}>

/** The smallest value that a schema lets through. */
export function sampleOf(schema: JsonSchema): unknown {
  if (schema.anyOf?.[0] !== undefined) return sampleOf(schema.anyOf[0])
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]
  switch (schema.type) {
    case 'object':
      return Object.fromEntries((schema.required ?? []).map((name) => [name, sampleOf(schema.properties?.[name] ?? {})]))
    case 'array':
      return [sampleOf(schema.items ?? {})]
    case 'boolean':
      return true
    case 'integer':
    case 'number':
      return schema.minimum ?? 1
    default:
      return 'a sample text'
  }
}
