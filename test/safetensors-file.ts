import { encodeFloats, type FloatType } from '../src/engine/gguf/encode-floats.ts'

export type Plain = Readonly<{ name: string; type: FloatType; shape: readonly number[]; values: Float32Array }>

/** The bytes of a safetensors file with these tensors, in this order. */
export function encodeSafetensors(tensors: readonly Plain[]): Buffer {
  const header = new Map<string, unknown>([['__metadata__', { format: 'pt' }]])
  const data: Uint8Array[] = []
  let offset = 0
  for (const { name, type, shape, values } of tensors) {
    const bytes = encodeFloats(values, type)
    header.set(name, { dtype: type, shape, data_offsets: [offset, offset + bytes.length] })
    data.push(bytes)
    offset += bytes.length
  }
  // Not an object: a tensor may be called __proto__.
  const text = `{${[...header].map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)))
  return Buffer.concat([length, Buffer.from(text), ...data])
}
