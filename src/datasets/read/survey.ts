import { AppError } from '../../errors.ts'
import type { DatasetFormat, DatasetKind, Excludable, RefusalReason } from '../kinds.ts'
import type { DatasetReport } from '../report.ts'
import { type FileRecord, openFile } from './records.ts'
import { Refused } from './refused.ts'
import { createRows, type SurveyedRow } from './surveyed-rows.ts'
import { createTally } from './tally.ts'
import { type ReadExample, toExample } from './to-example.ts'

export type ReadOptions = Readonly<{
  path: string
  /** As its sender calls it. */
  fileName: string
  /** Undefined: as each record says. */
  format: DatasetFormat | undefined
  /** The share of the rows that is held out. */
  heldOut: number
  seed: number
  exclude: readonly Excludable[]
}>

/** What is known once a file has been read whole. */
export type Survey = Readonly<{
  kind: DatasetKind
  report: DatasetReport
  /** Of the records that are examples, in their order. */
  rowAt(place: number): SurveyedRow
}>

/** Near-duplicates are sought among so many at most (see near-duplicates.ts). */
export const mostRows = 500_000

/** The example of a record, or why there is none. */
export function readRecord(record: FileRecord, format: DatasetFormat | undefined): ReadExample | Refused {
  if ('refused' in record) return record.refused
  try {
    return toExample(record.value, format)
  } catch (error) {
    if (error instanceof Refused) return error
    throw error
  }
}

/**
 * Reads a file once, and keeps of each row what it takes to compare it with the others. Throws `unprocessable` for a file that cannot be
 * read, holds no row or several kinds of them; `too_large` for too many rows.
 */
export async function surveyFile(options: ReadOptions): Promise<Survey> {
  const file = await openFile(options.path, options.fileName, options.format)
  const rows = createRows()
  const refused = createTally<RefusalReason, Readonly<{ line: number; message: string }>>()
  const formats = createTally<DatasetFormat, number>()
  const kinds = createTally<DatasetKind, number>()
  const ignored = createTally<string, number>()
  let records = 0
  for await (const record of file.records) {
    records += 1
    const { line } = record
    const read = readRecord(record, options.format)
    if (read instanceof Refused) {
      refused.add(read.reason, { line, message: read.message })
      continue
    }
    formats.add(read.format, line)
    kinds.add(read.example.type, line)
    for (const field of read.ignored) ignored.add(field.slice(0, 100), line)
    rows.add(read.example, line)
    if (rows.count() > mostRows) throw new AppError('too_large', `A dataset may have ${mostRows} rows. Split the file.`)
  }
  const refusals = refused.list().map(({ name, ...counted }) => ({ reason: name, ...counted }))
  const kind = theOneKind(kinds.list(), refusals)
  const { report, rowAt } = rows.compare(options)
  if (report.rows === 0) throw new AppError('unprocessable', 'All rows have a flag that was to be excluded: no row is left.')
  return {
    kind,
    rowAt,
    report: {
      ...file.facts,
      ...file.counts,
      records,
      formats: formats.list().map(({ name, count }) => ({ format: name, count })),
      refused: refusals,
      ignoredFields: ignored.list().map(({ name, count, examples }) => ({ field: name, count, lines: examples })),
      ...report,
    },
  }
}

type Kinds = ReadonlyArray<Readonly<{ name: DatasetKind; count: number; examples: readonly number[] }>>

/** Each kind is learned in a way of its own: which of them a file is for can't be guessed. */
function theOneKind(kinds: Kinds, refused: DatasetReport['refused']): DatasetKind {
  const [kind, ...others] = kinds
  if (kind !== undefined && others.length === 0) return kind.name
  if (kind !== undefined) {
    const counted = kinds.map(({ name, count, examples }) => `${count} of "${name}" (line ${examples[0]} and others)`)
    throw new AppError('unprocessable', `A dataset has rows of one kind, but the file has ${counted.join(' and ')}. Split it.`)
  }
  const reasons = refused.slice(0, 3).map(({ count, examples }) => {
    const [first] = examples
    return ` ${count} of them such as line ${first?.line}: ${first?.message}`
  })
  const why = reasons.length === 0 ? ' It is empty.' : reasons.join('')
  throw new AppError('unprocessable', `The file holds no row that can be learned from.${why}`)
}
