import { AppError } from '../errors.ts'

/** Levels of JSON that callers send: what reads it one level inside the other stays far from the end of the stack. */
export const mostJsonLevels = 200

/** Throws `invalid` for JSON that is nested too deeply, with the field of the body that is; it does not recurse. */
export function refuseDeepJson(body: unknown): void {
  for (const [name, field] of entriesOf(body)) {
    if (!isDeeper(field, mostJsonLevels - 1)) continue
    const expected = `nested at most ${mostJsonLevels} levels deep`
    const place = Array.isArray(body) ? 'body' : name.slice(0, 100)
    throw new AppError('invalid', `"${place}" must be ${expected}, but is deeper.`, {
      details: [{ field: place, expected, got: 'more levels' }],
    })
  }
}

function isDeeper(value: unknown, levels: number): boolean {
  const waiting: [value: unknown, levels: number][] = [[value, levels]]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [one, left] = next
    const inner = entriesOf(one)
    if (inner.length > 0 && left === 0) return true
    for (const [, field] of inner) if (typeof field === 'object') waiting.push([field, left - 1])
  }
  return false
}

/** Of lists and plain objects: bodies that are streams or bytes are no JSON. */
function entriesOf(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return []
  const kind: unknown = Object.getPrototypeOf(value)
  return Array.isArray(value) || kind === Object.prototype || kind === null ? Object.entries(value) : []
}
