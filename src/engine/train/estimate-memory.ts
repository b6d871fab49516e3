import { chunkOf } from './batch-inputs.ts'
import type { ModelShape } from './model-shape.ts'
import type { TrainableModel } from './open-trainable.ts'
import type { AdaptableModule } from './trainable.ts'
import { moduleSizes } from './weights.ts'

export type MemoryNeed = Readonly<{
  rank: number
  modules: readonly AdaptableModule[]
  /** Of the largest batch. */
  rows: number
  length: number
  targets: number
  drops: boolean
}>

const floatBytes = Float32Array.BYTES_PER_ELEMENT
/** Node.js with ONNX Runtime, before there is a model. */
const processBytes = 150 * 1024 ** 2
/** The allocator's gaps between what it has given out. */
const gaps = 1.1

/**
 * Bytes that a process takes at most which opens a model on the CPU, scores and differentiates batches of this size; without what
 * the trainer itself keeps for each number of the adapter. Rather too much than too little.
 */
export function estimateMemory({ shape, weights }: TrainableModel, need: MemoryNeed): number {
  const tokens = need.rows * need.length
  const adapter = countParameters(shape, need)
  const kept = tokens * shape.layers.length * floatsOfLayer(shape, need)
  // Gradients on their way back, and attention's scores before they are shares.
  const passing = tokens * (6 * Math.max(shape.feedForward, 2 * shape.width) + 3 * shape.heads * need.length)
  const chunks = Math.ceil((need.targets + 1) / chunkOf(shape.vocabulary))
  // Scores and shares; the graph that only scores has its own.
  const head = 2 * 2 * Math.ceil((need.targets + 1) / chunks) * shape.vocabulary
  const inputs = tokens * (need.length * (shape.window === undefined ? 1 : 2) + (need.drops ? widest(shape) : 0))
  // The adapter, its gradients as they are computed and as they are handed out.
  const floats = weights + 3 * adapter + inputs + gaps * (kept + passing + head)
  return processBytes + Math.ceil(floats * floatBytes)
}

/** Beside each number of the adapter: two moments, the best one, the sum of its gradients, and four of the checkpoint that was read. */
const keptNumbers = 8
/** llama.cpp with a vocabulary, and what stays of it when it is closed. */
const libraryBytes = 128 * 1024 ** 2

/** Bytes that the process of a training takes at most. */
export function estimateTrainerMemory(model: TrainableModel, need: MemoryNeed): number {
  return estimateMemory(model, need) + countParameters(model.shape, need) * keptNumbers * floatBytes + libraryBytes
}

/** Numbers of an adapter. */
export function countParameters(shape: ModelShape, { rank, modules }: Pick<MemoryNeed, 'rank' | 'modules'>): number {
  const sizes = moduleSizes(shape)
  const perLayer = modules.reduce((sum, module) => sum + rank * (sizes[module].inputs + sizes[module].outputs), 0)
  return shape.layers.length * perLayer
}

const widest = (shape: ModelShape) => Math.max(...Object.values(moduleSizes(shape)).map(({ inputs }) => inputs))

/** What the way forward leaves behind for the way back, for each token of a layer. */
function floatsOfLayer(shape: ModelShape, { rank, modules, length, drops }: MemoryNeed): number {
  const queries = shape.heads * shape.headSize
  const keys = shape.keyValueHeads * shape.headSize
  const wide = shape.hasPostNorms ? 8 : 6
  const ofHeads = (shape.hasHeadNorms ? 3 : 1) * (queries + keys) + keys + 2 * queries
  const shares = shape.heads * length
  const sizes = moduleSizes(shape)
  const dropped = drops ? modules.reduce((sum, module) => sum + 2 * sizes[module].inputs, 0) : 0
  return wide * shape.width + ofHeads + shares + 4 * shape.feedForward + rank * modules.length + dropped
}
