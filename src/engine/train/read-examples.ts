import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { AppError } from '../../errors.ts'
import { isJsonObject } from '../json-object.ts'
import { parseJson } from '../tool-calls-scan.ts'
import type { LearnedExample } from './batches.ts'
import type { TrainingExample } from './example.ts'
import type { ExampleReader, ExampleRows } from './example-tokens.ts'
import type { TrainingMethod } from './protocol.ts'

export type ReadExamples = Readonly<{
  examples: readonly LearnedExample[]
  tooLong: number
  /** Also those that count for nothing, and those that the model's chat template refuses. */
  empty: number
}>

/**
 * All examples of a file of JSON lines as token rows. Throws `invalid` for a line that is no example, or one that the method cannot
 * learn from, with its number.
 */
export async function readExamples(file: string, reader: ExampleReader, method: TrainingMethod): Promise<ReadExamples> {
  const examples: LearnedExample[] = []
  const leftOut = { 'too-long': 0, empty: 0, refused: 0 }
  let line = 0
  for await (const text of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1
    if (text.trim() === '') continue
    const example: unknown = parseJson(text)
    if (!isExample(example))
      throw new AppError('invalid', `${file}, line ${line}: expected a training example, got ${text.slice(0, 80)}`)
    if (method === 'dpo' && example.type !== 'preference')
      throw new AppError(
        'invalid',
        `${file}, line ${line}: DPO learns from preferences, but this is of the type "${example.type}".`,
      )
    const read = await reader.read(example)
    if (read.type === 'left-out') leftOut[read.reason] += 1
    else if (read.weight > 0) examples.push({ rows: rowsOf(read, method), weight: read.weight })
    else leftOut.empty += 1
  }
  return { examples, tooLong: leftOut['too-long'], empty: leftOut.empty + leftOut.refused }
}

/** Fine-tuning learns the better one of two answers. */
function rowsOf(read: Exclude<ExampleRows, { type: 'left-out' }>, method: TrainingMethod): LearnedExample['rows'] {
  if (read.type === 'rows') return read.rows
  return method === 'dpo' ? [read.chosen, read.rejected] : [read.chosen]
}

/** The file is the service's own, so only what tells the kinds apart is looked at. */
function isExample(value: unknown): value is TrainingExample {
  if (!isJsonObject(value)) return false
  if (value.weight !== undefined && !(typeof value.weight === 'number' && Number.isFinite(value.weight) && value.weight >= 0))
    return false
  switch (value.type) {
    case 'text':
      return typeof value.text === 'string'
    case 'chat':
      return Array.isArray(value.messages)
    case 'preference':
      return Array.isArray(value.messages) && typeof value.chosen === 'string' && typeof value.rejected === 'string'
    default:
      return false
  }
}
