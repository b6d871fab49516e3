import { AppError } from '../../errors.ts'
import type { LearnedExample } from './batches.ts'
import { readExampleLines } from './example-lines.ts'
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
  for await (const { line, example } of readExampleLines(file)) {
    if (method === 'dpo' && example.type !== 'preference')
      throw new AppError('invalid', `Line ${line}: DPO learns from preferences, but this is of the type "${example.type}".`)
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
