import type { ModelJobsTable } from '../storage/instance-tables.ts'
import { isOrphaned } from '../storage/orphaned.ts'
import type { Database } from '../storage/tables.ts'
import { writeOneLightly } from '../storage/write-lightly.ts'

export type JobRow = Readonly<ModelJobsTable>
export type JobKind = JobRow['kind']

/** How a piece of work ended. */
export type JobEnd = Readonly<Pick<JobRow, 'model' | 'errorCode' | 'errorMessage'>> &
  Readonly<{ state: Exclude<JobRow['state'], 'running'> }>

/** So many of a kind that have ended are kept, and none longer than a day. */
const mostKept = 20
const keptMs = 24 * 3600 * 1000

export async function insertJob(db: Database, row: JobRow): Promise<void> {
  await db.insertInto('modelJobs').values(row).execute()
}

export function findJob(db: Database, id: string): Promise<JobRow | undefined> {
  return db.selectFrom('modelJobs').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Of these kinds, the latest first. */
export async function listJobs(db: Database, kinds: readonly JobKind[], nowMs: number): Promise<readonly JobRow[]> {
  const oldest = new Date(nowMs - keptMs).toISOString()
  return db
    .selectFrom('modelJobs')
    .selectAll()
    .where('kind', 'in', kinds)
    .where(({ eb, or }) => or([eb('state', '=', 'running'), eb('endedAt', '>', oldest)]))
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .execute()
}

/** While it runs; what comes late changes nothing. */
export async function saveJobProgress(db: Database, id: string, progress: object): Promise<void> {
  await writeOneLightly(db, (through) =>
    through
      .updateTable('modelJobs')
      .set({ progress: JSON.stringify(progress) })
      .where('id', '=', id)
      .where('state', '=', 'running')
      .execute(),
  )
}

/** Also of one that was taken for lost, or could not be noted when it began: how it ended counts. */
export async function endJob(db: Database, row: JobRow, end: JobEnd & Readonly<{ endedAt: string }>): Promise<void> {
  const { kind } = row
  const ended = { ...end, progress: null, wish: null }
  await db.transaction().execute(async (transaction) => {
    await transaction
      .insertInto('modelJobs')
      .values({ ...row, ...ended })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(ended))
      .execute()
    await removeOld(transaction, kind, end.endedAt)
  })
}

async function removeOld(db: Database, kind: JobKind, now: string): Promise<void> {
  const ended = db.selectFrom('modelJobs').select('id').where('kind', '=', kind).where('state', '!=', 'running')
  const kept = ended.orderBy('endedAt', 'desc').orderBy('id', 'desc').limit(mostKept)
  const oldest = new Date(Date.parse(now) - keptMs).toISOString()
  await db
    .deleteFrom('modelJobs')
    .where('kind', '=', kind)
    .where('state', '!=', 'running')
    .where(({ eb, or }) => or([eb('id', 'not in', kept), eb('endedAt', '<=', oldest)]))
    .execute()
}
/** Those of a process that has gone will never end. */
export async function interruptOrphans(db: Database, endedAt: string): Promise<void> {
  await db
    .updateTable('modelJobs')
    .set({ state: 'interrupted', endedAt, progress: null, errorCode: 'aborted', errorMessage: brokenOff })
    .where('state', '=', 'running')
    .where(isOrphaned)
    .execute()
}

const brokenOff = 'The service ended while it ran.'

/** Asks the process that has it to end it; false where it has ended, or never was. */
export async function wishEnd(db: Database, id: string): Promise<boolean> {
  const wish = db.updateTable('modelJobs').set({ wish: 'cancel' }).where('id', '=', id).where('state', '=', 'running')
  return (await wish.executeTakeFirstOrThrow()).numUpdatedRows > 0n
}

/** Those of a process that it is asked to end. */
export async function listWished(db: Database, instanceId: string): Promise<readonly string[]> {
  const wished = db.selectFrom('modelJobs').select('id').where('wish', '=', 'cancel').where('state', '=', 'running')
  return (await wished.where('instanceId', '=', instanceId).execute()).map(({ id }) => id)
}
