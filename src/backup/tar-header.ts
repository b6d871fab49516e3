import { AppError } from '../errors.ts'

/* The tar format: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13 */

export const blockBytes = 512

/** Bytes that follow what an entry holds, up to the next block. */
export const paddingOf = (sizeBytes: number): number => (blockBytes - (sizeBytes % blockBytes)) % blockBytes

export type TarHeader = Readonly<{ name: string; sizeBytes: number; type: 'file' | 'extended' }>

const fields = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
} as const

const mostOctal = 8 ** 11 - 1

/** `name`: 100 bytes at most. Readable by its owner alone where it is unpacked. */
export function writeHeader({ name, sizeBytes, type }: TarHeader, seconds: number): Buffer {
  const block = Buffer.alloc(blockBytes)
  const put = ([start]: readonly [number, number], text: string) => block.write(text, start, 'utf8')
  const octal = ([start, length]: readonly [number, number], value: number) =>
    block.write(value.toString(8).padStart(length - 1, '0'), start)
  put(fields.name, name)
  octal(fields.mode, 0o600)
  octal(fields.uid, 0)
  octal(fields.gid, 0)
  if (sizeBytes <= mostOctal) octal(fields.size, sizeBytes)
  else {
    // Too large for eleven digits: a binary number, as GNU tar writes it.
    block[fields.size[0]] = 0x80
    block.writeBigUInt64BE(BigInt(sizeBytes), fields.size[0] + 4)
  }
  octal(fields.mtime, seconds)
  put(fields.type, type === 'file' ? '0' : 'x')
  put(fields.magic, 'ustar\x0000')
  block.write(`${checksumOf(block).toString(8).padStart(6, '0')}\0 `, fields.checksum[0])
  return block
}

/** The sum of all bytes, those of the sum itself as blanks. */
function checksumOf(block: Buffer): number {
  const [start, length] = fields.checksum
  return block.reduce((sum, byte, index) => sum + (index >= start && index < start + length ? 32 : byte), 0)
}

/** Undefined for the empty block at the end. Throws `invalid` for what is no header, and for entries that are no plain files. */
export function readHeader(block: Buffer): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  const text = ([start, length]: readonly [number, number]) =>
    block
      .subarray(start, start + length)
      .toString('utf8')
      .split('\0', 1)[0] ?? ''
  const kind = text(fields.type)
  if (Number.parseInt(text(fields.checksum), 8) !== checksumOf(block) || !text(fields.magic).startsWith('ustar'))
    throw damagedTar()
  if (kind !== '0' && kind !== '' && kind !== 'x')
    throw new AppError('invalid', 'This is no backup of simpleIA: it holds something else than plain files.')
  const isBinary = ((block[fields.size[0]] ?? 0) & 0x80) !== 0
  const sizeBytes = isBinary ? Number(block.readBigUInt64BE(fields.size[0] + 4)) : Number.parseInt(text(fields.size), 8)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw damagedTar()
  return { name: text(fields.name), sizeBytes, type: kind === 'x' ? 'extended' : 'file' }
}

export const damagedTar = (): AppError =>
  new AppError('invalid', 'This is no backup of simpleIA, or it is damaged or cut off. Nothing was changed.')

/** The extended header that gives the next entry a long name. */
export function writeLongName(name: string): Buffer {
  const rest = ` path=${name}\n`
  const bytes = Buffer.byteLength(rest)
  // The length counts its own digits.
  const length = [1, 2, 3, 4, 5].map((digits) => digits + bytes).find((sum, index) => String(sum).length === index + 1)
  return Buffer.from(`${length}${rest}`)
}

export function readLongName(record: Buffer): string {
  const [, name] = /^\d+ path=([^\n\0]*)\n$/.exec(record.toString('utf8')) ?? []
  if (name === undefined) throw damagedTar()
  return name
}
