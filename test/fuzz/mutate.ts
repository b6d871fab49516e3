import { unzipSync, zipSync } from 'fflate'

/** From 0 to 1, the same for the same seed. */
export type Random = () => number

/** What readers have stumbled over: numbers at the ends of their ranges, names that mean something to JavaScript, ways out, depths. */
const words = [
  '__proto__',
  'constructor',
  'prototype',
  '../../../etc/passwd',
  '\u0000',
  '\\ud800',
  '\ufeff',
  '-1',
  '1e309',
  'NaN',
  '9'.repeat(400),
  '18446744073709551615',
  '['.repeat(3000),
  '{"a":'.repeat(1500),
  '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "&x;&x;">]>&y;',
  '<div>'.repeat(2000),
  '(((('.repeat(500),
  ' '.repeat(5000),
  '"'.repeat(301),
].map((word) => Buffer.from(word))

const numbers = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  1n << 53n,
  1n << 60n,
  (1n << 64n) - 1n,
]

/** A file of a few changes at random places, headers above all; half of them keep its length, so that it is read further. */
export function mutate(original: Uint8Array, random: Random): Buffer {
  if (random() < 0.5) return pick(mild, random)(Buffer.from(original), random)
  let bytes: Buffer = Buffer.from(original)
  const changes = 1 + Math.floor(random() * 4)
  for (let change = 0; change < changes && bytes.length > 0; change += 1) bytes = pick(kinds, random)(bytes, random)
  return bytes
}

/** Changes what is inside an archive, so that it is still one; or the archive itself. */
export function mutateArchive(original: Uint8Array, random: Random): Buffer {
  if (random() < 0.4) return mutate(original, random)
  const files = unzipSync(original)
  const name = pick(Object.keys(files), random)
  const content = files[name]
  if (content === undefined) return mutate(original, random)
  const renamed = random() < 0.1 ? pick(['../../out', '/etc/passwd', '__proto__', 'x'.repeat(3000)], random) : name
  const { [name]: _, ...others } = files
  return Buffer.from(zipSync({ ...others, [renamed]: mutate(content, random) }))
}

type Change = (bytes: Buffer, random: Random) => Buffer

const mild: readonly Change[] = [flipBits, setNumber, fill, swap]
const kinds: readonly Change[] = [flipBits, setNumber, setNumber, fill, cut, drop, repeat, swap, insertWord, replaceDigits]

const pick = <T>(items: readonly T[], random: Random): T => {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new RangeError('There is nothing to choose from.')
  return item
}

function place(bytes: Buffer, random: Random): number {
  const end = random() < 0.5 ? Math.min(bytes.length, 512) : bytes.length
  return Math.floor(random() * end)
}

function flipBits(bytes: Buffer, random: Random): Buffer {
  const changed = Buffer.from(bytes)
  for (let flips = 1 + Math.floor(random() * 16); flips > 0; flips -= 1) {
    const at = place(changed, random)
    changed.writeUInt8(changed.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at)
  }
  return changed
}

function setNumber(bytes: Buffer, random: Random): Buffer {
  const width = pick([1, 2, 4, 8], random)
  if (bytes.length < 8) return bytes
  const changed = Buffer.from(bytes)
  const free = Math.min(place(bytes, random), bytes.length - 8)
  const at = random() < 0.7 ? free - (free % 4) : free
  const number = Buffer.alloc(8)
  number.writeBigUInt64LE(pick(numbers, random))
  number.copy(changed, at, 0, width)
  return changed
}

function fill(bytes: Buffer, random: Random): Buffer {
  const at = place(bytes, random)
  const value = pick([0, 0xff, 0x20, Math.floor(random() * 256)], random)
  return Buffer.from(bytes).fill(value, at, Math.min(bytes.length, at + 1 + Math.floor(random() * 64)))
}

function cut(bytes: Buffer, random: Random): Buffer {
  return bytes.subarray(0, place(bytes, random))
}

function drop(bytes: Buffer, random: Random): Buffer {
  const at = place(bytes, random)
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + Math.floor(random() * 32))])
}

function repeat(bytes: Buffer, random: Random): Buffer {
  const at = place(bytes, random)
  const piece = bytes.subarray(at, at + 1 + Math.floor(random() * 200))
  const times = 1 + Math.floor(random() * 300)
  return Buffer.concat([bytes.subarray(0, at), ...Array.from({ length: times }, () => piece), bytes.subarray(at)])
}

function swap(bytes: Buffer, random: Random): Buffer {
  const [first, second] = [place(bytes, random), place(bytes, random)].toSorted((one, other) => one - other)
  const length = Math.min(1 + Math.floor(random() * 64), (second ?? 0) - (first ?? 0))
  const changed = Buffer.from(bytes)
  bytes.copy(changed, first, second, (second ?? 0) + length)
  bytes.copy(changed, second, first, (first ?? 0) + length)
  return changed
}

function insertWord(bytes: Buffer, random: Random): Buffer {
  const at = place(bytes, random)
  const over = random() < 0.5 ? 0 : Math.floor(random() * 16)
  return Buffer.concat([bytes.subarray(0, at), pick(words, random), bytes.subarray(at + over)])
}

function replaceDigits(bytes: Buffer, random: Random): Buffer {
  const text = bytes.toString('latin1')
  const found = [...text.matchAll(/\d+/g)]
  if (found.length === 0) return flipBits(bytes, random)
  const { index, 0: digits } = pick(found, random)
  const number = pick(['0', '-1', '4294967295', '9007199254740993', '1e400', '99999999999999999999', '2147483648'], random)
  return Buffer.from(text.slice(0, index) + number + text.slice(index + digits.length), 'latin1')
}
