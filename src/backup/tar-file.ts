import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { extract, type Header, pack } from 'tar-stream'
import { AppError } from '../errors.ts'

const chunkBytes = 1024 * 1024
const headerBytes = 512
const endBytes = 1024

export interface TarWriter {
  /** Gives the SHA-256, in hex. `chunks` that are shorter or longer than said are filled up or cut off; then it is undefined. */
  add(name: string, sizeBytes: number, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string | undefined>
}

/** Writes what `fill` adds, as fast as the disk takes it, and the end. All entries bear the time `modifiedAt`. */
export async function writeTar<T>(file: FileHandle, modifiedAt: Date, fill: (tar: TarWriter) => Promise<T>): Promise<T> {
  const tar = pack({ highWaterMark: chunkBytes })
  let failure: unknown
  const written = writeAll(file, tar).catch((error: unknown) => {
    failure = error
  })

  async function add(...[name, sizeBytes, chunks]: Parameters<TarWriter['add']>): Promise<string | undefined> {
    const fitting = fitTo(sizeBytes, chunks)
    // Readable by its owner alone where it is unpacked.
    await pipeline(fitting.chunks, tar.entry({ name, size: sizeBytes, mode: 0o600, mtime: modifiedAt, type: 'file' }))
    return fitting.sha256()
  }

  try {
    const result = await fill({ add })
    tar.finalize()
    await written
    if (failure !== undefined) throw failure
    return result
  } catch (error) {
    tar.destroy()
    await written
    // What the disk has said comes first: the rest follows from it.
    throw isOfDisk(failure) ? failure : error
  }
}

async function writeAll(file: FileHandle, chunks: AsyncIterable<unknown>): Promise<void> {
  for await (const chunk of bytesOf(chunks)) await file.writeFile(chunk)
}

/** The types of its streams do not say that they carry bytes. */
async function* bytesOf(chunks: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (!(chunk instanceof Uint8Array)) throw new AppError('internal', 'A tar file is made of bytes.')
    yield chunk
  }
}

/** As many bytes as were promised, whatever comes. */
function fitTo(sizeBytes: number, source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  const hash = createHash('sha256')
  let isWhole = true
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let written = 0
    for await (const chunk of source) {
      const fitting = chunk.subarray(0, sizeBytes - written)
      isWhole &&= fitting.length === chunk.length
      hash.update(fitting)
      written += fitting.length
      if (fitting.length > 0) yield fitting
      if (!isWhole) break
    }
    isWhole &&= written === sizeBytes
    for (; written < sizeBytes; written += Math.min(chunkBytes, sizeBytes - written))
      yield Buffer.alloc(Math.min(chunkBytes, sizeBytes - written))
  }
  return { chunks, sha256: () => (isWhole ? hash.digest('hex') : undefined) }
}

/** A file in a tar file. */
export type TarEntry = Readonly<{ name: string; offset: number; sizeBytes: number }>

/**
 * In their order; what each holds has to be read before the next is asked for. Throws `invalid` for what is no tar file of plain files, or
 * ends before its end.
 */
export async function* readTar(file: FileHandle): AsyncGenerator<TarEntry & Readonly<{ content: AsyncIterable<Uint8Array> }>> {
  const tar = extract()
  const { size } = await file.stat()
  let end = 0
  const reading = pipeline(readFrom(file, size), tar).catch(() => {})
  try {
    for await (const content of tar) {
      const { name, sizeBytes } = readHeader(content.header)
      const offset = content.offset + headerBytes
      end = offset + sizeBytes + ((headerBytes - (sizeBytes % headerBytes)) % headerBytes)
      yield { name, offset, sizeBytes, content: contentOf(content) }
    }
  } catch (error) {
    throw toReadError(error)
  } finally {
    tar.destroy()
    await reading
  }
  // Where it was cut off between two entries, the mark at its end is missing.
  for await (const bytes of readFrom(file, end + endBytes, end)) if (bytes.some((byte) => byte !== 0)) throw damagedTar()
}

async function* contentOf(source: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  try {
    yield* bytesOf(source)
  } catch (error) {
    throw toReadError(error)
  }
}

/** What the disk could not read is no fault of the file. */
const toReadError = (error: unknown): unknown => (error instanceof AppError || isOfDisk(error) ? error : damagedTar(error))

const isOfDisk = (error: unknown) => error instanceof Error && 'syscall' in error

function readHeader({ name, size, type }: Header): Readonly<{ name: string; sizeBytes: number }> {
  if (type !== 'file') throw new AppError('invalid', 'This is no backup of simpleIA: it holds something else than plain files.')
  if (!Number.isSafeInteger(size)) throw damagedTar()
  return { name, sizeBytes: size }
}

export const damagedTar = (cause?: unknown): AppError =>
  new AppError('invalid', 'This is no backup of simpleIA, or it is damaged or cut off. Nothing was changed.', { cause })

async function* readFrom(file: FileHandle, end: number, start = 0): AsyncGenerator<Buffer> {
  for (let position = start; position < end; position += chunkBytes) {
    const length = Math.min(chunkBytes, end - position)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
    if (bytesRead < length) throw damagedTar()
    yield buffer
  }
}

/** What an entry holds, in pieces of some size. */
export const readEntry = (file: FileHandle, { offset, sizeBytes }: TarEntry): AsyncGenerator<Buffer> =>
  readFrom(file, offset + sizeBytes, offset)
