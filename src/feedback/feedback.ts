import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { hasTagOf } from '../storage/feedback-sql.ts'
import { ifGiven } from '../storage/if-given.ts'
import { isBehind, toPage } from '../storage/place-cursor.ts'
import type { Database, FeedbackTable } from '../storage/tables.ts'

export type Feedback = Readonly<Omit<FeedbackTable, 'tags'>> & Readonly<{ tags: readonly string[] }>
export type NewFeedback = Readonly<{
  [Field in Exclude<keyof Feedback, 'id' | 'createdAt'>]?: Feedback[Field] | undefined
}>
export type FeedbackPage = Readonly<{ items: readonly Feedback[]; nextCursor: string | undefined }>

export type FeedbackFilter = Readonly<{
  rating?: 'up' | 'down'
  /** One of its tags. */
  tag?: string
  /** What gave the rated answer, where that is remembered. */
  model?: string
  userId?: string
  hasCorrection?: boolean
  /** UTC ISO 8601 texts. `from` is included, `to` is not. */
  from?: string
  to?: string
}>

export interface FeedbackStore {
  /** Stores the texts as typed. Throws `invalid` for a text that no encoding can hold. */
  save(feedback: NewFeedback): Promise<Feedback>
  /** Newest first. Throws `invalid` for a cursor that is not one of ours. */
  list(filter: FeedbackFilter, page: Readonly<{ limit: number; cursor: string | undefined }>): Promise<FeedbackPage>
  /** Everything, newest first, a page at a time: a slow reader holds nothing open. */
  all(filter: FeedbackFilter): AsyncIterable<Feedback>
  /** Of this user, or of anybody where none is named. Whether there was one. */
  remove(id: string, userId: string | undefined): Promise<boolean>
}

const exportPageSize = 500

export type FeedbackParts = Readonly<{
  db: Database
  now: () => number
  /** Told after each save. */
  onSave?: () => void
}>

export function createFeedback({ db, now, onSave }: FeedbackParts): FeedbackStore {
  return {
    async save(given) {
      const saved = await save(db, given, new Date(now()).toISOString())
      onSave?.()
      return saved
    },

    list: (filter, { limit, cursor }) => list(db, filter, limit, cursor),

    async *all(filter) {
      let cursor: string | undefined
      do {
        const page = await list(db, filter, exportPageSize, cursor)
        yield* page.items
        cursor = page.nextCursor
        await setImmediate()
      } while (cursor !== undefined)
    },

    async remove(id, userId) {
      const { numDeletedRows } = await db
        .deleteFrom('feedback')
        .where('id', '=', id)
        .$call(ifGiven(userId, (query, userId) => query.where('userId', '=', userId)))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },
  }
}

async function save(db: Database, given: NewFeedback, createdAt: string): Promise<Feedback> {
  const { tags = [] } = given
  for (const field of ['text', 'correction'] as const) refuseBrokenText(field, given[field])
  for (const [place, tag] of tags.entries()) refuseBrokenText(`tags/${place}`, tag)
  const feedback: Feedback = {
    id: randomUUID(),
    userId: given.userId ?? null,
    predictionId: given.predictionId ?? null,
    rejectedPredictionId: given.rejectedPredictionId ?? null,
    rating: given.rating ?? null,
    text: given.text ?? null,
    correction: given.correction ?? null,
    tags,
    createdAt,
  }
  await db
    .insertInto('feedback')
    .values({ ...feedback, tags: JSON.stringify(tags) })
    .execute()
  return feedback
}

// Half a surrogate pair has no UTF-8: the database would put another character in its place.
function refuseBrokenText(field: string, text: string | null | undefined): void {
  if (text === undefined || text === null || text.isWellFormed()) return
  const details = [{ field, expected: 'whole Unicode characters', got: 'half a surrogate pair' }]
  throw new AppError('invalid', `"${field}" must be whole Unicode characters, but holds half a surrogate pair.`, { details })
}

async function list(db: Database, filter: FeedbackFilter, limit: number, cursor: string | undefined): Promise<FeedbackPage> {
  const rows = await filtered(db, filter)
    .where(isBehind(cursor))
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = toPage(rows, limit)
  return { items: items.map(({ tags, ...row }) => ({ ...row, tags: JSON.parse(tags) })), nextCursor }
}

function filtered(db: Database, { rating, tag, model, userId, hasCorrection, from, to }: FeedbackFilter) {
  let query = db.selectFrom('feedback').selectAll()
  if (rating !== undefined) query = query.where('rating', '=', rating)
  if (userId !== undefined) query = query.where('userId', '=', userId)
  if (from !== undefined) query = query.where('createdAt', '>=', from)
  if (to !== undefined) query = query.where('createdAt', '<', to)
  if (hasCorrection !== undefined) query = query.where('correction', hasCorrection ? 'is not' : 'is', null)
  if (tag !== undefined) query = query.where(hasTagOf(db, [tag]))
  if (model !== undefined)
    query = query.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('predictions')
          .select('predictions.id')
          .whereRef('predictions.id', '=', 'feedback.predictionId')
          .where('predictions.model', '=', model),
      ),
    )
  return query
}
