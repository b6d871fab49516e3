import { sql } from 'kysely'
import type { LessonFilter } from '../feedback/lessons.ts'
import type { Database } from '../storage/tables.ts'

export type OtherFeedback = Readonly<{
  /** A text without a rating of an answer. */
  textOnly: number
  /** On an answer that is not remembered. */
  gone: number
  /** The same user has given other feedback on the answer since. */
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
  const later = sql<boolean>`exists (
    select 1 from feedback as later
    where later.prediction_id = feedback.prediction_id and later.user_id is feedback.user_id and later.rating is not null
    and (later.created_at, later.rowid) > (feedback.created_at, feedback.rowid))`
  let query = db
    .selectFrom('feedback')
    .leftJoin('predictions', 'predictions.id', 'feedback.predictionId')
    .select([
      sql<number>`total(feedback.rating is null)`.as('textOnly'),
      sql<number>`total(feedback.rating is not null and predictions.id is null)`.as('gone'),
      sql<number>`total(feedback.rating is not null and predictions.id is not null and feedback.user_id is not predictions.owner_id)`.as(
        'byOthers',
      ),
      sql<number>`total(feedback.rating is not null and feedback.user_id is predictions.owner_id and predictions.id is not null and ${later})`.as(
        'superseded',
      ),
    ])
  if (rating !== undefined) query = query.where('feedback.rating', '=', rating)
  if (model !== undefined) query = query.where('predictions.model', '=', model)
  if (userId !== undefined) query = query.where('feedback.userId', '=', userId)
  if (from !== undefined) query = query.where('feedback.createdAt', '>=', from)
  if (to !== undefined) query = query.where('feedback.createdAt', '<', to)
  if (tags !== undefined)
    query = query.where(sql<boolean>`exists (select 1 from json_each(feedback.tags) where value in (${sql.join(tags)}))`)
  return query.executeTakeFirstOrThrow()
}
