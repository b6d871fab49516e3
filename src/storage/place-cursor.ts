import { AppError } from '../errors.ts'

/** Where a page ended, in a list that is ordered by time and then by id. */
export type Place = Readonly<{ createdAt: string; id: string }>

/** As the place itself, not the id of a row: the row may be removed before the next page is asked for. */
export function writeCursor({ createdAt, id }: Place): string {
  return Buffer.from(`${createdAt} ${id}`).toString('base64url')
}

/** Throws `invalid` for what `writeCursor` has not made; `field` is where the request holds it. */
export function readCursor(cursor: string, field: 'cursor' | 'after' = 'cursor'): Place {
  const [, createdAt, id] = /^(\d{4}-\d\d-\d\dT\S+) (\S+)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (createdAt !== undefined && id !== undefined) return { createdAt, id }
  const expected = `the next_${field} of an earlier page`
  throw new AppError('invalid', `"${field}" must be ${expected}.`, { details: [{ field, expected, got: 'another text' }] })
}
