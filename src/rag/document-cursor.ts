import type { DocumentPlace } from '../embed/collection.ts'
import { AppError } from '../errors.ts'

/** As the place itself, not the id of a row: the document may be removed before the next page is asked for. */
export function toCursor({ createdAt, id }: DocumentPlace): string {
  return Buffer.from(`${createdAt} ${id}`).toString('base64url')
}

/** Throws `invalid` for what `toCursor` has not made. */
export function readCursor(cursor: string): DocumentPlace {
  const [, createdAt, id] = /^(\d{4}-\d\d-\d\dT\S+) (\S+)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (createdAt !== undefined && id !== undefined) return { createdAt, id }
  const details = [{ field: 'after', expected: 'the next_after of the page before', got: 'another text' }]
  throw new AppError('invalid', '"after" must be the "next_after" of the page before.', { details })
}
