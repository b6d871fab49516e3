import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { AppError } from '../../errors.ts'
import { isJsonObject } from '../json-object.ts'
import { parseJson } from '../tool-calls-scan.ts'
import type { TrainingExample } from './example.ts'

/** The examples of a file of JSON lines, in order, with their lines (from 1). Throws `invalid` for a line that is no example, with its number. */
export async function* readExampleLines(file: string): AsyncGenerator<Readonly<{ line: number; example: TrainingExample }>> {
  let line = 0
  for await (const text of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1
    if (text.trim() === '') continue
    const example: unknown = parseJson(text)
    if (!isExample(example))
      throw new AppError('invalid', `Line ${line} should be a training example, but is ${text.slice(0, 80)}`)
    yield { line, example }
  }
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
