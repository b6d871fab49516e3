import { bytesOf, decodeFloats, type ElementType } from './number-formats.ts'
import type { PackedFormat } from './packed-format.ts'
import { isPackedPart, listPackedWeights } from './packed-weights.ts'
import type { Checkpoint, TensorInfo } from './safetensors.ts'

/** A tensor of a checkpoint to be read piece by piece, whatever it is stored as. `shape` is row-major. */
export type WeightSource = Readonly<{
  name: string
  shape: readonly number[]
  stored: ElementType | 'packed'
  /** All values in order, in pieces of whole rows, a multiple of `rowMultiple` of them. Each piece has its own memory. */
  read(rowMultiple: number): AsyncIterable<Float32Array>
  /** The bytes as they are stored, in pieces; undefined when the values are computed. */
  readStored?(): AsyncIterable<Uint8Array>
}>

/** Some 16 MB as 32-bit floats. */
const pieceValues = 1 << 22

/** All weights of a checkpoint by name. Throws `invalid` when packed ones are not whole. */
export function listWeights(checkpoint: Checkpoint, packed: PackedFormat | undefined): ReadonlyMap<string, WeightSource> {
  const weights = new Map(packed === undefined ? [] : listPackedWeights(checkpoint, packed))
  for (const tensor of checkpoint.tensors.values()) {
    if (packed === undefined || !isPackedPart(tensor.name)) weights.set(tensor.name, plainSource(checkpoint, tensor))
  }
  return weights
}

function plainSource(checkpoint: Checkpoint, tensor: TensorInfo): WeightSource {
  const { name, shape, type } = tensor
  const rows = shape.length > 1 ? (shape[0] ?? 1) : 1
  const rowValues = shape.reduce((product, size) => product * size, 1) / rows

  async function* readStored(rowMultiple = 1): AsyncIterable<Uint8Array<ArrayBuffer>> {
    const rowBytes = rowValues * bytesOf(type)
    const rowsAtOnce = Math.max(1, Math.floor(pieceValues / rowValues / rowMultiple)) * rowMultiple
    for (let row = 0; row < rows; row += rowsAtOnce) {
      yield await checkpoint.readBytes(tensor, row * rowBytes, Math.min(rows, row + rowsAtOnce) * rowBytes)
    }
  }

  return {
    name,
    shape,
    stored: type,
    async *read(rowMultiple) {
      for await (const bytes of readStored(rowMultiple)) yield decodeFloats(bytes, type)
    },
    readStored: () => readStored(),
  }
}
