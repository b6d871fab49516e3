import { ifGiven } from '../storage/if-given.ts'
import type { Database } from '../storage/tables.ts'
import { pause } from './pause.ts'

/** Vectors looked at, or deleted, by one statement. */
const rowsPerPage = 500

/**
 * Deletes the vectors of models that their collection neither answers with nor is on the way to, some at a time, so that nobody waits.
 * They are left by a change of model, and found again after a kill in the middle.
 */
export async function sweepVectors(db: Database, signal: AbortSignal, collectionId?: string): Promise<number> {
  let removed = 0
  for (let after = 0; !signal.aborted; ) {
    const rows = await db
      .selectFrom('vectors')
      .innerJoin('passages', 'passages.id', 'vectors.passageId')
      .innerJoin('collections', 'collections.id', 'passages.collectionId')
      .select(['vectors.passageId', 'vectors.model', 'collections.model as current', 'collections.nextModel as next'])
      .where('vectors.passageId', '>', after)
      .$call(ifGiven(collectionId, (query, collectionId) => query.where('passages.collectionId', '=', collectionId)))
      .orderBy('vectors.passageId')
      .limit(rowsPerPage)
      .execute()
    const last = rows.at(-1)
    if (last === undefined) break
    // The last passage may have further vectors on the next page.
    after = last.passageId - 1
    for (const model of new Set(rows.map((row) => row.model))) {
      const stale = rows.filter((row) => row.model === model && model !== row.current && model !== row.next)
      removed += await deleteStale(
        db,
        model,
        stale.map(({ passageId }) => passageId),
      )
    }
    // Whoever adds meanwhile leaves nothing to sweep, and is not to be run after.
    if (rows.length < rowsPerPage) break
    await pause()
  }
  return removed
}

/** Asks again in the same statement: somebody may have begun to need the model since. */
async function deleteStale(db: Database, model: string, passageIds: readonly number[]): Promise<number> {
  if (passageIds.length === 0) return 0
  const { numDeletedRows } = await db
    .deleteFrom('vectors')
    .where('model', '=', model)
    .where('passageId', 'in', passageIds)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('passages')
            .innerJoin('collections', 'collections.id', 'passages.collectionId')
            .select('passages.id')
            .whereRef('passages.id', '=', 'vectors.passageId')
            .where(({ eb, or }) => or([eb('collections.model', '=', model), eb('collections.nextModel', '=', model)])),
        ),
      ),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}
