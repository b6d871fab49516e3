import type { FastifyRequest } from 'fastify'
import Value from 'typebox/value'
import { AppError } from '../errors.ts'
import { toFormError } from '../http/forms.ts'
import type { TempFile, TempFiles } from '../rag/temp-files.ts'
import { type UploadFields, uploadFields } from './schema.ts'

export type Upload = Readonly<{ file: TempFile; fileName: string; fields: UploadFields }>

const mostFieldBytes = 65_536

export type ReceiveOptions = Readonly<{ tempFiles: TempFiles; maxBytes: number; signal: AbortSignal }>

/**
 * The one file and the fields of a form, in whatever order they come. Throws `too_large`, `invalid` (no file or several, a field that is
 * not known or not what it should be); nothing is left of the file then.
 */
export async function receiveUpload(request: FastifyRequest, { tempFiles, maxBytes, signal }: ReceiveOptions): Promise<Upload> {
  // Said before all of it has come. A form is somewhat larger than its file.
  if (Number(request.headers['content-length']) > maxBytes + 2 * mostFieldBytes) throw datasetTooLarge(maxBytes)
  const fields = new Map<string, string>()
  const saved: Array<Readonly<{ file: TempFile; fileName: string }>> = []
  try {
    const limits = { files: 2, fields: 20, fieldSize: mostFieldBytes, fileSize: maxBytes + 1 }
    for await (const part of request.parts({ limits })) {
      if (part.type !== 'file') fields.set(part.fieldname, readField(part.value, part.valueTruncated))
      else if (saved.length > 0) throw invalid('file', 'one file', 'several')
      else saved.push({ file: await tempFiles.save(part.file, maxBytes, signal), fileName: nameOf(part.filename) })
    }
    const [upload] = saved
    if (upload === undefined) throw invalid('file', 'a file', 'nothing')
    return { ...upload, fields: readFields(fields) }
  } catch (error) {
    await tempFiles.remove(saved.map(({ file }) => file))
    throw toUploadError(error, maxBytes)
  }
}

export function datasetTooLarge(maxBytes: number): AppError {
  const most = maxBytes >= 1024 ** 2 ? `${Math.floor(maxBytes / 1024 ** 2)} MB` : `${maxBytes} bytes`
  return new AppError(
    'too_large',
    `A dataset's file may have ${most} at most (MAX_DOCUMENT_BYTES). Split it, or raise the setting.`,
  )
}

/** Browsers send names, but other programs paths; a name tells no place on this machine. */
function nameOf(fileName: string): string {
  return fileName.split(/[/\\]/).at(-1)?.slice(0, 500) || 'dataset'
}

function readField(value: unknown, isCut: boolean): string {
  if (isCut) throw new AppError('too_large', `A field of the form may have ${mostFieldBytes} bytes.`)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Fields of a form are text: numbers and lists are read from it. */
function readFields(fields: ReadonlyMap<string, string>): UploadFields {
  const values: Record<string, unknown> = {}
  for (const [name, text] of fields) {
    if (name === 'held_out' || name === 'seed') values[name] = text.trim() === '' ? text : Number(text)
    else if (name === 'exclude_flagged') values[name] = readList(text)
    else if (name === 'preview') values[name] = text === 'true' ? true : text === 'false' ? false : text
    else values[name] = text
  }
  const [problem] = Value.Errors(uploadFields, values)
  if (problem === undefined && Value.Check(uploadFields, values)) return values
  const unknown = [...fields.keys()].find((name) => !Object.hasOwn(uploadFields.properties, name))
  if (unknown !== undefined) throw invalid(unknown, 'left out', JSON.stringify(fields.get(unknown) ?? ''))
  const field = problem?.instancePath.split('/')[1] || 'name'
  throw invalid(field, problem?.message ?? 'right', fields.has(field) ? JSON.stringify(fields.get(field)) : 'missing')
}

/** A JSON list, or names with commas between them. */
function readList(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
  }
}

function invalid(field: string, expected: string, got: string): AppError {
  const short = got.slice(0, 200)
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${short}.`, {
    details: [{ field, expected, got: short }],
  })
}

/** What the reader of forms and the temporary files say, in the words of this feature. */
function toUploadError(error: unknown, maxBytes: number): unknown {
  if (error instanceof AppError) return error.code === 'too_large' ? datasetTooLarge(maxBytes) : error
  const isTooMany = error instanceof Error && 'code' in error && error.code === 'FST_FILES_LIMIT'
  return isTooMany ? invalid('file', 'one file', 'several') : toFormError(error)
}
