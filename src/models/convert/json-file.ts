import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { isSystemError } from '../../engine/disk.ts'
import { AppError } from '../../errors.ts'

/** The largest tokenizers have 35 MB of JSON. */
const maxBytes = 200_000_000

/** The bytes of a file of the checkpoint, or undefined where there is none. Throws `invalid` when it is too large or no file. */
export async function findBytes(folder: string, name: string): Promise<Buffer | undefined> {
  const file = await open(join(folder, name), 'r').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const status = await file.stat()
    if (status.isFile() && status.size <= maxBytes) return await file.readFile()
    throw new AppError('invalid', `${name} should be a file of at most ${maxBytes} bytes, but has ${status.size}.`)
  } finally {
    await file.close()
  }
}

/**
 * What a JSON file of the checkpoint says, checked against `schema`; undefined where there is no such file. Fields that the
 * schema does not name may be there and are passed on. Throws `invalid` with the field at fault.
 */
export async function findJson<T extends TSchema>(folder: string, name: string, schema: T): Promise<Static<T> | undefined> {
  const bytes = await findBytes(folder, name)
  if (bytes === undefined) return undefined
  return checkJson(parseJson(bytes.toString('utf8'), name), name, schema)
}

/** As `findJson`; throws `not_found` when there is no such file. */
export async function getJson<T extends TSchema>(folder: string, name: string, schema: T): Promise<Static<T>> {
  const found = await findJson(folder, name, schema)
  if (found !== undefined) return found
  throw new AppError('not_found', `The checkpoint folder has no ${name}.`)
}

export function checkJson<T extends TSchema>(value: unknown, name: string, schema: T): Static<T> {
  if (Value.Check(schema, value)) return value
  const [first] = Value.Errors(schema, value)
  const field = first?.instancePath.slice(1).replaceAll('/', '.') || 'the whole file'
  throw new AppError('invalid', `${name} is not as expected at ${field}: it ${first?.message ?? 'has another form'}.`)
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AppError('invalid', `${name} is not JSON.`, { cause })
  }
}
