import { cacheBytes } from './cache-type.ts'
import { batchSize, chooseSizes } from './context-sizes.ts'
import type { LoadOptions } from './protocol.ts'

/** What the memory of a model depends on; the header of its file tells it. */
export type ModelShape = Readonly<{
  /** Bytes of all tensors. */
  tensorBytes: number
  /** Tokens that the model was trained for. */
  contextLength: number
  embeddingLength: number
  feedForwardLength: number
  /** Heads of keys and values of all layers together. */
  headsKvTotal: number
  /** Numbers per head. */
  keyLength: number
  valueLength: number
  vocabularySize: number
  /** Tokens that layers with a window see; 0 for a model without. */
  slidingWindow: number
}>

export type MemoryEstimate = Readonly<{
  weightBytes: number
  /** Keys and values of the context. */
  cacheBytes: number
  /** The same of beginnings that are set aside: as much again. */
  asideBytes: number
  /** What a step computes in, and its scores. */
  bufferBytes: number
  /** The process itself, with its vocabulary. */
  processBytes: number
  totalBytes: number
}>

/** An engine's process before it has a model (measured on Linux). */
const emptyProcess = 85 * 1024 ** 2
/** For a token of the vocabulary: its text on both sides, and some copies of its score while answers are chosen (measured). */
const bytesPerToken = 400

const floatBytes = 4
/** Of what is in memory at the same time while a layer is computed: rows as wide as the model, and as its feed-forward part. */
const embeddingRows = 6
const feedForwardRows = 2

/**
 * Estimates what a model will take in the memory of this machine, once it is loaded and busy. Measured against llama.cpp's
 * buffers on the CPU; a window does not make the cache smaller, because all of it is kept for prompts that begin alike.
 */
export function estimateMemory(
  shape: ModelShape,
  options: Pick<LoadOptions, 'contextSize' | 'maxParallel' | 'cacheType'>,
): MemoryEstimate {
  const { cacheSize, mostOutputs } = chooseSizes(
    options,
    shape.contextLength > 0 ? shape.contextLength : Number.POSITIVE_INFINITY,
  )
  const cache = cacheBytes(
    { cells: cacheSize, layers: 1, heads: shape.headsKvTotal, keyLength: shape.keyLength, valueLength: shape.valueLength },
    options.cacheType === 'auto' ? 'f16' : options.cacheType,
  )
  // One mask of 16-bit numbers, and one more for the layers with a window.
  const masks = batchSize * cacheSize * 2 * (shape.slidingWindow > 0 ? 2 : 1)
  const rows = batchSize * floatBytes * (embeddingRows * shape.embeddingLength + feedForwardRows * shape.feedForwardLength)
  const scores = mostOutputs * shape.vocabularySize * floatBytes
  const parts = {
    weightBytes: shape.tensorBytes,
    cacheBytes: cache,
    asideBytes: cache,
    bufferBytes: masks + rows + scores,
    processBytes: emptyProcess + shape.vocabularySize * bytesPerToken,
  }
  return { ...parts, totalBytes: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) }
}

/** Bits per weight of what a model may be made smaller to, by the names that people know; about. */
const smaller = [
  ['Q8_0', 8.5],
  ['Q4_K_M', 4.9],
  ['Q2_K', 3.2],
] as const

/** Says what would make a model fit into `budgetBytes`: a shorter context, a smaller cache, a stronger quantization. */
export function adviseOnMemory(
  shape: ModelShape & Readonly<{ parameters: number }>,
  options: Pick<LoadOptions, 'contextSize' | 'maxParallel' | 'cacheType'>,
  budgetBytes: number,
): string {
  const gigabytes = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(2)} GB`
  const fits = (total: number) => total <= budgetBytes
  const inEightBits = estimateMemory(shape, { ...options, cacheType: 'q8_0' }).totalBytes
  if (fits(inEightBits)) return `With KV_CACHE_TYPE=q8_0 it would take ${gigabytes(inEightBits)}.`
  const fewer = estimateMemory(shape, { ...options, maxParallel: 1, cacheType: 'q8_0' }).totalBytes
  if (fits(fewer)) return `With KV_CACHE_TYPE=q8_0 and MAX_PARALLEL=1 it would take ${gigabytes(fewer)}.`
  for (const [name, bits] of smaller) {
    const tensorBytes = (shape.parameters * bits) / 8
    const total = estimateMemory({ ...shape, tensorBytes }, { ...options, cacheType: 'q8_0' }).totalBytes
    if (tensorBytes < shape.tensorBytes && fits(total)) return `Quantized to ${name} it would take about ${gigabytes(total)}.`
  }
  return 'Raise MEMORY_BUDGET, or choose a smaller model.'
}
