import type { LessonFilter } from '../feedback/lessons.ts'
import type { Database } from '../storage/tables.ts'

/**
 * Feedback that gives no lesson: a text without an answer, and that on answers which are not remembered. Of the latter nothing is known
 * but the feedback, so that a filter by model lets none through.
 */
export async function countOthers(
  db: Database,
  { rating, model, userId, from, to, tag }: LessonFilter,
): Promise<Readonly<{ textOnly: number; gone: number }>> {
  const filtered = db
    .selectFrom('feedback')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .$if(rating !== undefined, (query) => query.where('rating', '=', rating ?? 'up'))
    .$if(userId !== undefined, (query) => query.where('userId', '=', userId ?? ''))
    .$if(from !== undefined, (query) => query.where('createdAt', '>=', from ?? ''))
    .$if(to !== undefined, (query) => query.where('createdAt', '<', to ?? ''))
    .$if(tag !== undefined, (query) => query.where('tags', 'like', `%${JSON.stringify(tag).replaceAll(/[%_]/g, '_')}%`))
  const textOnly = await filtered.where('predictionId', 'is', null).executeTakeFirstOrThrow()
  const gone = await filtered
    .where('predictionId', 'is not', null)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('predictions').select('predictions.id').whereRef('predictions.id', '=', 'feedback.predictionId'))),
    )
    .executeTakeFirstOrThrow()
  return model === undefined ? { textOnly: textOnly.count, gone: gone.count } : { textOnly: 0, gone: 0 }
}
