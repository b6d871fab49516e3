// Servers answer more than the harness uses, and other versions answer otherwise: it reads the few fields it needs.

export type JsonObject = Readonly<Record<string, unknown>>

/** The object in a JSON text; an empty one where the text is something else. */
export function parseObject(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function objectAt(parent: JsonObject, name: string): JsonObject {
  const value = parent[name]
  return isObject(value) ? value : {}
}

/** The first element of a list of objects. */
export function firstAt(parent: JsonObject, name: string): JsonObject {
  const list: unknown = parent[name]
  const first: unknown = Array.isArray(list) ? list[0] : undefined
  return isObject(first) ? first : {}
}

export function numberAt(parent: JsonObject, name: string): number {
  const value = parent[name]
  return typeof value === 'number' ? value : 0
}

export function textAt(parent: JsonObject, name: string): string | undefined {
  const value = parent[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}
