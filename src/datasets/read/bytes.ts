import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import type { DatasetReport } from '../report.ts'

export type Encoding = DatasetReport['encoding']
export type EncodingOfFile = Readonly<{ encoding: Encoding; byteOrderMark: boolean }>

/** The most that one record may take. */
export const maxRecordBytes = 4 * 1024 * 1024

const peekBytes = 65_536

/** The beginning of a file. */
export async function peek(path: string): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(peekBytes), 0, peekBytes, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

const binaries = [
  [[0x50, 0x41, 0x52, 0x31], 'Parquet'],
  [[0x50, 0x4b, 0x03, 0x04], 'a ZIP archive or an office document'],
  [[0x1f, 0x8b], 'compressed with gzip'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'compressed with Zstandard'],
] as const

/** By its mark; without one, UTF-16 is known by the zeros in its first two characters (RFC 4627, section 3). Throws `unprocessable`. */
export function encodingOf(head: Uint8Array): EncodingOfFile {
  for (const [magic, name] of binaries)
    if (magic.every((byte, place) => head[place] === byte)) throw unreadable(`it is ${name}. Save it as JSON lines`)
  const [first = 1, second = 1, third = 1, fourth = 1] = head
  const isUtf32 = (first === 0xff && second === 0xfe && third === 0 && fourth === 0) || (first === 0 && second === 0)
  if (isUtf32) throw unreadable('it is UTF-32 or no text. Save it as UTF-8')
  if (first === 0xef && second === 0xbb && third === 0xbf) return { encoding: 'utf-8', byteOrderMark: true }
  if (first === 0xff && second === 0xfe) return { encoding: 'utf-16le', byteOrderMark: true }
  if (first === 0xfe && second === 0xff) return { encoding: 'utf-16be', byteOrderMark: true }
  if (first !== 0 && second === 0 && third !== 0 && fourth === 0) return { encoding: 'utf-16le', byteOrderMark: false }
  if (first === 0 && second !== 0 && third === 0 && fourth !== 0) return { encoding: 'utf-16be', byteOrderMark: false }
  return { encoding: 'utf-8', byteOrderMark: false }
}

function unreadable(reason: string): AppError {
  return new AppError('unprocessable', `The file cannot be read: ${reason}.`)
}

/** The file in UTF-8, without a mark, a piece at a time. What was no text before is no UTF-8 afterwards either. */
export async function* readUtf8(path: string, { encoding, byteOrderMark }: EncodingOfFile): AsyncGenerator<Buffer> {
  const start = byteOrderMark ? (encoding === 'utf-8' ? 3 : 2) : 0
  const chunks: AsyncIterable<Buffer> = createReadStream(path, { start, highWaterMark: 262_144 })
  if (encoding === 'utf-8') yield* chunks
  else yield* fromUtf16(chunks, encoding)
}

/** The beginning of a file, as `readUtf8` would give it. */
export function toUtf8(head: Buffer, { encoding, byteOrderMark }: EncodingOfFile): Buffer {
  if (encoding === 'utf-8') return byteOrderMark ? head.subarray(3) : head
  return encode(unitsOf(head.subarray(byteOrderMark ? 2 : 0), encoding))
}

async function* fromUtf16(chunks: AsyncIterable<Buffer>, encoding: Encoding): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  // The first half of a character whose other half comes with the next piece.
  let half = ''
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk])
    const even = bytes.length - (bytes.length % 2)
    rest = bytes.subarray(even)
    const text = half + unitsOf(bytes.subarray(0, even), encoding)
    const isHalved = /[\ud800-\udbff]$/.test(text)
    half = isHalved ? text.slice(-1) : ''
    yield encode(isHalved ? text.slice(0, -1) : text)
  }
  if (half !== '' || rest.length > 0) yield Buffer.of(0xff)
}

function unitsOf(bytes: Buffer, encoding: Encoding): string {
  const even = bytes.subarray(0, bytes.length - (bytes.length % 2))
  return encoding === 'utf-16le' ? even.toString('utf16le') : Buffer.from(even).swap16().toString('utf16le')
}

/** Half a surrogate pair becomes a byte that is no UTF-8, so that it is met later and not replaced. */
function encode(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text)
  const parts = text.split(/(\p{Surrogate})/u)
  return Buffer.concat(parts.map((part) => (part.isWellFormed() ? Buffer.from(part) : Buffer.of(0xff))))
}
