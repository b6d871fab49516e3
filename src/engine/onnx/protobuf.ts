// What writing ONNX needs of protobuf's wire format (https://protobuf.dev/programming-guides/encoding): a message is a row of
// fields, each a number with a kind, then its value. Nothing else: a file of gigabytes must be written piece by piece, so
// the lengths of messages are known before their contents are read, which message libraries do not offer.

const varintKind = 0
const lengthKind = 2
const fixed32Kind = 5

/** A whole number from 0 up to 2^53. */
function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}

export function numberField(field: number, value: number): Buffer {
  // A negative number has ten bytes: it is written as 64 bits.
  if (value < 0) return Buffer.concat([varint(field * 8 + varintKind), negativeVarint(value)])
  return Buffer.concat([varint(field * 8 + varintKind), varint(value)])
}

function negativeVarint(value: number): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

export function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([varint(field * 8 + fixed32Kind), bytes])
}

/** What stands before the contents of a text, bytes or message that are `length` bytes long. */
export function lengthPrefix(field: number, length: number): Buffer {
  return Buffer.concat([varint(field * 8 + lengthKind), varint(length)])
}

export function textField(field: number, text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([lengthPrefix(field, bytes.length), bytes])
}

export function messageField(field: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, content) => sum + content.length, 0)
  return Buffer.concat([lengthPrefix(field, length), ...contents])
}
