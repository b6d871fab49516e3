import { randomUUID } from 'node:crypto'
import { writeBeside } from '../engine/disk.ts'
import type { TrainingExample } from '../engine/train/example.ts'
import { AppError } from '../errors.ts'
import { ifGiven } from '../storage/if-given.ts'
import type { DatasetsTable } from '../storage/learning-tables.ts'
import { isBehind, toPage } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'
import {
  countRows,
  forgetImport,
  listRows,
  noteImport,
  type RowFilter,
  readExamples,
  removeOrphans,
  removeRows,
  type StoredRow,
  sampleLengths,
  saveRows,
} from './dataset-rows.ts'
import { exportLine } from './export-line.ts'
import type { Split } from './kinds.ts'
import { type DatasetPreview, readPreview } from './preview.ts'
import type { ReadMessage } from './read/read-process.ts'
import type { ReadOptions } from './read/survey.ts'
import type { DatasetReport, FeedbackReport } from './report.ts'

export type Dataset = Readonly<Omit<DatasetsTable, 'origin' | 'report'>> & Readonly<{ origin: Origin; report: DatasetReport }>

/** Where the rows came from: a file as its sender calls it, or the filters that chose the feedback, as they stood in the request. */
export type Origin = Readonly<Record<string, unknown>>

export type NewDataset = Readonly<{
  name: string
  source: Dataset['source']
  origin: Origin
  createdBy: string | null
  /** What is to be read. */
  options: ReadOptions
  /** Of what was chosen before it was written to the file. */
  feedback?: FeedbackReport
}>

export type DatasetPage = Readonly<{ items: readonly Dataset[]; nextCursor: string | undefined }>
export type RowPage = Readonly<{ rows: readonly StoredRow[]; nextCursor: string | undefined }>

export interface Datasets {
  /**
   * Reads a file into a new version of a dataset, which is there when all of it is there. Throws what reading throws (`unprocessable`,
   * `too_large`), `busy` where many wait, `aborted`; nothing is left then.
   */
  add(dataset: NewDataset, signal: AbortSignal): Promise<Dataset>
  /** What `add` would make, with the first rows; stores nothing. Throws as `add`. */
  preview(dataset: Pick<NewDataset, 'options' | 'feedback'>, signal: AbortSignal): Promise<DatasetPreview>
  /** Newest first; of one name, if given. Throws `invalid` for a cursor that is not one of ours. */
  list(options: Readonly<{ limit: number; cursor?: string | undefined; name?: string | undefined }>): Promise<DatasetPage>
  /** By its id, its name (the last version) or `NAME:VERSION`. Throws `not_found`. */
  get(reference: string): Promise<Dataset>
  listRows(dataset: Dataset, options: RowFilter & Readonly<{ limit: number; cursor?: string | undefined }>): Promise<RowPage>
  /** Characters of some examples to learn from, as they are stored, from all over the dataset. */
  sampleLengths(id: string): Promise<readonly number[]>
  /** Lines of JSON in the forms of `exportLine`, or of what is stored. Throws where the dataset is removed meanwhile. */
  exportLines(dataset: Dataset, split: Split | undefined): AsyncIterable<string>
  /** Writes a split as JSON lines of `TrainingExample`, beside and then in place. Throws `not_found`, `storage_full`, `aborted`. */
  writeExamples(reference: string, split: Split, file: string, signal?: AbortSignal): Promise<void>
  /** Throws `conflict` while a training run names it, `not_found`. */
  remove(reference: string): Promise<void>
  /** Ends what is being removed. */
  close(): Promise<void>
}

export type DatasetsParts = Readonly<{
  db: Database
  /** This process: others leave alone what it is about to write. Absent: there are no others. */
  instanceId?: string
  now: () => number
  /** Reads a file in a process of its own. */
  read: (options: ReadOptions, signal: AbortSignal) => AsyncIterable<ReadMessage>
}>

/** So many files may be read or wait for it. */
const mostReads = 5

