import { AppError } from '../../errors.ts'

/** The format's number of a type, and the bytes of one value. */
const numberTypes = {
  uint8: { id: 0, bytes: 1 },
  int8: { id: 1, bytes: 1 },
  uint16: { id: 2, bytes: 2 },
  int16: { id: 3, bytes: 2 },
  uint32: { id: 4, bytes: 4 },
  int32: { id: 5, bytes: 4 },
  float32: { id: 6, bytes: 4 },
  uint64: { id: 10, bytes: 8 },
  int64: { id: 11, bytes: 8 },
  float64: { id: 12, bytes: 8 },
} as const
const boolType = 7
const stringType = 8
const arrayType = 9

export type GgufNumberType = keyof typeof numberTypes

type Scalar =
  | Readonly<{ type: Exclude<GgufNumberType, 'uint64' | 'int64'>; value: number }>
  | Readonly<{ type: 'uint64' | 'int64'; value: bigint }>
  | Readonly<{ type: 'bool'; value: boolean }>
  | Readonly<{ type: 'string'; value: string }>

/** The elements of an array are all of one type. */
export type GgufValue =
  | Scalar
  | Readonly<{ type: 'array'; of: Exclude<GgufNumberType, 'uint64' | 'int64'>; values: ArrayLike<number> }>
  | Readonly<{ type: 'array'; of: 'uint64' | 'int64'; values: readonly bigint[] }>
  | Readonly<{ type: 'array'; of: 'bool'; values: readonly boolean[] }>
  | Readonly<{ type: 'array'; of: 'string'; values: readonly string[] }>

/** Bytes that grow as metadata are written to them: a vocabulary's are some ten megabytes in millions of small values. */
export interface GgufOutput {
  number(type: GgufNumberType, value: number | bigint): void
  text(value: string): void
  bytes(values: Uint8Array): void
  /** A value with its type in front, as it follows a key. Throws a RangeError when a number does not fit its type. */
  value(value: GgufValue): void
  length(): number
  written(): Uint8Array
}

export function createGgufOutput(): GgufOutput {
  let buffer = Buffer.alloc(1 << 16)
  let length = 0

  /** Where to write so many bytes. */
  function reserve(count: number): number {
    if (length + count > buffer.length) {
      const larger = Buffer.alloc(Math.max(buffer.length * 2, length + count))
      buffer.copy(larger, 0, 0, length)
      buffer = larger
    }
    length += count
    return length - count
  }

  function number(type: GgufNumberType, value: number | bigint): void {
    const at = reserve(numberTypes[type].bytes)
    writeNumber(buffer, at, type, value)
  }

  function bytes(values: Uint8Array): void {
    const at = reserve(values.length)
    buffer.set(values, at)
  }

  function text(value: string): void {
    const encoded = Buffer.from(value)
    number('uint64', BigInt(encoded.length))
    bytes(encoded)
  }

  const output = { number, text, bytes, length: () => length, written: () => buffer.subarray(0, length) }
  return { ...output, value: (value) => writeValue(output, value) }
}

type Values = Omit<GgufOutput, 'value'>

function writeValue(output: Values, value: GgufValue): void {
  if (value.type !== 'array') {
    output.number('uint32', typeNumber(value.type))
    writeScalar(output, value.type, value.value)
    return
  }
  output.number('uint32', arrayType)
  output.number('uint32', typeNumber(value.of))
  output.number('uint64', BigInt(value.values.length))
  for (let index = 0; index < value.values.length; index += 1) writeScalar(output, value.of, value.values[index])
}

function writeScalar(output: Values, type: GgufNumberType | 'bool' | 'string', value: unknown): void {
  if (type === 'string' && typeof value === 'string') output.text(value)
  else if (type === 'bool' && typeof value === 'boolean') output.number('uint8', Number(value))
  else if (type !== 'string' && type !== 'bool' && (typeof value === 'number' || typeof value === 'bigint'))
    output.number(type, value)
  else throw new AppError('internal', `A metadata value of type ${type} is ${typeof value}.`)
}

function typeNumber(type: GgufNumberType | 'bool' | 'string'): number {
  if (type === 'bool') return boolType
  return type === 'string' ? stringType : numberTypes[type].id
}

function writeNumber(buffer: Buffer, at: number, type: GgufNumberType, value: number | bigint): void {
  switch (type) {
    case 'uint8':
      return void buffer.writeUInt8(Number(value), at)
    case 'int8':
      return void buffer.writeInt8(Number(value), at)
    case 'uint16':
      return void buffer.writeUInt16LE(Number(value), at)
    case 'int16':
      return void buffer.writeInt16LE(Number(value), at)
    case 'uint32':
      return void buffer.writeUInt32LE(Number(value), at)
    case 'int32':
      return void buffer.writeInt32LE(Number(value), at)
    case 'float32':
      return void buffer.writeFloatLE(Number(value), at)
    case 'uint64':
      return void buffer.writeBigUInt64LE(BigInt(value), at)
    case 'int64':
      return void buffer.writeBigInt64LE(BigInt(value), at)
    case 'float64':
      return void buffer.writeDoubleLE(Number(value), at)
  }
}
