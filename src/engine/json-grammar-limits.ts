import { AppError } from '../errors.ts'
import { isJsonObject } from './json-object.ts'

export { isJsonObject, type JsonObject } from './json-object.ts'

/** Throws `invalid`, naming where in the schema the fault is (a JSON pointer) and which keyword. */
export function refuse(pointer: string, keyword: string, reason: string): never {
  const field = keyword === '' ? pointer : `${pointer}/${keyword.replaceAll('~', '~0').replaceAll('/', '~1')}`
  throw new AppError('invalid', `The JSON schema can't be used: ${field} ${reason}.`, {
    details: [{ field, expected: 'a keyword and value that can be enforced', got: reason }],
  })
}

export const schemaLimits = {
  depth: 100,
  characters: 200_000,
  enumValues: 10_000,
  schemas: 5000,
  nesting: 200,
  alternatives: 200,
  grammarCharacters: 4_000_000,
} as const

/** Throws `invalid` for a schema that is too deep or too large to look at, without recursion. */
export function checkSize(schema: unknown): void {
  let size = 0
  const waiting: Array<readonly [value: unknown, depth: number]> = [[schema, 0]]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [value, depth] = next
    if (depth > schemaLimits.depth) throw tooMuch(`is nested more than ${schemaLimits.depth} levels deep`)
    size += 2
    if (typeof value === 'string') size += value.length
    else if (Array.isArray(value)) for (const item of value) waiting.push([item, depth + 1])
    else if (isJsonObject(value)) {
      for (const [key, item] of Object.entries(value)) {
        size += key.length
        waiting.push([item, depth + 1])
      }
    }
    if (size + waiting.length > schemaLimits.characters) throw tooMuch(`is larger than ${schemaLimits.characters} characters`)
  }
}

const tooMuch = (reason: string) => new AppError('invalid', `The JSON schema can't be used: it ${reason}.`)
