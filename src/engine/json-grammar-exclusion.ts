import { isJsonObject, type JsonObject } from './json-grammar-limits.ts'
import { assertionsOf, followReferences, type PlacedSchema } from './json-grammar-reference.ts'

/** What tells a schema's values from those of others, as far as it is looked at; undefined: nothing is known. */
export type Distinction = Readonly<{
  isNothing: boolean
  types: readonly string[] | undefined
  values: ReadonlySet<string> | undefined
  isObject: boolean
  required: ReadonlySet<string>
  /** The required properties that have fixed values. */
  requiredValues: ReadonlyMap<string, ReadonlySet<string>>
  /** The only properties that it allows, where it is closed. */
  allowed: ReadonlySet<string> | undefined
}>

export function distinctionOf(root: unknown, placed: PlacedSchema): Distinction {
  const { schema } = followReferences(root, placed)
  const known = isJsonObject(schema) ? schema : {}
  const types = typesOf(known)
  const values = valuesOf(known)
  const properties = isJsonObject(known.properties) ? known.properties : {}
  const required = (Array.isArray(known.required) ? known.required : []).filter((name) => typeof name === 'string')
  const requiredValues = required.flatMap((name) => {
    const fixed = Object.hasOwn(properties, name) ? valuesOf(properties[name]) : undefined
    return fixed === undefined ? [] : [[name, keysOf(fixed)] as const]
  })
  return {
    isNothing: schema === false,
    types,
    values: values && keysOf(values),
    isObject: types?.length === 1 && types[0] === 'object',
    required: new Set(required),
    requiredValues: new Map(requiredValues),
    allowed:
      known.additionalProperties === false && known.patternProperties === undefined
        ? new Set(Object.keys(properties).filter((name) => properties[name] !== false))
        : undefined,
  }
}

/**
 * Whether it is certain that no value fits both schemas: they differ in type, in fixed values, in a required property with
 * fixed values (a discriminator), or one requires what the other forbids.
 */
export function excludeEachOther(left: Distinction, right: Distinction): boolean {
  if (left.isNothing || right.isNothing) return true
  if (left.types && right.types && !left.types.some((type) => right.types?.includes(type))) return true
  if (left.values && right.values) return !share(left.values, right.values)
  if (!left.isObject || !right.isObject) return false
  for (const [name, values] of left.requiredValues) {
    const others = right.requiredValues.get(name)
    if (others !== undefined && !share(values, others)) return true
  }
  return requiresForbidden(left, right) || requiresForbidden(right, left)
}

const share = (left: ReadonlySet<string>, right: ReadonlySet<string>) => [...left].some((value) => right.has(value))

const requiresForbidden = ({ required }: Distinction, { allowed }: Distinction) =>
  allowed !== undefined && [...required].some((name) => !allowed.has(name))

/** `integer` counts as `number`, as each integer is one. */
function typesOf(schema: JsonObject): readonly string[] | undefined {
  const values = valuesOf(schema)
  if (values) return [...new Set(values.map(typeOfValue))]
  const types = typeof schema.type === 'string' ? [schema.type] : schema.type
  return Array.isArray(types) ? types.map((type: unknown) => (type === 'integer' ? 'number' : String(type))) : undefined
}

export function typeOfValue(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function valuesOf(schema: unknown): readonly unknown[] | undefined {
  if (!isJsonObject(schema)) return undefined
  if (schema.const !== undefined) return [schema.const]
  if (Array.isArray(schema.enum)) return schema.enum
  // Each part of allOf must fit, so that the values of one are all that are left.
  return Array.isArray(schema.allOf) ? schema.allOf.map(valuesOf).find((values) => values !== undefined) : undefined
}

/** Lists and objects are taken for equal: few schemas tell branches apart by them. */
const keysOf = (values: readonly unknown[]): ReadonlySet<string> =>
  new Set(values.map((value) => (typeof value === 'object' && value !== null ? 'object' : JSON.stringify(value))))

/**
 * "Exactly one of these sets of properties", which `oneOf` says with branches of `required` alone, in branches that each forbid a property
 * of every other one. Undefined where the branches say something else, or one set holds another.
 */
export function exclusiveRequirements(branches: readonly unknown[]): readonly JsonObject[] | undefined {
  const sets: ReadonlySet<string>[] = []
  for (const branch of branches) {
    if (!isJsonObject(branch) || !Array.isArray(branch.required) || assertionsOf(branch).length > 1) return undefined
    sets.push(new Set(branch.required.map(String)))
  }
  const exclusive = sets.map((own) => {
    const forbidden = sets.filter((other) => other !== own).map((other) => [...other].find((name) => !own.has(name)))
    if (forbidden.includes(undefined)) return undefined
    return { type: 'object', required: [...own], properties: Object.fromEntries(forbidden.map((name) => [name, false])) }
  })
  return exclusive.every((branch) => branch !== undefined) ? exclusive : undefined
}
