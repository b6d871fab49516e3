import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../../errors.ts'

/** Reads a file from its start on, in order, with a window of bounded size. Every read past the end throws `invalid`. */
export interface ByteReader {
  readonly size: number
  position(): number
  remaining(): number
  /** The next bytes; valid until the next call. */
  take(length: number): Promise<Buffer>
  skip(length: number): Promise<void>
  /** Skips texts with their length (64 bits) in front. */
  skipTexts(count: number): Promise<void>
}

const windowBytes = 256 * 1024

export function createByteReader(file: FileHandle, size: number): ByteReader {
  let window: Buffer<ArrayBufferLike> = Buffer.alloc(0)
  /** Where the window lies in the file, and where the next byte lies in the window. */
  let start = 0
  let cursor = 0

  const position = () => start + cursor
  const remaining = () => size - position()

  async function fill(length: number): Promise<void> {
    if (length > remaining()) throw cutOff(size)
    start = position()
    cursor = 0
    const next = Buffer.alloc(Math.min(size - start, Math.max(length, windowBytes)))
    let filled = 0
    while (filled < next.length) {
      const { bytesRead } = await file.read(next, filled, next.length - filled, start + filled)
      // The file has become shorter since its size was asked for.
      if (bytesRead === 0) throw cutOff(start + filled)
      filled += bytesRead
    }
    window = next
  }

  async function take(length: number): Promise<Buffer> {
    if (window.length - cursor < length) await fill(length)
    cursor += length
    return window.subarray(cursor - length, cursor)
  }

  async function skip(length: number): Promise<void> {
    if (length > remaining()) throw cutOff(size)
    if (length <= window.length - cursor) {
      cursor += length
      return
    }
    start = position() + length
    cursor = 0
    window = Buffer.alloc(0)
  }

  async function skipTexts(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      if (window.length - cursor < 8) await fill(8)
      const length = readLength(window, cursor)
      cursor += 8
      // Awaited only at the end of a window: vocabularies have hundreds of thousands of texts.
      if (length <= window.length - cursor) cursor += length
      else await skip(length)
    }
  }

  return { size, position, remaining, take, skip, skipTexts }
}

/** A count or length of 64 bits. More than can be counted is more than any file holds. */
export function readLength(bytes: Buffer, offset = 0): number {
  const value = bytes.readBigUInt64LE(offset)
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value)
}

export function cutOff(size: number): AppError {
  return new AppError('invalid', `The file ends before its contents do (after ${size} bytes): it is cut off or damaged.`)
}
