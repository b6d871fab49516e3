import { AppError } from '../errors.ts'
import { ifGiven } from '../storage/if-given.ts'
import type { EvaluationsTable } from '../storage/learning-tables.ts'
import { isOrphaned } from '../storage/orphaned.ts'
import { isBehind, toPage } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'
import { writeOneLightly } from '../storage/write-lightly.ts'
import type { Progress } from './evaluation.ts'

export type EvaluationRow = Readonly<EvaluationsTable>
/** Without what can be long. */
export type ListedRow = Omit<EvaluationRow, 'request' | 'report' | 'instanceId' | 'wish'>

const listed = [
  'id',
  'kind',
  'state',
  'ownerId',
  'baseline',
  'candidate',
  'datasetId',
  'runId',
  'passed',
  'errorCode',
  'errorMessage',
  'createdBy',
  'createdAt',
  'endedAt',
  'progress',
] as const satisfies readonly (keyof EvaluationsTable)[]

/** Another user's conversations are nobody's business: their evaluations do not exist for anybody else. */
export async function getRow(db: Database, id: string, userId: string): Promise<EvaluationRow> {
  const row = await db
    .selectFrom('evaluations')
    .selectAll()
    .where('id', '=', id)
    .where(({ eb, or }) => or([eb('ownerId', 'is', null), eb('ownerId', '=', userId)]))
    .executeTakeFirst()
  if (row === undefined) throw new AppError('not_found', `There is no evaluation "${id}".`)
  return row
}

export type ListOptions = Readonly<{ userId: string; limit: number; cursor: string | undefined; candidate: string | undefined }>

/** Newest first. Throws `invalid` for a cursor that is not one of ours. */
export async function listRows(db: Database, { userId, limit, cursor, candidate }: ListOptions) {
  const rows: readonly ListedRow[] = await db
    .selectFrom('evaluations')
    .select(listed)
    .where(({ eb, or }) => or([eb('ownerId', 'is', null), eb('ownerId', '=', userId)]))
    .$call(ifGiven(candidate, (query, candidate) => query.where('candidate', '=', candidate)))
    .where(isBehind(cursor))
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  return toPage(rows, limit)
}

/** Those of a process that has gone will never end. */
export async function interruptOrphans(db: Database, endedAt: string): Promise<void> {
  await db
    .updateTable('evaluations')
    .set({ state: 'interrupted', endedAt, progress: null })
    .where('state', 'in', underWay)
    .where(isOrphaned)
    .execute()
}

const underWay = ['queued', 'running'] as const
export const isUnderWay = ({ state }: Pick<EvaluationRow, 'state'>): boolean => underWay.some((one) => one === state)

/** While it runs; what comes late changes nothing. */
export async function saveProgress(db: Database, id: string, progress: Progress): Promise<void> {
  await writeOneLightly(db, (through) =>
    through
      .updateTable('evaluations')
      .set({ progress: JSON.stringify(progress) })
      .where('id', '=', id)
      .where('state', '=', 'running')
      .execute(),
  )
}

/** Of one that another process works on. */
export const progressOf = ({ progress }: Pick<EvaluationRow, 'progress'>): Progress | undefined =>
  progress === null ? undefined : JSON.parse(progress)

/** Asks the process that has it to end it; false where it has ended. */
export async function wishEnd(db: Database, id: string): Promise<boolean> {
  const wish = db.updateTable('evaluations').set({ wish: 'cancel' }).where('id', '=', id).where('state', 'in', underWay)
  return (await wish.executeTakeFirstOrThrow()).numUpdatedRows > 0n
}

/** Those of this process that it is asked to end. */
export async function listWished(db: Database, instanceId: string): Promise<readonly string[]> {
  const wished = db.selectFrom('evaluations').select('id').where('wish', '=', 'cancel').where('state', 'in', underWay)
  return (await wished.where('instanceId', '=', instanceId).execute()).map(({ id }) => id)
}

/** False where it has not ended, or is not there. */
export async function removeEnded(db: Database, id: string): Promise<boolean> {
  const removal = db.deleteFrom('evaluations').where('id', '=', id).where('state', 'not in', underWay)
  return (await removal.executeTakeFirstOrThrow()).numDeletedRows > 0n
}
