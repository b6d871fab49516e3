import { setImmediate } from 'node:timers/promises'
import type { ChatMessage } from '../engine/provider.ts'
import { hasTagOf, isByItsOwner, isSuperseded } from '../storage/feedback-sql.ts'
import type { Place } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'
import { toLessons } from './to-lessons.ts'

/**
 * What one feedback on one remembered answer teaches. Only the latest feedback on an answer counts. A feedback that corrects an
 * answer and keeps it over another one gives two lessons, which share `chosen`.
 *
 * - `chosen` without `rejected`: an answer that was liked as it stands (a thumb up).
 * - `chosen` and `rejected`: an edited answer over the original one, or the answer that was kept over another one.
 * - `rejected` without `chosen`: an answer that was disliked (a thumb down); nothing says what would have been better.
 */
export type Lesson = Readonly<{
  feedbackId: string
  predictionId: string
  /** The same for all lessons of one conversation: a SHA-256, in hex, of its owner and how it begins. */
  conversation: string
  /** Null for an anonymous caller, and after the user was deleted. */
  userId: string | null
  /** What answered, with its adapter, as `base+adapter`. */
  model: string
  /** How the question was put: `text` is a prompt to be continued as it stands, and `messages` holds it as the only message of a user. */
  promptType: 'chat' | 'text'
  /** Ends with what is answered, never with the beginning of the answer: where the caller wrote that, it stands in both answers. */
  messages: readonly ChatMessage[]
  chosen: string | undefined
  rejected: string | undefined
  rating: 'up' | 'down'
  /** As the user typed it; not part of what is learned. */
  comment: string | null
  tags: readonly string[]
  /**
   * What a plain conversation does not hold of it: tools that were offered or called, pictures, or that the answer was stopped or cut
   * before its end (so that `chosen` has no end to learn; never so for a correction).
   */
  lacks: readonly ('tools' | 'images' | 'end')[]
  /** When the feedback was given; a UTC ISO 8601 text. */
  createdAt: string
}>

export type LessonFilter = Readonly<{
  rating?: 'up' | 'down'
  /** As answers name it, with its adapter. */
  model?: string
  userId?: string
  /** Of the feedback; UTC ISO 8601 texts. `from` is included, `to` is not. */
  from?: string
  to?: string
  /** One of the feedback's tags. */
  tag?: string
}>

export interface Lessons {
  /** Oldest feedback first, read a page at a time: a slow reader holds nothing open, and what is given meanwhile may come too. */
  list(filter: LessonFilter, signal?: AbortSignal): AsyncIterable<Lesson>
}

/** Predictions read at a time: their prompts may be long. */
const rowsPerPage = 20

export function createLessons({ db }: Readonly<{ db: Database }>): Lessons {
  return {
    async *list(filter, signal) {
      let after: Place | undefined
      for (;;) {
        const rows = await readPage(db, filter, after)
        for (const row of rows) yield* toLessons(row)
        after = rows.at(-1)
        if (after === undefined || rows.length < rowsPerPage || signal?.aborted === true) return
        await setImmediate()
      }
    },
  }
}

/** Only of whom the answer was given to, and only the latest on it. */
function readPage(db: Database, { rating, model, userId, from, to, tag }: LessonFilter, after: Place | undefined) {
  let query = db
    .selectFrom('feedback')
    .innerJoin('predictions', 'predictions.id', 'feedback.predictionId')
    .leftJoin('predictions as rejected', 'rejected.id', 'feedback.rejectedPredictionId')
    .select([
      ...(['feedback.id', 'feedback.createdAt', 'feedback.rating', 'feedback.text', 'feedback.correction'] as const),
      ...(['feedback.tags', 'feedback.userId', 'predictions.id as predictionId', 'predictions.ownerKey'] as const),
      ...(['predictions.model', 'predictions.prompt', 'predictions.choices', 'rejected.choices as rejectedChoices'] as const),
    ])
    .where('feedback.rating', 'is not', null)
    .where(isByItsOwner)
    .where(({ not }) => not(isSuperseded))
    .orderBy('feedback.createdAt')
    .orderBy('feedback.id')
    .limit(rowsPerPage)
  if (rating !== undefined) query = query.where('feedback.rating', '=', rating)
  if (model !== undefined) query = query.where('predictions.model', '=', model)
  if (userId !== undefined) query = query.where('feedback.userId', '=', userId)
  if (from !== undefined) query = query.where('feedback.createdAt', '>=', from)
  if (to !== undefined) query = query.where('feedback.createdAt', '<', to)
  if (tag !== undefined) query = query.where(hasTagOf(db, [tag]))
  if (after !== undefined)
    query = query.where(({ eb, and, or }) =>
      or([
        eb('feedback.createdAt', '>', after.createdAt),
        and([eb('feedback.createdAt', '=', after.createdAt), eb('feedback.id', '>', after.id)]),
      ]),
    )
  return query.execute()
}
