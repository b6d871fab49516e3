import { type FileHandle, open } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import { encodeFloats, type FloatType, floatFileTypes } from '../gguf/encode-floats.ts'
import { type GgufTensor, readGgufHeader } from '../gguf/gguf-header.ts'
import { type GgufTensor as TensorToWrite, type TensorWritten, writeGguf } from '../gguf/gguf-writer.ts'
import { readRawMetadata } from '../gguf/raw-metadata.ts'
import { refuseSplit } from '../gguf/refuse-split.ts'
import { type Dequantize, readBytePieces, readFloatPieces, readFloats } from '../gguf/tensor-floats.ts'
import { type AdapterPairs, type LowRank, readAdapterPairs } from './adapter-pairs.ts'

export type MergeJob = Readonly<{
  /** A GGUF file of any quantization, in one piece. */
  basePath: string
  /** A LoRA adapter for it, as a GGUF file. */
  adapterPath: string
  /** The file to write; one that is there is replaced. `TARGET.part` while it is written. */
  target: string
  /** What the changed matrices are kept in. All others stay as they are in the base. */
  outputType: FloatType
}>

export type MergeParts = Readonly<{
  dequantize: Dequantize
  report: (event: TensorWritten) => void
}>

/**
 * Adds an adapter to the weights of its base: W + alpha / rank · B · A for each matrix that it changes. The keys of the base (tokenizer,
 * chat template and all) come along byte for byte. Some megabytes are in memory at a time, besides A and B of one matrix. Throws
 * `invalid` (no GGUF file, no adapter, or not one for this base), `storage_full`, `aborted`; then no file remains.
 */
export async function mergeAdapter(job: MergeJob, { dequantize, report }: MergeParts, signal?: AbortSignal): Promise<void> {
  const { target, outputType } = job
  const [base, adapter] = [await readGgufHeader(job.basePath), await readGgufHeader(job.adapterPath)]
  refuseSplit(base)
  const pairs = readAdapterPairs(adapter, base)
  const [baseFile, adapterFile] = [await open(job.basePath, 'r'), await open(job.adapterPath, 'r')]
  try {
    const metadata = await readRawMetadata(baseFile, base, floatFileTypes[outputType])
    const files = { baseFile, adapterFile, dequantize, outputType }
    const tensors = base.tensors.map((tensor) => toTensor(tensor, pairs, files))
    await writeGguf({ target, metadata, tensors }, report, signal)
  } finally {
    await Promise.all([baseFile.close(), adapterFile.close()])
  }
}

type Files = Readonly<{ baseFile: FileHandle; adapterFile: FileHandle; dequantize: Dequantize; outputType: FloatType }>

function toTensor(tensor: GgufTensor, pairs: AdapterPairs, files: Files): TensorToWrite {
  const { name } = tensor
  const shape = tensor.shape.toReversed()
  const pair = pairs.get(name)
  if (pair !== undefined) return { name, type: files.outputType, shape, produce: () => addPair(tensor, pair, files) }
  return { name, type: tensor.type, shape, produce: () => readBytePieces(files.baseFile, tensor) }
}

async function* addPair(
  tensor: GgufTensor,
  { a, b, rank, scale, isTransposed }: LowRank,
  { baseFile, adapterFile, dequantize, outputType }: Files,
): AsyncGenerator<Uint8Array> {
  const [first, second] = [await readFloats(adapterFile, a, dequantize), await readFloats(adapterFile, b, dequantize)]
  const [columns = 1, rows = 1] = tensor.shape
  const product = isTransposed
    ? { down: transpose(second, rank), up: first, rank, rows, columns, scale }
    : { down: first, up: second, rank, rows, columns, scale }
  for await (const { start, floats } of readFloatPieces(baseFile, tensor, dequantize)) {
    addProduct(floats, start, product)
    yield encode(floats, outputType, tensor.name)
  }
}

type Product = Readonly<{
  /** [matrices, rank, columns] */
  down: Float32Array
  /** [matrices, rows, rank] */
  up: Float32Array
  rank: number
  rows: number
  columns: number
  scale: number
}>

/** Adds scale · up · down to the numbers of [matrices, rows, columns] from `start` on. */
export function addProduct(floats: Float32Array, start: number, { down, up, rank, rows, columns, scale }: Product): void {
  const end = start + floats.length
  for (let at = start; at < end; ) {
    const row = Math.floor(at / columns)
    const column = at - row * columns
    const count = Math.min(columns - column, end - at)
    const matrix = Math.floor(row / rows)
    for (let step = 0; step < rank; step += 1) {
      const factor = scale * (up[row * rank + step] ?? 0)
      const from = (matrix * rank + step) * columns + column
      for (let index = 0; index < count; index += 1) {
        const place = at - start + index
        floats[place] = (floats[place] ?? 0) + factor * (down[from + index] ?? 0)
      }
    }
    at += count
  }
}

/** [columns, rank] to [rank, columns] */
function transpose(values: Float32Array, rank: number): Float32Array {
  const columns = values.length / rank
  return Float32Array.from(values, (_, index) => values[(index % columns) * rank + Math.floor(index / columns)] ?? 0)
}

function encode(floats: Float32Array, type: FloatType, name: string): Uint8Array {
  if (!floats.every(Number.isFinite))
    throw new AppError('invalid', `Merged, the tensor "${name}" has values that are no numbers.`)
  if (type === 'F16' && floats.some((value) => Math.abs(value) >= beyondFloat16))
    throw new AppError('invalid', `Merged, the tensor "${name}" has values that are too large for F16. Choose BF16.`)
  return encodeFloats(floats, type)
}

/** What is rounded to infinity. */
const beyondFloat16 = 65_520
