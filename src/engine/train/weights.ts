import { type FileHandle, open } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import type { GgufHeader, GgufTensor } from '../gguf/gguf-header.ts'
import { type Dequantize, readFloats } from '../gguf/tensor-floats.ts'
import type { ModelShape } from './model-shape.ts'
import { type AdaptableModule, adaptableModules } from './trainable.ts'

/** A weight that the graph takes: its name in the file, and its shape, row-major. */
export type WeightInfo = Readonly<{ name: string; shape: readonly number[] }>

/** Factors of the angles of positions, by pairs; in the files of some Llama models. */
export const rotaryFactors = 'rope_freqs.weight'

/** Which weights a model has, each with the shape that it must have. */
export type WeightNames = Readonly<{
  embedding: WeightInfo
  outputNorm: WeightInfo
  /** Undefined: the embedding serves. */
  output: WeightInfo | undefined
  hasRotaryFactors: boolean
  /** Those of a layer by the part of the name after `blk.N.`; biases where the file has them. */
  layer(index: number): ReadonlyMap<string, WeightInfo>
}>

/** How many numbers go into and come out of each module. */
export function moduleSizes(shape: ModelShape): Readonly<Record<AdaptableModule, Readonly<{ inputs: number; outputs: number }>>> {
  const { width, feedForward } = shape
  const queries = shape.heads * shape.headSize
  const keys = shape.keyValueHeads * shape.headSize
  return {
    attn_q: { inputs: width, outputs: queries },
    attn_k: { inputs: width, outputs: keys },
    attn_v: { inputs: width, outputs: keys },
    attn_output: { inputs: queries, outputs: width },
    ffn_gate: { inputs: width, outputs: feedForward },
    ffn_up: { inputs: width, outputs: feedForward },
    ffn_down: { inputs: feedForward, outputs: width },
  }
}

/**
 * Finds the weights of a model among a file's tensors. Throws `invalid` by name when one is missing or has another shape, and for
 * a tensor that the graph would not use: the model would compute something else.
 */
export function findWeights(header: GgufHeader, shape: ModelShape): WeightNames {
  const tensors = new Map(header.tensors.map((tensor) => [tensor.name, tensor]))
  const used = new Set<string>()
  const take = (name: string, size: readonly number[]): WeightInfo => {
    const tensor = tensors.get(name)
    if (tensor === undefined) throw new AppError('invalid', `The model has no tensor "${name}": it is not whole.`)
    checkTensor(tensor, size)
    used.add(name)
    return { name, shape: size }
  }
  const takeIfThere = (name: string, size: readonly number[]) => (tensors.has(name) ? take(name, size) : undefined)
  const layers = shape.layers.map((_, index) => takeLayer(shape, `blk.${index}.`, take, takeIfThere))
  const found: WeightNames = {
    embedding: take('token_embd.weight', [shape.vocabulary, shape.width]),
    outputNorm: take('output_norm.weight', [shape.width]),
    output: takeIfThere('output.weight', [shape.vocabulary, shape.width]),
    hasRotaryFactors: shape.architecture === 'llama' && takeIfThere(rotaryFactors, [shape.headSize / 2]) !== undefined,
    layer: (index) => layers[index] ?? new Map(),
  }
  const unused = header.tensors.find(({ name }) => !used.has(name))
  if (unused !== undefined)
    throw new AppError('invalid', `The model cannot be trained: it has the tensor "${unused.name}", which is not known here.`)
  return found
}

function takeLayer(
  shape: ModelShape,
  prefix: string,
  take: (name: string, size: readonly number[]) => WeightInfo,
  takeIfThere: (name: string, size: readonly number[]) => WeightInfo | undefined,
): ReadonlyMap<string, WeightInfo> {
  const found = new Map<string, WeightInfo>()
  const norms: ReadonlyArray<readonly [string, number]> = [
    ['attn_norm', shape.width],
    ['ffn_norm', shape.width],
    ...(shape.hasHeadNorms
      ? ([
          ['attn_q_norm', shape.headSize],
          ['attn_k_norm', shape.headSize],
        ] as const)
      : []),
    ...(shape.hasPostNorms
      ? ([
          ['post_attention_norm', shape.width],
          ['post_ffw_norm', shape.width],
        ] as const)
      : []),
  ]
  for (const [name, size] of norms) found.set(`${name}.weight`, take(`${prefix}${name}.weight`, [size]))
  const sizes = moduleSizes(shape)
  for (const module of adaptableModules) {
    const { inputs, outputs } = sizes[module]
    found.set(`${module}.weight`, take(`${prefix}${module}.weight`, [outputs, inputs]))
    const bias = takeIfThere(`${prefix}${module}.bias`, [outputs])
    if (bias !== undefined) found.set(`${module}.bias`, bias)
  }
  return found
}

function checkTensor(tensor: GgufTensor, size: readonly number[]): void {
  const found = tensor.shape.toReversed()
  if (found.length === size.length && found.every((length, index) => length === size[index])) return
  throw new AppError(
    'invalid',
    `The tensor "${tensor.name}" should be of ${size.join(' × ')} numbers, but is of ${found.join(' × ')}.`,
  )
}

/** Reads weights of a file as floats, those of queries and keys in the order in which the graph turns them. */
export async function loadWeights(
  path: string,
  header: GgufHeader,
  shape: ModelShape,
  names: ReadonlySet<string>,
  dequantize: Dequantize,
): Promise<ReadonlyMap<string, Float32Array>> {
  const file = await open(path, 'r')
  try {
    return await readAll(file, header, shape, names, dequantize)
  } finally {
    await file.close()
  }
}

async function readAll(
  file: FileHandle,
  header: GgufHeader,
  shape: ModelShape,
  names: ReadonlySet<string>,
  dequantize: Dequantize,
): Promise<ReadonlyMap<string, Float32Array>> {
  const weights = new Map<string, Float32Array>()
  for (const tensor of header.tensors.filter(({ name }) => names.has(name))) {
    const floats = await readFloats(file, tensor, dequantize)
    const isTurned = shape.isInterleaved && /\.attn_[qk]\.(weight|bias)$/.test(tensor.name)
    // A bias is a column.
    const width = tensor.shape.length === 1 ? 1 : (tensor.shape[0] ?? 1)
    weights.set(tensor.name, isTurned ? toHalves(floats, shape.headSize, width) : floats)
  }
  return weights
}

/** Rows of each head from pairs (0 1)(2 3)… to halves: 0 2 4 … 1 3 5 …, in which the first and the second of a pair turn. */
export function toHalves(rows: Float32Array, headSize: number, width: number): Float32Array {
  return moveRows(rows, headSize, width, (row) => (row % 2) * (headSize / 2) + Math.floor(row / 2))
}

/** The inverse of `toHalves`. */
export function toPairs(rows: Float32Array, headSize: number, width: number): Float32Array {
  const half = headSize / 2
  return moveRows(rows, headSize, width, (row) => (row < half ? 2 * row : 2 * (row - half) + 1))
}

function moveRows(rows: Float32Array, headSize: number, width: number, target: (row: number) => number): Float32Array {
  const moved = new Float32Array(rows.length)
  const count = rows.length / width
  for (let index = 0; index < count; index += 1) {
    const row = index % headSize
    moved.set(rows.subarray(index * width, (index + 1) * width), (index - row + target(row)) * width)
  }
  return moved
}
