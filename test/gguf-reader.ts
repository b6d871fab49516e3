/** What a GGUF file holds; written from the format's description, apart from the program's writer. `shape` is row-major. */
export type ReadGguf = Readonly<{
  metadata: ReadonlyMap<string, unknown>
  tensors: ReadonlyArray<Readonly<{ name: string; type: string; shape: number[]; start: number; bytes: Uint8Array }>>
}>

const tensorTypes: Record<number, readonly [string, number]> = { 0: ['F32', 4], 1: ['F16', 2], 26: ['I32', 4], 30: ['BF16', 2] }

export function readGguf(file: Buffer): ReadGguf {
  let at = 8
  const take = (bytes: number) => {
    at += bytes
    return at - bytes
  }
  const count = () => Number(file.readBigUInt64LE(take(8)))
  const text = () => {
    const length = count()
    return file.toString('utf8', at, take(length) + length)
  }
  const readers: Record<number, () => unknown> = {
    0: () => file.readUInt8(take(1)),
    1: () => file.readInt8(take(1)),
    2: () => file.readUInt16LE(take(2)),
    3: () => file.readInt16LE(take(2)),
    4: () => file.readUInt32LE(take(4)),
    5: () => file.readInt32LE(take(4)),
    6: () => file.readFloatLE(take(4)),
    7: () => file.readUInt8(take(1)) === 1,
    8: text,
    9: () => {
      const type = file.readUInt32LE(take(4))
      return Array.from({ length: count() }, () => read(type))
    },
    10: () => file.readBigUInt64LE(take(8)),
    11: () => file.readBigInt64LE(take(8)),
    12: () => file.readDoubleLE(take(8)),
  }
  const read = (type: number) => {
    const reader = readers[type]
    if (reader === undefined) throw new Error(`No such type: ${type}`)
    return reader()
  }
  if (file.toString('latin1', 0, 4) !== 'GGUF' || file.readUInt32LE(4) !== 3) throw new Error('Not GGUF version 3')
  const [tensorCount, keyCount] = [count(), count()]
  const metadata = new Map<string, unknown>()
  for (let key = 0; key < keyCount; key += 1) metadata.set(text(), read(file.readUInt32LE(take(4))))
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text()
    const shape = Array.from({ length: file.readUInt32LE(take(4)) }, count).reverse()
    const [type, size] = tensorTypes[file.readUInt32LE(take(4))] ?? ['?', 0]
    return { name, type, shape, offset: count(), size: shape.reduce((product, one) => product * one, size) }
  })
  const dataStart = Math.ceil(at / 32) * 32
  const tensors = infos.map(({ name, type, shape, offset, size }) => {
    const start = dataStart + offset
    return { name, type, shape, start, bytes: file.subarray(start, start + size) }
  })
  return { metadata, tensors }
}
