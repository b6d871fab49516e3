import { isJsonObject, type JsonObject, refuse } from './json-grammar-limits.ts'

/** A schema and where it stands in its document, as a JSON pointer that begins with #. */
export type PlacedSchema = Readonly<{ schema: unknown; pointer: string }>

/** Finds what `$ref` names; only inside the same document, as nothing is fetched. Throws `invalid` when there is no such place. */
export function findReferenced(root: unknown, ref: unknown, pointer: string): PlacedSchema {
  if (typeof ref !== 'string') return refuse(pointer, '$ref', 'must be a string')
  if (ref !== '#' && !ref.startsWith('#/')) return refuse(pointer, '$ref', 'must stay inside the schema: # or #/…')
  let schema: unknown = root
  for (const part of ref.split('/').slice(1)) {
    const key = decodePart(part, pointer)
    if (typeof schema !== 'object' || schema === null || !Object.hasOwn(schema, key))
      return refuse(pointer, '$ref', `names no place in the schema ("${ref}")`)
    if (schema !== root) refuseOwnRoot(schema, pointer)
    schema = Reflect.get(schema, key)
  }
  return { schema, pointer: ref }
}

function decodePart(part: string, pointer: string): string {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return refuse(pointer, '$ref', 'is not a valid pointer')
  }
}

/** Follows `$ref` where it stands alone, to a schema that says something itself. */
export function followReferences(root: unknown, placed: PlacedSchema): PlacedSchema {
  const seen = new Set<string>()
  let { schema, pointer } = placed
  while (
    isJsonObject(schema) &&
    schema.$ref !== undefined &&
    Object.keys(schema).every((key) => key === '$ref' || annotations.has(key))
  ) {
    if (seen.has(pointer)) return refuse(pointer, '$ref', 'leads back to itself')
    seen.add(pointer)
    ;({ schema, pointer } = findReferenced(root, schema.$ref, pointer))
  }
  return { schema, pointer }
}

/** Keywords that allow and forbid nothing. */
export const annotations: ReadonlySet<string> = new Set([
  '$anchor',
  '$comment',
  '$defs',
  '$id',
  '$schema',
  'default',
  'definitions',
  'deprecated',
  'description',
  'discriminator',
  'example',
  'examples',
  'readOnly',
  'title',
  'writeOnly',
])

/** The keywords of a schema that say what it allows. */
export const assertionsOf = (schema: JsonObject): readonly string[] =>
  Object.keys(schema).filter((key) => schema[key] !== undefined && !annotations.has(key) && !key.startsWith('x-'))

/** OpenAPI's `nullable` in the words of JSON Schema. Where it stands without a type, null is not written. */
export function withoutNullable(schema: JsonObject): JsonObject {
  if (schema.nullable === undefined) return schema
  const { nullable, ...others } = schema
  const types: readonly unknown[] = Array.isArray(others.type) ? others.type : [others.type]
  if (nullable !== true || others.type === undefined || types.includes('null')) return others
  return { ...others, type: [...types, 'null'] }
}

/** Refuses a schema inside another that has an address of its own: references in it would lead elsewhere than they seem to. */
export function refuseOwnRoot(schema: unknown, pointer: string): void {
  if (!isJsonObject(schema) || typeof schema.$id !== 'string' || schema.$id.startsWith('#')) return
  if (holdsReference(schema)) refuse(pointer, '$id', "can't be kept apart from the rest, as references stand inside it")
}

function holdsReference(schema: JsonObject): boolean {
  const waiting: unknown[] = [schema]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (isJsonObject(next) && typeof next.$ref === 'string') return true
    if (typeof next === 'object' && next !== null) for (const value of Object.values(next)) if (value) waiting.push(value)
  }
  return false
}
