import { AppError } from '../errors.ts'
import type { TrainingRunsTable } from '../storage/learning-tables.ts'
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
  const waiting = db.selectFrom('trainingRuns').select('id').where('state', '=', 'queued')
  const rows = await waiting.orderBy('queuedAt').orderBy('createdAt').orderBy('id').execute()
  return rows.map(({ id }) => id)
}

export async function countRuns(db: Database): Promise<ReadonlyMap<RunState, number>> {
  const count = db.selectFrom('trainingRuns').select(['state', ({ fn }) => fn.countAll<number>().as('count')])
  const rows = await count.groupBy('state').execute()
  return new Map(rows.map(({ state, count }) => [state, count]))
}

type Changes = Partial<Omit<TrainingRunsTable, 'id' | 'state'>>

/** Lets an event happen to a run. False, and nothing has changed, where its state does not allow it. */
export async function moveRun(
  db: Database,
  id: string,
  event: RunEvent,
  changes: Changes & Pick<TrainingRunsTable, 'updatedAt'>,
) {
  const { from, to } = transitions[event]
  const moved = db
    .updateTable('trainingRuns')
    .set({ ...changes, state: to })
    .where('id', '=', id)
  const { numUpdatedRows } = await moved.where('state', 'in', from).executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}

export async function changeRun(
  db: Database,
  id: string,
  changes: Changes & Pick<TrainingRunsTable, 'updatedAt'>,
): Promise<void> {
  await db.updateTable('trainingRuns').set(changes).where('id', '=', id).execute()
}

/** Runs that are told to run although no process is there: the service ended suddenly, or could not write. */
export async function interruptOrphans(
  db: Database,
  running: string | undefined,
  changes: Changes & Pick<TrainingRunsTable, 'updatedAt'>,
): Promise<void> {
  const orphans = db
    .updateTable('trainingRuns')
    .set({ ...changes, state: 'interrupted' })
    .where('state', '=', 'running')
  await orphans.$if(running !== undefined, (query) => query.where('id', '!=', running ?? '')).execute()
}
