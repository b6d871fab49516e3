import { AppError } from '../../errors.ts'

/** Bytes of one element, by the names that safetensors files use. */
const elementBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const

export type ElementType = keyof typeof elementBytes

export const elementTypes: readonly string[] = Object.keys(elementBytes)

export function isElementType(name: unknown): name is ElementType {
  return typeof name === 'string' && Object.hasOwn(elementBytes, name)
}

export function bytesOf(type: ElementType): number {
  return elementBytes[type]
}

// The formats are little-endian, and so is every machine that Node runs on here: typed arrays read and write them as they are.

/** The elements as 32-bit floats. F16, BF16 and integers up to 2^24 are exact. `bytes` must start at a multiple of 8 in its buffer. */
export function decodeFloats(bytes: Uint8Array, type: ElementType): Float32Array {
  const { buffer, byteOffset } = bytes
  const count = bytes.length / elementBytes[type]
  switch (type) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, count)
    case 'BF16':
      return widen(new Uint16Array(buffer, byteOffset, count))
    case 'F16':
      return new Float32Array(new Float16Array(buffer, byteOffset, count))
    case 'F64':
      return new Float32Array(new Float64Array(buffer, byteOffset, count))
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, count), Number)
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer, byteOffset, count), Number)
    default:
      return new Float32Array(decodeIntegers(bytes, type))
  }
}

/** The elements of a tensor of integers of 32 bits or less. Throws `invalid` for other types. */
export function decodeIntegers(
  bytes: Uint8Array,
  type: ElementType,
): Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array {
  const { buffer, byteOffset } = bytes
  const count = bytes.length / elementBytes[type]
  switch (type) {
    case 'I32':
      return new Int32Array(buffer, byteOffset, count)
    case 'U32':
      return new Uint32Array(buffer, byteOffset, count)
    case 'I16':
      return new Int16Array(buffer, byteOffset, count)
    case 'U16':
      return new Uint16Array(buffer, byteOffset, count)
    case 'I8':
      return new Int8Array(buffer, byteOffset, count)
    case 'U8':
    case 'BOOL':
      return new Uint8Array(buffer, byteOffset, count)
    default:
      throw new AppError('invalid', `A tensor must hold integers of 32 bits or less, but holds ${type}.`)
  }
}

/** BF16 is the upper half of a 32-bit float. */
function widen(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length)
  for (let index = 0; index < halves.length; index += 1) words[index] = (halves[index] ?? 0) << 16
  return new Float32Array(words.buffer)
}