/** Datasets, of which none ever changes. What a killed service has left of some is removed. */
export function createDatasets({ db, instanceId, now, read }: DatasetsParts): Datasets {
  const importing = new Set<string>()
  const unwanted = new Set<string>()
  let turn: Promise<unknown> = Promise.resolve()
  let sweeping = removeOrphans(db, importing).catch(() => {})

  /** One file after the other: each takes a process with much memory. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work)
    turn = mine.catch(() => {})
    return mine
  }

  function beginReading(): string {
    if (importing.size >= mostReads)
      throw new AppError('busy', `${importing.size} datasets are being read or wait already. Try again shortly.`)
    const id = randomUUID()
    importing.add(id)
    return id
  }

  /** Removes the rows of what is no dataset. Where that fails, the next time goes on with it, or the next start. */
  function sweep(...ids: readonly string[]): Promise<void> {
    for (const id of ids) unwanted.add(id)
    sweeping = sweeping
      .then(async () => {
        for (const id of unwanted) {
          await removeRows(db, id)
          await forgetImport(db, id)
          unwanted.delete(id)
        }
      })
      .catch(() => {})
    return sweeping
  }

  async function importFile(id: string, dataset: NewDataset, signal: AbortSignal): Promise<Dataset> {
    if (instanceId !== undefined) await noteImport(db, id, instanceId)
    let survey: Extract<ReadMessage, { type: 'read-survey' }> | undefined
    let sha256: string | undefined
    for await (const message of read(dataset.options, signal)) {
      if (message.type === 'read-survey') survey = message
      else if (message.type === 'read-rows') await saveRows(db, id, message.rows)
      else sha256 = message.sha256
    }
    if (survey === undefined || sha256 === undefined)
      throw new AppError('internal', 'The reader of datasets did not end its work.')
    const { name, source, origin, createdBy, feedback } = dataset
    const report: DatasetReport = feedback === undefined ? survey.report : { ...survey.report, feedback }
    const { trainRows, heldOutRows } = report.split
    const row = {
      id,
      name,
      kind: survey.kind,
      source,
      trainRows,
      heldOutRows,
      sha256,
      createdBy,
      createdAt: new Date(now()).toISOString(),
    }
    const version = await saveDataset(db, { ...row, origin: JSON.stringify(origin), report: JSON.stringify(report) })
    return { ...row, version, origin, report }
  }

  async function get(reference: string): Promise<Dataset> {
    const found = await findDataset(db, reference)
    if (found !== undefined) return toDataset(found)
    throw new AppError('not_found', `There is no dataset "${reference.slice(0, 200)}". Name one by its id, NAME or NAME:VERSION.`)
  }

  async function* examplesOf({ id, trainRows, heldOutRows }: Dataset, split?: Split): AsyncGenerator<TrainingExample> {
    let left = split === undefined ? trainRows + heldOutRows : split === 'train' ? trainRows : heldOutRows
    for await (const example of readExamples(db, id, split)) {
      left -= 1
      yield example
    }
    if (left !== 0) throw new AppError('not_found', 'The dataset was removed while it was read.')
  }

  return {
    get,
    async add(dataset, signal) {
      const id = beginReading()
      try {
        const added = await inTurn(() => importFile(id, dataset, signal))
        if (unwanted.size > 0) await sweep()
        return added
      } catch (error) {
        await sweep(id)
        throw error
      } finally {
        importing.delete(id)
      }
    },
    async preview({ options, feedback }, signal) {
      const id = beginReading()
      try {
        return await inTurn(() => readPreview(read(options, signal), feedback))
      } finally {
        importing.delete(id)
      }
    },
    sampleLengths: (id) => sampleLengths(db, id),
    list: (options) => listDatasets(db, options),
    async listRows({ id }, { cursor, ...options }) {
      const from = cursor === undefined ? 0 : readPosition(cursor)
      const { rows, next } = await listRows(db, id, { ...options, from })
      return { rows, nextCursor: next === undefined ? undefined : writePosition(next) }
    },
    async *exportLines(dataset, split) {
      for await (const example of examplesOf(dataset, split)) yield `${exportLine(example)}\n`
    },
    async writeExamples(reference, split, file, signal) {
      const examples = examplesOf(await get(reference), split)
      await writeBeside(file, toBytes(examples), signal)
    },
    async remove(reference) {
      const { id, name, version } = await get(reference)
      await db.transaction().execute(async (transaction) => {
        const run = await transaction
          .selectFrom('trainingRuns')
          .select('name')
          .where(({ eb, or }) => or([eb('datasetId', '=', id), eb('replayDatasetId', '=', id)]))
          .executeTakeFirst()
        if (run !== undefined)
          throw new AppError('conflict', `The training run "${run.name}" has learned from "${name}:${version}", so it stays.`)
        await transaction.deleteFrom('datasets').where('id', '=', id).execute()
      })
      void sweep(id)
    },
    async close() {
      await turn
      await sweeping
    },
  }
}

