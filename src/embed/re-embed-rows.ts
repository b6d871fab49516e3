import type { ReEmbeddingsTable } from '../storage/instance-tables.ts'
import { isOrphaned } from '../storage/orphaned.ts'
import type { Database } from '../storage/tables.ts'
import { writeOneLightly } from '../storage/write-lightly.ts'

export type ReEmbeddingRow = Readonly<ReEmbeddingsTable>
type Progress = Partial<Omit<ReEmbeddingRow, 'collectionId' | 'model' | 'instanceId'>>

const begun = { state: 'waiting', done: 0, total: 0, truncated: 0, reason: null } as const

export function findRow(db: Database, collectionId: string): Promise<ReEmbeddingRow | undefined> {
  return db.selectFrom('reEmbeddings').selectAll().where('collectionId', '=', collectionId).executeTakeFirst()
}

/** Notes that a collection is to get the vectors of a model. One that has failed, or was for another model, begins anew. */
export async function noteWaiting(db: Database, collectionId: string, model: string): Promise<void> {
  const row = { collectionId, model, ...begun }
  await db
    .insertInto('reEmbeddings')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .column('collectionId')
        .doUpdateSet({ ...row, instanceId: null })
        .where(({ eb, or }) => or([eb('reEmbeddings.state', '=', 'failed'), eb('reEmbeddings.model', '!=', model)])),
    )
    .execute()
}

/** Takes the work on a collection; undefined: there is none, or another process does it (`taken`). */
export async function claimRow(
  db: Database,
  collectionId: string,
  instanceId: string,
): Promise<ReEmbeddingRow | 'taken' | undefined> {
  const claimed = await db
    .updateTable('reEmbeddings')
    .set({ instanceId, state: 'running', reason: null, done: 0 })
    .where('collectionId', '=', collectionId)
    .where('state', '!=', 'failed')
    .where(({ eb, or }) => or([eb('state', '=', 'waiting'), eb('instanceId', '=', instanceId), isOrphaned]))
    .returningAll()
    .executeTakeFirst()
  if (claimed !== undefined) return claimed
  return (await findRow(db, collectionId))?.state === 'running' ? 'taken' : undefined
}

/** By the one who has it. */
export async function saveProgress(
  db: Database,
  { collectionId, instanceId }: ReEmbeddingRow,
  progress: Progress,
): Promise<void> {
  await writeOneLightly(db, (through) =>
    through
      .updateTable('reEmbeddings')
      .set(progress)
      .where('collectionId', '=', collectionId)
      .where('instanceId', '=', instanceId)
      .execute(),
  )
}

/** Of a model, as another one may have begun since. */
export async function forgetRow(db: Database, collectionId: string, model: string): Promise<void> {
  await db.deleteFrom('reEmbeddings').where('collectionId', '=', collectionId).where('model', '=', model).execute()
}

/** Those that no process works on, but for those that have failed. */
export async function listWaiting(db: Database): Promise<readonly string[]> {
  const waiting = db
    .selectFrom('reEmbeddings')
    .select('collectionId')
    .where(({ eb, and, or }) => or([eb('state', '=', 'waiting'), and([eb('state', '=', 'running'), isOrphaned])]))
  return (await waiting.execute()).map(({ collectionId }) => collectionId)
}
