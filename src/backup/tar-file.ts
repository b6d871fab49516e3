import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { blockBytes, damagedTar, paddingOf, readHeader, readLongName, writeHeader, writeLongName } from './tar-header.ts'

const chunkBytes = 1024 * 1024
const mostNameBytes = 100
const mostLongNameBytes = 4096

export interface TarWriter {
  /** Gives the SHA-256, in hex. `chunks` that are shorter or longer than said are filled up or cut off; then it is undefined. */
  add(name: string, sizeBytes: number, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string | undefined>
  end(): Promise<void>
}

/** `seconds`: since 1970, the time that all entries bear. */
export function createTarWriter(file: FileHandle, seconds: number): TarWriter {
  async function writeShort(name: string, type: 'file' | 'extended', content: Buffer): Promise<void> {
    await file.writeFile(writeHeader({ name, sizeBytes: content.length, type }, seconds))
    await file.writeFile(Buffer.concat([content, Buffer.alloc(paddingOf(content.length))]))
  }

  return {
    async add(name, sizeBytes, chunks) {
      const isLong = Buffer.byteLength(name) > mostNameBytes
      if (isLong) await writeShort('name', 'extended', writeLongName(name))
      await file.writeFile(writeHeader({ name: isLong ? 'see-the-header-before' : name, sizeBytes, type: 'file' }, seconds))
      const hash = createHash('sha256')
      let written = 0
      let isWhole = true
      for await (const chunk of chunks) {
        const fitting = chunk.subarray(0, sizeBytes - written)
        isWhole &&= fitting.length === chunk.length
        hash.update(fitting)
        await file.writeFile(fitting)
        written += fitting.length
        if (!isWhole) break
      }
      isWhole &&= written === sizeBytes
      for (; written < sizeBytes; written += Math.min(chunkBytes, sizeBytes - written))
        await file.writeFile(Buffer.alloc(Math.min(chunkBytes, sizeBytes - written)))
      await file.writeFile(Buffer.alloc(paddingOf(sizeBytes)))
      return isWhole ? hash.digest('hex') : undefined
    },
    async end() {
      await file.writeFile(Buffer.alloc(2 * blockBytes))
    },
  }
}

/** A file in a tar file. */
export type TarEntry = Readonly<{ name: string; offset: number; sizeBytes: number }>

/** In their order. Throws `invalid` for what is no tar file of plain files, or ends before its end. */
export async function* listTar(file: FileHandle): AsyncGenerator<TarEntry> {
  const { size } = await file.stat()
  let longName: string | undefined
  for (let at = 0; ; ) {
    const header = readHeader(await readBytes(file, at, blockBytes))
    if (header === undefined) return
    const { sizeBytes } = header
    const offset = at + blockBytes
    if (offset + sizeBytes > size) throw damagedTar()
    if (header.type === 'extended') {
      if (sizeBytes > mostLongNameBytes) throw damagedTar()
      longName = readLongName(await readBytes(file, offset, sizeBytes))
    } else {
      yield { name: longName ?? header.name, offset, sizeBytes }
      longName = undefined
    }
    at = offset + sizeBytes + paddingOf(sizeBytes)
  }
}

async function readBytes(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  if (bytesRead < length) throw damagedTar()
  return buffer
}

/** What an entry holds, in pieces of some size. */
export async function* readEntry(file: FileHandle, { offset, sizeBytes }: TarEntry): AsyncGenerator<Buffer> {
  for (let done = 0; done < sizeBytes; done += chunkBytes)
    yield await readBytes(file, offset + done, Math.min(chunkBytes, sizeBytes - done))
}
