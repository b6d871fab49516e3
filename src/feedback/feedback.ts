import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import { readCursor, writeCursor } from '../storage/place-cursor.ts'
import type { Database, FeedbackTable } from '../storage/tables.ts'

export type Feedback = Readonly<FeedbackTable>
export type NewFeedback = Readonly<Partial<Omit<FeedbackTable, 'id' | 'createdAt'>>>
export type FeedbackPage = Readonly<{ items: readonly Feedback[]; nextCursor: string | undefined }>

export interface FeedbackStore {
  /** Stores the texts as typed. Throws `invalid` for a text that no encoding can hold. */
  save(feedback: NewFeedback): Promise<Feedback>
  /** Newest first. Throws `invalid` for a cursor that is not one of ours. */
  list(options: Readonly<{ limit: number; cursor: string | undefined }>): Promise<FeedbackPage>
  /** Everything, newest first, a page at a time: a slow reader holds nothing open. */
  all(): AsyncIterable<Feedback>
}

const exportPageSize = 500

export type FeedbackParts = Readonly<{
  db: Database
  now: () => number
  /** Told after each save. */
  onSave?: () => void
}>

export function createFeedback({ db, now, onSave }: FeedbackParts): FeedbackStore {
  const listPage = (limit: number, cursor: string | undefined) => list(db, limit, cursor)
  return {
    async save(given) {
      for (const field of ['text', 'correction'] as const) refuseBrokenText(field, given[field])
      const feedback: Feedback = {
        id: randomUUID(),
        userId: given.userId ?? null,
        predictionId: given.predictionId ?? null,
        rating: given.rating ?? null,
        text: given.text ?? null,
        correction: given.correction ?? null,
        rejectedPredictionId: given.rejectedPredictionId ?? null,
        tags: given.tags ?? '[]',
        createdAt: new Date(now()).toISOString(),
      }
      await db.insertInto('feedback').values(feedback).execute()
      onSave?.()
      return feedback
    },

    list: ({ limit, cursor }) => listPage(limit, cursor),

    async *all() {
      let cursor: string | undefined
      do {
        const page = await listPage(exportPageSize, cursor)
        yield* page.items
        cursor = page.nextCursor
      } while (cursor !== undefined)
    },
  }
}

// Half a surrogate pair has no UTF-8: the database would put another character in its place.
function refuseBrokenText(field: string, text: string | null | undefined): void {
  if (text === undefined || text === null || text.isWellFormed()) return
  const details = [{ field, expected: 'whole Unicode characters', got: 'half a surrogate pair' }]
  throw new AppError('invalid', `"${field}" must be whole Unicode characters, but holds half a surrogate pair.`, { details })
}

async function list(db: Database, limit: number, cursor: string | undefined): Promise<FeedbackPage> {
  const after = cursor === undefined ? undefined : readCursor(cursor)
  const rows = await db
    .selectFrom('feedback')
    .selectAll()
    .$if(after !== undefined, (query) =>
      query.where(({ eb, and, or }) =>
        or([
          eb('createdAt', '<', after?.createdAt ?? ''),
          and([eb('createdAt', '=', after?.createdAt ?? ''), eb('id', '<', after?.id ?? '')]),
        ]),
      ),
    )
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last ? writeCursor(last) : undefined }
}
