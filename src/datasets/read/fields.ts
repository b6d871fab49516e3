import { Refused } from './refused.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The fields of a record, of which is known which were looked at. `null` is as if it were not there. */
export function openFields(record: JsonObject) {
  const taken = new Set<string>()
  const take = (name: string): unknown => {
    taken.add(name)
    return record[name] ?? undefined
  }
  return {
    has: (name: string) => Object.hasOwn(record, name) && record[name] !== null,
    take,
    takeText(name: string): string | undefined {
      const value = take(name)
      return value === undefined ? undefined : readText(value, name)
    },
    left: () => Object.keys(record).filter((name) => !taken.has(name) && record[name] !== null),
  }
}

export type Fields = ReturnType<typeof openFields>

/** Throws `Refused` for what is no text, or holds what no encoding or database can. */
export function readText(value: unknown, field: string): string {
  if (typeof value !== 'string') throw new Refused('wrong-shape', `"${field}" must be a text.`)
  if (!value.isWellFormed()) throw new Refused('broken-text', `"${field}" holds half a surrogate pair.`)
  if (value.includes('\0')) throw new Refused('broken-text', `"${field}" holds the character NUL.`)
  return value
}

/** A text that says something. */
export function readFilled(value: unknown, field: string): string {
  const text = readText(value ?? '', field)
  if (text.trim() === '') throw new Refused('nothing-to-learn', `"${field}" is empty.`)
  return text
}
