/** The formats of floats that are not quantized. */
export type FloatType = 'F32' | 'F16' | 'BF16'

/** llama.cpp's number for a file whose matrices are in the format (`general.file_type`). */
export const floatFileTypes = { F32: 0, F16: 1, BF16: 32 } as const satisfies Record<FloatType, number>

/** The values in a format of 32 or 16 bits, rounded to the nearest, ties to even. May share the memory of `values`. */
export function encodeFloats(values: Float32Array, type: FloatType): Uint8Array {
  switch (type) {
    case 'F32':
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    case 'F16':
      return new Uint8Array(new Float16Array(values).buffer)
    case 'BF16':
      return new Uint8Array(narrow(values).buffer)
  }
}

/** BF16 is the upper half of a 32-bit float. */
function narrow(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? 0
    // Adding could carry a NaN with few bits set into an infinity.
    const notANumber = (word & 0x7fffffff) > 0x7f800000
    halves[index] = notANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return halves
}
