import { createHash } from 'node:crypto'
import { exportLine } from '../export-line.ts'
import type { FromReader, ReadRow } from './read-protocol.ts'
import { openFile } from './records.ts'
import { Refused } from './refused.ts'
import { type ReadOptions, readRecord, type Survey, surveyFile } from './survey.ts'

/** Rows that are sent together, and about so many characters of them. */
const batchRows = 200
const batchCharacters = 262_144

/**
 * Reads a file twice: once to compare all rows, and once to give them, so that no more than some of them are in memory. Throws as
 * `surveyFile`.
 */
export async function* readDataset(options: ReadOptions): AsyncGenerator<FromReader> {
  const survey = await surveyFile(options)
  yield { type: 'read-survey', kind: survey.kind, report: survey.report }
  const sha256 = createHash('sha256')
  let batch: ReadRow[] = []
  let characters = 0
  for await (const { row, line } of readRows(options, survey)) {
    sha256.update(`${line}\n`)
    batch.push(row)
    characters += row.example.length
    if (batch.length < batchRows && characters < batchCharacters) continue
    yield { type: 'read-rows', rows: batch }
    batch = []
    characters = 0
  }
  if (batch.length > 0) yield { type: 'read-rows', rows: batch }
  yield { type: 'read-end', sha256: sha256.digest('hex') }
}

async function* readRows(options: ReadOptions, survey: Survey): AsyncGenerator<Readonly<{ row: ReadRow; line: string }>> {
  const file = await openFile(options.path, options.fileName, options.format)
  let place = 0
  let position = 0
  for await (const record of file.records) {
    const read = readRecord(record, options.format)
    if (read instanceof Refused) continue
    const { flags, isExcluded, group, isHeldOut } = survey.rowAt(place)
    place += 1
    if (isExcluded) continue
    const { example } = read
    const row: ReadRow = {
      position,
      split: isHeldOut ? 'held-out' : 'train',
      conversation: group,
      example: JSON.stringify(example),
      flags,
    }
    position += 1
    yield { row, line: exportLine(example) }
  }
}
