import { analyse } from 'chardet'
import { AppError } from '../../errors.ts'

/** With fewer bytes than this no statistics can tell one encoding of single bytes from another. */
const fewestBytesToGuess = 64

/**
 * The text of a file in any encoding: by its mark of byte order, by what its maker says (`declared`), as UTF-8 if it is valid, or else
 * by statistics. Throws `unprocessable` for what is no text.
 */
export function decodeText(bytes: Uint8Array, declared?: string): string {
  const marked = encodingOfMark(bytes)
  if (marked !== undefined) return decode(bytes, marked)
  const wide = wideEncoding(bytes)
  if (wide !== undefined) return decode(bytes, wide)
  if (bytes.includes(0)) throw new AppError('unprocessable', 'The file holds zero bytes: it is binary, not text.')
  return tryDecode(bytes, 'utf-8') ?? tryDeclared(bytes, declared) ?? decode(bytes, guessEncoding(bytes))
}

function encodingOfMark(bytes: Uint8Array): string | undefined {
  const [first, second, third, fourth] = bytes
  if (first === 0xef && second === 0xbb && third === 0xbf) return 'utf-8'
  const isUtf32 = first === 0xff && second === 0xfe && third === 0 && fourth === 0
  if (isUtf32 || (first === 0 && second === 0 && third === 0xfe && fourth === 0xff))
    throw new AppError('unprocessable', 'The text is encoded in UTF-32, which is not read. Save it as UTF-8.')
  if (first === 0xff && second === 0xfe) return 'utf-16le'
  return first === 0xfe && second === 0xff ? 'utf-16be' : undefined
}

/** UTF-16 without a mark: in most scripts one of the two bytes of nearly each character is then the same few values, zero among them. */
function wideEncoding(bytes: Uint8Array): string | undefined {
  const sample = bytes.subarray(0, 4096)
  if (bytes.length < 4 || bytes.length % 2 !== 0 || !sample.includes(0)) return undefined
  const even = sample.reduce((count, byte, index) => count + (byte === 0 && index % 2 === 0 ? 1 : 0), 0)
  const odd = sample.reduce((count, byte, index) => count + (byte === 0 && index % 2 === 1 ? 1 : 0), 0)
  const characters = sample.length / 2
  if (odd > characters * 0.4 && even < characters * 0.02) return 'utf-16le'
  return even > characters * 0.4 && odd < characters * 0.02 ? 'utf-16be' : undefined
}

function tryDeclared(bytes: Uint8Array, declared: string | undefined): string | undefined {
  // Strictly so: where the bytes are no UTF-8, a declaration of UTF-8 is wrong.
  return declared === undefined || /^utf-?8$/i.test(declared) ? undefined : tryDecode(bytes, declared)
}

function tryDecode(bytes: Uint8Array, encoding: string): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function decode(bytes: Uint8Array, encoding: string): string {
  return new TextDecoder(encoding).decode(bytes)
}

/** Families of which the guess is sure only where the text has enough of their letters. */
const multiByte = ['Shift_JIS', 'EUC-JP', 'EUC-KR', 'Big5', 'GB18030', 'ISO-2022-JP', 'ISO-2022-KR', 'ISO-2022-CN']

function guessEncoding(bytes: Uint8Array): string {
  const foreign = bytes.reduce((count, byte) => count + (byte > 0x7f ? 1 : 0), 0)
  for (const { name, confidence } of analyse(bytes)) {
    if (name.startsWith('UTF-') || name === 'ASCII' || tryDecode(bytes, name) === undefined) continue
    const isMultiByte = multiByte.includes(name)
    // A Western text has a foreign letter here and there, a Russian or Japanese one hardly any others.
    const isLikely = isMultiByte ? foreign > bytes.length * 0.2 && confidence >= 40 : confidence >= 20
    if (isLikely && (isMultiByte ? foreign >= 8 : bytes.length >= fewestBytesToGuess)) return name
  }
  return 'windows-1252'
}
