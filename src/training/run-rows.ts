import { AppError } from '../errors.ts'
import { ifGiven } from '../storage/if-given.ts'
import type { TrainingRunsTable } from '../storage/learning-tables.ts'
import { isOrphaned } from '../storage/orphaned.ts'
import { isBehind, toPage } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'
import { type RunEvent, type RunState, transitions } from './run-states.ts'

/** A run as it is kept, with what its dataset is called. */
export type RunRow = Readonly<TrainingRunsTable & { datasetName: string; datasetVersion: number }>

export type RunRowsPage = Readonly<{ items: readonly RunRow[]; nextCursor: string | undefined }>

const selectRuns = (db: Database) =>
  db
    .selectFrom('trainingRuns')
    .innerJoin('datasets', 'datasets.id', 'trainingRuns.datasetId')
    .selectAll('trainingRuns')
    .select(['datasets.name as datasetName', 'datasets.version as datasetVersion'])

export function findRun(db: Database, id: string): Promise<RunRow | undefined> {
  return selectRuns(db).where('trainingRuns.id', '=', id).executeTakeFirst()
}

/** Throws `not_found`. */
export async function getRun(db: Database, id: string): Promise<RunRow> {
  const run = await findRun(db, id)
  if (run === undefined)
    throw new AppError('not_found', `There is no training run with the id ${JSON.stringify(id.slice(0, 100))}.`)
  return run
}

export type RunFilter = Readonly<{ limit: number; cursor: string | undefined; state: RunState | undefined }>

/** Newest first. Throws `invalid` for a cursor that is not one of ours. */
export async function listRuns(db: Database, { limit, cursor, state }: RunFilter): Promise<RunRowsPage> {
  let query = selectRuns(db)
  if (state !== undefined) query = query.where('trainingRuns.state', '=', state)
  query = query.where(isBehind(cursor, 'trainingRuns.createdAt', 'trainingRuns.id'))
  const rows = await query
    .orderBy('trainingRuns.createdAt', 'desc')
    .orderBy('trainingRuns.id', 'desc')
    .limit(limit + 1)
    .execute()
  return toPage(rows, limit)
}

/** The run that was completed last. */
export function findCompleted(db: Database): Promise<RunRow | undefined> {
  return selectRuns(db)
    .where('trainingRuns.state', '=', 'completed')
    .orderBy('trainingRuns.endedAt', 'desc')
    .orderBy('trainingRuns.id', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** Those that wait, the next one first. */
export async function listQueue(db: Database): Promise<readonly string[]> {
  return (await listWaiting(db)).map(({ id }) => id)
}

/** `holder`: the process that worked on it last, where it lives. */
export type WaitingRun = Readonly<Pick<RunRow, 'id' | 'checkpointStep' | 'queuedAt'> & { holder: string | null }>

/** As `listQueue`. */
export async function listWaiting(db: Database): Promise<readonly WaitingRun[]> {
  return db
    .selectFrom('trainingRuns')
    .leftJoin('instances', 'instances.id', 'trainingRuns.instanceId')
    .select(['trainingRuns.id', 'checkpointStep', 'queuedAt', 'instances.id as holder'])
    .where('state', '=', 'queued')
    .orderBy('queuedAt')
    .orderBy('createdAt')
    .orderBy('trainingRuns.id')
    .execute()
}

export async function countRuns(db: Database): Promise<ReadonlyMap<RunState, number>> {
  const count = db.selectFrom('trainingRuns').select(['state', ({ fn }) => fn.countAll<number>().as('count')])
  const rows = await count.groupBy('state').execute()
  return new Map(rows.map(({ state, count }) => [state, count]))
}

type Changes = Partial<Omit<TrainingRunsTable, 'id' | 'state'>>

/**
 * Lets an event happen to a run. False, and nothing has changed, where its state does not allow it. One that runs is moved by the process
 * that works on it alone, `worker`.
 */
export async function moveRun(
  db: Database,
  id: string,
  event: RunEvent,
  changes: Changes & Pick<TrainingRunsTable, 'updatedAt'>,
  worker?: string,
) {
  const { from, to } = transitions[event]
  const moved = db
    .updateTable('trainingRuns')
    .set({ ...changes, state: to, wish: null })
    .where('id', '=', id)
    .where('state', 'in', from)
    .where(({ eb, or }) => or([eb('state', '!=', 'running'), eb('instanceId', '=', worker ?? '')]))
  const { numUpdatedRows } = await moved.executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}

/**
 * Lets a run that waits begin in this process. `lost`: it waits no more; `machine-busy`: another process of this machine trains already, and
 * two would take longer than one after the other.
 */
export async function claimRun(
  db: Database,
  id: string,
  changes: Changes & Pick<TrainingRunsTable, 'updatedAt'> & Readonly<{ instanceId: string }>,
): Promise<'claimed' | 'lost' | 'machine-busy'> {
  return db.transaction().execute(async (transaction) => {
    const beside = await transaction
      .selectFrom('trainingRuns')
      .innerJoin('instances', 'instances.id', 'trainingRuns.instanceId')
      .innerJoin('instances as own', 'own.host', 'instances.host')
      .select('trainingRuns.id')
      .where('trainingRuns.state', '=', 'running')
      .where('own.id', '=', changes.instanceId)
      .executeTakeFirst()
    if (beside !== undefined) return 'machine-busy'
    return (await moveRun(transaction, id, 'start', changes)) ? 'claimed' : 'lost'
  })
}

/** Asks the process that works on a run to end it; false where none does. */
export async function wishEnd(db: Database, id: string, wish: 'pause' | 'cancel'): Promise<boolean> {
  const wishing = db.updateTable('trainingRuns').set({ wish }).where('id', '=', id).where('state', '=', 'running')
  return (await wishing.executeTakeFirstOrThrow()).numUpdatedRows > 0n
}

export async function changeRun(
  db: Database,
  id: string,
  changes: Changes & Pick<TrainingRunsTable, 'updatedAt'>,
): Promise<void> {
  await db.updateTable('trainingRuns').set(changes).where('id', '=', id).execute()
}

/**
 * Runs that are told to run although no process is there: the one that worked on them has gone, or is this one, which works on `running`
 * alone and could not write how the others ended.
 */
export async function interruptOrphans(
  db: Database,
  { running, instanceId }: Readonly<{ running: string | undefined; instanceId: string }>,
  changes: Changes & Pick<TrainingRunsTable, 'updatedAt'>,
): Promise<void> {
  const orphans = db
    .updateTable('trainingRuns')
    .set({ ...changes, state: 'interrupted', wish: null })
    .where('state', '=', 'running')
    .where(({ eb, or }) => or([isOrphaned, eb('instanceId', '=', instanceId)]))
  await orphans.$call(ifGiven(running, (query, running) => query.where('id', '!=', running))).execute()
}
