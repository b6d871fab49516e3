import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import type { TrainingExample } from '../engine/train/example.ts'
import { ifGiven } from '../storage/if-given.ts'
import type { DatasetRowsTable } from '../storage/learning-tables.ts'
import type { Database } from '../storage/tables.ts'
import type { RowFlag, Split } from './kinds.ts'
import type { ReadRow } from './read/read-protocol.ts'

/** A row as it is stored; examples are trusted, as only `saveRows` writes them. */
export type StoredRow = Readonly<DatasetRowsTable>

export type RowFilter = Readonly<{ split?: Split; flag?: RowFlag }>

/** So many rows are looked at, written or removed before others get their turn. */
const windowRows = 1000
const batchRows = 200

export async function saveRows(db: Database, datasetId: string, rows: readonly ReadRow[]): Promise<void> {
  const values = rows.map(({ flags, ...row }) => ({ ...row, datasetId, flags: JSON.stringify(flags) }))
  await db.insertInto('datasetRows').values(values).execute()
}

/** Rows in their order, from a position on: so many that pass the filter, and where to go on, if there are more rows. */
export async function listRows(
  db: Database,
  datasetId: string,
  { from, limit, split, flag }: RowFilter & Readonly<{ from: number; limit: number }>,
): Promise<Readonly<{ rows: readonly StoredRow[]; next: number | undefined }>> {
  const last = await lastPosition(db, datasetId)
  const rows: StoredRow[] = []
  let start = from
  while (start <= last && rows.length <= limit) {
    const found = await db
      .selectFrom('datasetRows')
      .selectAll()
      .where('datasetId', '=', datasetId)
      .where('position', '>=', start)
      .where('position', '<', start + windowRows)
      .$call(ifGiven(split, (query, split) => query.where('split', '=', split)))
      // A flag is a word in quotes in a JSON list, and is of our own making.
      .$call(ifGiven(flag, (query, flag) => query.where('flags', 'like', `%"${flag}"%`)))
      .orderBy('position')
      .limit(limit + 1 - rows.length)
      .execute()
    rows.push(...found)
    start += windowRows
    await setImmediate()
  }
  return { rows: rows.slice(0, limit), next: rows[limit]?.position }
}

const sampledWindows = 10
const sampledRows = 20

/** Characters of some rows to learn from, as they are stored: a few at each of several places. */
export async function sampleLengths(db: Database, datasetId: string): Promise<readonly number[]> {
  const count = (await lastPosition(db, datasetId)) + 1
  const windowSize = Math.max(sampledRows, Math.ceil(count / sampledWindows))
  const lengths: number[] = []
  for (let start = 0; start < count; start += windowSize) {
    const rows = await db
      .selectFrom('datasetRows')
      .select(sql<number>`length(example)`.as('length'))
      .where('datasetId', '=', datasetId)
      .where('position', '>=', start)
      .where('position', '<', start + windowSize)
      .where('split', '=', 'train')
      .orderBy('position')
      .limit(sampledRows)
      .execute()
    lengths.push(...rows.map(({ length }) => length))
  }
  return lengths
}

export async function countRows(db: Database, datasetId: string): Promise<number> {
  const { count } = await db
    .selectFrom('datasetRows')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('datasetId', '=', datasetId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

async function lastPosition(db: Database, datasetId: string): Promise<number> {
  const { last } = await db
    .selectFrom('datasetRows')
    .select(({ fn }) => fn.max('position').as('last'))
    .where('datasetId', '=', datasetId)
    .executeTakeFirstOrThrow()
  return last ?? -1
}

/** All examples of a dataset, or of one split, a few at a time: a slow reader holds nothing open. */
export async function* readExamples(db: Database, datasetId: string, split: Split | undefined): AsyncGenerator<TrainingExample> {
  for (let after = -1; ; ) {
    const rows = await db
      .selectFrom('datasetRows')
      .select(['position', 'example'])
      .where('datasetId', '=', datasetId)
      .where('position', '>', after)
      .$call(ifGiven(split, (query, split) => query.where('split', '=', split)))
      .orderBy('position')
      .limit(50)
      .execute()
    for (const { example } of rows) yield parseExample(example)
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.position
    await setImmediate()
  }
}

export function parseExample(example: string): TrainingExample {
  return JSON.parse(example)
}

/** Some at a time; a dataset whose rows go is not there any more. */
export async function removeRows(db: Database, datasetId: string): Promise<void> {
  for (;;) {
    const rows = db
      .selectFrom('datasetRows')
      .select('position')
      .where('datasetId', '=', datasetId)
      .orderBy('position')
      .limit(batchRows)
    const { numDeletedRows } = await db
      .deleteFrom('datasetRows')
      .where('datasetId', '=', datasetId)
      .where('position', 'in', rows)
      .executeTakeFirst()
    if (numDeletedRows === 0n) return
    await setImmediate()
  }
}

const importOf = (datasetId: string) => `dataset-import:${datasetId}` as const

/** Says that a process writes rows of a dataset that is not there yet. */
export async function noteImport(db: Database, datasetId: string, instanceId: string): Promise<void> {
  await db
    .insertInto('sharedState')
    .values({ name: importOf(datasetId), version: 0, value: instanceId })
    .execute()
}

export async function forgetImport(db: Database, datasetId: string): Promise<void> {
  await db.deleteFrom('sharedState').where('name', '=', importOf(datasetId)).execute()
}

/** What an import or a removal that was cut short has left; not what another process is about to write. */
export async function removeOrphans(db: Database, keep: ReadonlySet<string>): Promise<void> {
  for (let after = ''; ; ) {
    const row = await db
      .selectFrom('datasetRows')
      .select('datasetId')
      .where('datasetId', '>', after)
      .orderBy('datasetId')
      .limit(1)
      .executeTakeFirst()
    if (row === undefined) break
    after = row.datasetId
    if (!keep.has(after) && (await isOrphan(db, after))) await removeRows(db, after)
  }
  await db
    .deleteFrom('sharedState')
    .where('name', 'like', importOf('%'))
    .where('value', 'not in', ({ selectFrom }) => selectFrom('instances').select('id'))
    .execute()
}

async function isOrphan(db: Database, datasetId: string): Promise<boolean> {
  // In this order: an import ends in one step.
  const writing = await db
    .selectFrom('sharedState')
    .innerJoin('instances', 'instances.id', 'sharedState.value')
    .select('sharedState.name')
    .where('sharedState.name', '=', importOf(datasetId))
    .executeTakeFirst()
  if (writing !== undefined) return false
  return (await db.selectFrom('datasets').select('id').where('id', '=', datasetId).executeTakeFirst()) === undefined
}
