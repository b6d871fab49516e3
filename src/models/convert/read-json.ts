import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../../errors.ts'
import { isSystemError } from '../verified-file.ts'

/** Tokenizers of large vocabularies have some thirty megabytes. */
const mostBytes = 200_000_000

/** The text of a file in a checkpoint folder; undefined when there is none. Throws `invalid` when it is too large. */
export async function findText(folder: string, name: string): Promise<string | undefined> {
  const file = await open(join(folder, name), 'r').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    if (size > mostBytes)
      throw new AppError('invalid', `${name} of the checkpoint has ${size} bytes; at most ${mostBytes} are read.`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/** What a JSON file in a checkpoint folder holds; undefined when there is none. Throws `invalid` when it does not fit the schema. */
export async function findJson<S extends TSchema>(folder: string, name: string, schema: S): Promise<Static<S> | undefined> {
  const text = await findText(folder, name)
  if (text === undefined) return undefined
  const value = parse(text, name)
  if (Value.Check(schema, value)) return value
  const [problem] = Value.Errors(schema, value)
  const where = problem?.instancePath.replaceAll('/', '.').replace(/^\./, '') || 'it'
  throw new AppError('invalid', `${name} of the checkpoint cannot be used: ${where} ${problem?.message ?? 'is wrong'}.`)
}

/** As `findJson`, but throws `not_found` when there is no such file. */
export async function getJson<S extends TSchema>(folder: string, name: string, schema: S): Promise<Static<S>> {
  const value = await findJson(folder, name, schema)
  if (value !== undefined) return value
  throw new AppError('not_found', `The checkpoint folder has no ${name}.`)
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new AppError('invalid', `${name} of the checkpoint is not JSON.`, { cause: error })
  }
}
