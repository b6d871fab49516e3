import type { MultipartFile } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import Value from 'typebox/value'
import { AppError } from '../errors.ts'
import { toFormError } from '../http/forms.ts'
import { type UploadFields, uploadFields } from './document-schema.ts'
import type { IncomingFile } from './documents.ts'
import { type TempFile, type TempFiles, tooLarge } from './temp-files.ts'

export type Upload = Readonly<{ files: readonly IncomingFile[]; fields: UploadFields }>

const mostFiles = 100
const mostFieldBytes = 65_536

export type ReceiveOptions = Readonly<{ tempFiles: TempFiles; maxBytes: number; signal: AbortSignal }>

/**
 * Files and fields of a form, in whatever order they come. All files together are bounded. Throws `too_large`, `invalid` (no file,
 * two of one name, a field that is not known or not what it should be); nothing is left of the files then.
 */
export async function receiveUpload(request: FastifyRequest, { tempFiles, maxBytes, signal }: ReceiveOptions): Promise<Upload> {
  // Said before all of it has come. A form is somewhat larger than its files.
  if (Number(request.headers['content-length']) > maxBytes + 2 * mostFieldBytes) throw tooLarge(maxBytes)
  const fields = new Map<string, string>()
  const saved: Array<TempFile & Pick<IncomingFile, 'name' | 'mediaType'>> = []
  try {
    let left = maxBytes
    const limits = { files: mostFiles, fields: 20, fieldSize: mostFieldBytes, fileSize: maxBytes + 1 }
    for await (const part of request.parts({ limits })) {
      if (part.type === 'file') {
        const file = await tempFiles.save(part.file, left, signal)
        left -= file.sizeBytes
        saved.push({ ...file, name: nameOf(part), mediaType: part.mimetype })
      } else fields.set(part.fieldname, readField(part.value, part.valueTruncated))
    }
    if (saved.length === 0) throw invalid('file', 'at least one file', 'no file')
    refuseSameNames(saved)
    const read = readFields(fields)
    if (read.source !== undefined && saved.length > 1)
      throw invalid('source', 'sent with one file only', `sent with ${saved.length}`)
    return { fields: read, files: saved.map((file) => ({ ...file, source: read.source ?? file.name })) }
  } catch (error) {
    await tempFiles.remove(saved)
    throw toInvalid(error)
  }
}

/** Browsers send names, but other programs paths; a name tells no place on this machine. */
function nameOf({ filename }: MultipartFile): string {
  return filename.split(/[/\\]/).at(-1)?.slice(0, 500) || 'document'
}

/** The name is what a document is known by: of two files with one name, the second would take the place of the first. */
function refuseSameNames(files: ReadonlyArray<Pick<IncomingFile, 'name'>>): void {
  const places = new Map<string, number>()
  for (const [index, { name }] of files.entries()) {
    const first = places.get(name)
    if (first !== undefined)
      throw invalid('file', 'of another name each time', `number ${first} and number ${index + 1} of the name "${name}"`)
    places.set(name, index + 1)
  }
}

function readField(value: unknown, isCut: boolean): string {
  if (isCut) throw new AppError('too_large', `A field of the form may have ${mostFieldBytes} bytes.`)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Fields of a form are text: numbers, yes or no, and JSON are read from it. */
function readFields(fields: ReadonlyMap<string, string>): UploadFields {
  const values: Record<string, unknown> = {}
  for (const [name, text] of fields) {
    if (name === 'chunk_tokens' || name === 'overlap_tokens') values[name] = text.trim() === '' ? text : Number(text)
    else if (name === 'force') values[name] = text === 'true' ? true : text === 'false' ? false : text
    else values[name] = name === 'metadata' ? readJson(text) : text
  }
  const [problem] = Value.Errors(uploadFields, values)
  if (problem === undefined && Value.Check(uploadFields, values)) return values
  const field =
    problem?.instancePath.slice(1) || [...fields.keys()].find((name) => !Object.hasOwn(uploadFields.properties, name)) || 'form'
  throw invalid(
    field,
    Object.hasOwn(uploadFields.properties, field) ? (problem?.message ?? 'right') : 'left out',
    JSON.stringify(fields.get(field) ?? ''),
  )
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function invalid(field: string, expected: string, got: string): AppError {
  const short = got.slice(0, 200)
  return new AppError('invalid', `"${field}" must be ${expected}, but is ${short}.`, {
    details: [{ field, expected, got: short }],
  })
}

function toInvalid(error: unknown): unknown {
  const isTooMany = error instanceof Error && 'code' in error && error.code === 'FST_FILES_LIMIT'
  if (isTooMany) return new AppError('too_large', `A request may have ${mostFiles} files at most.`, { cause: error })
  return toFormError(error)
}
