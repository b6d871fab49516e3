import { type RawBuilder, sql } from 'kysely'
import type { LessonFilter } from '../feedback/lessons.ts'
import { hasTagOf, isByItsOwner, isSuperseded } from '../storage/feedback-sql.ts'
import type { Database } from '../storage/tables.ts'

export type OtherFeedback = Readonly<{
  /** A text without a rating of an answer. */
  textOnly: number
  /** On an answer that is not remembered. */
  gone: number
  /** Other feedback on the answer was given since. */
  superseded: number
  /** Not by whom the answer was given to. */
  byOthers: number
}>

/** `tags`: feedback with one of these. */
export type OthersFilter = Omit<LessonFilter, 'tag'> & Readonly<{ tags?: readonly string[] }>

/**
 * Feedback that a filter lets through and that gives no lesson. Which model gave an answer that is not remembered is not known: a filter
 * by model lets none of that through.
 */
export async function countOthers(db: Database, filter: OthersFilter): Promise<OtherFeedback> {
  const { rating, model, userId, from, to, tags } = filter
  const isRated = sql`feedback.rating is not null and predictions.id is not null`
  const count = (condition: RawBuilder<unknown>) => sql<number>`count(*) filter (where ${condition})`
  let query = db
    .selectFrom('feedback')
    .leftJoin('predictions', 'predictions.id', 'feedback.predictionId')
    .select([
      count(sql`feedback.rating is null`).as('textOnly'),
      count(sql`feedback.rating is not null and predictions.id is null`).as('gone'),
      count(sql`${isRated} and not ${isByItsOwner}`).as('byOthers'),
      count(sql`${isRated} and ${isByItsOwner} and ${isSuperseded}`).as('superseded'),
    ])
  if (rating !== undefined) query = query.where('feedback.rating', '=', rating)
  if (model !== undefined) query = query.where('predictions.model', '=', model)
  if (userId !== undefined) query = query.where('feedback.userId', '=', userId)
  if (from !== undefined) query = query.where('feedback.createdAt', '>=', from)
  if (to !== undefined) query = query.where('feedback.createdAt', '<', to)
  if (tags !== undefined) query = query.where(hasTagOf(db, tags))
  return query.executeTakeFirstOrThrow()
}