async function* toBytes(examples: AsyncIterable<TrainingExample>): AsyncGenerator<Uint8Array> {
  for await (const example of examples) yield Buffer.from(`${JSON.stringify(example)}\n`)
}

/** The next version of its name. */
async function saveDataset(db: Database, row: Omit<DatasetsTable, 'version'>): Promise<number> {
  return db.transaction().execute(async (transaction) => {
    const { last } = await transaction
      .selectFrom('datasets')
      .select(({ fn }) => fn.max('version').as('last'))
      .where('name', '=', row.name)
      .executeTakeFirstOrThrow()
    const version = (last ?? 0) + 1
    await transaction
      .insertInto('datasets')
      .values({ ...row, version })
      .execute()
    await refuseMissing(transaction, row)
    await forgetImport(transaction, row.id)
    return version
  })
}

/** Another process may have taken this one for gone, and its rows for left behind. */
async function refuseMissing(
  db: Database,
  { id, trainRows, heldOutRows }: Pick<DatasetsTable, 'id' | 'trainRows' | 'heldOutRows'>,
): Promise<void> {
  if ((await countRows(db, id)) === trainRows + heldOutRows) return
  throw new AppError('unavailable', 'Rows of the dataset were removed while it was made. Send it again.')
}

async function findDataset(db: Database, reference: string): Promise<DatasetsTable | undefined> {
  const byId = await db.selectFrom('datasets').selectAll().where('id', '=', reference).executeTakeFirst()
  if (byId !== undefined) return byId
  const [, name = reference, version] = /^(.*):(\d{1,9})$/.exec(reference) ?? []
  return db
    .selectFrom('datasets')
    .selectAll()
    .where('name', '=', name)
    .$call(ifGiven(version, (query, version) => query.where('version', '=', Number(version))))
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst()
}

async function listDatasets(
  db: Database,
  { limit, cursor, name }: Readonly<{ limit: number; cursor?: string | undefined; name?: string | undefined }>,
): Promise<DatasetPage> {
  const rows = await db
    .selectFrom('datasets')
    .selectAll()
    .$call(ifGiven(name, (query, name) => query.where('name', '=', name)))
    .where(isBehind(cursor))
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = toPage(rows, limit)
  return { items: items.map(toDataset), nextCursor }
}

/** What `add` has written is trusted. */
function toDataset({ origin, report, ...row }: DatasetsTable): Dataset {
  return { ...row, origin: JSON.parse(origin), report: JSON.parse(report) }
}

const writePosition = (position: number) => Buffer.from(String(position)).toString('base64url')

function readPosition(cursor: string): number {
  const text = Buffer.from(cursor, 'base64url').toString()
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const expected = 'the next_cursor of an earlier page'
  const details = [{ field: 'cursor', expected, got: 'another text' }]
  throw new AppError('invalid', `"cursor" must be ${expected}.`, { details })
}
