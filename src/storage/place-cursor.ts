import { type RawBuilder, type SqlBool, sql } from 'kysely'
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

/**
 * A condition: the row stands behind where a page ended, the newest first; without a cursor all do. `createdAt` and `id`: the columns.
 * Throws like `readCursor`.
 */
export function isBehind(cursor: string | undefined, createdAt = 'createdAt', id = 'id'): RawBuilder<SqlBool> {
  if (cursor === undefined) return sql<SqlBool>`1 = 1`
  const place = readCursor(cursor)
  return sql<SqlBool>`(${sql.ref(createdAt)}, ${sql.ref(id)}) < (${place.createdAt}, ${place.id})`
}

/** A page of rows, of which one more than its limit was asked for. */
export function toPage<Row extends Place>(
  rows: readonly Row[],
  limit: number,
): Readonly<{ items: readonly Row[]; nextCursor: string | undefined }> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? writeCursor(last) : undefined }
}
