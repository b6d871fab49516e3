import type { Activation } from './layers.ts'
import { type TrainableArchitecture, trainableArchitectures } from './trainable.ts'

/** What all models of an architecture have in common, after llama.cpp's `src/models/`. */
export type Family = Readonly<{
  /** By the square root of the width. */
  scalesEmbedding: boolean
  activation: Activation
  /** Of queries and keys, before they turn. */
  hasHeadNorms: boolean
  /** After attention and after the feed-forward layer. */
  hasPostNorms: boolean
  /** See `ModelShape`. */
  isInterleaved: boolean
  /** Whether most layers see only a window. */
  isWindowed: boolean
  /** One layer in so many, the last of them, knows no positions. */
  everyWithoutPositions: number | undefined
  /** Scores are divided by the square root of this. */
  attentionSize(sizes: Readonly<{ width: number; heads: number; headSize: number; layers: number }>): number
}>

const plain: Family = {
  scalesEmbedding: false,
  activation: 'silu',
  hasHeadNorms: false,
  hasPostNorms: false,
  isInterleaved: false,
  isWindowed: false,
  everyWithoutPositions: undefined,
  attentionSize: ({ headSize }) => headSize,
}

/** Of the Gemma 3 models, the one with 27 billion parameters divides by another size; llama.cpp knows it by its layers. */
const layersOfGemma27 = 62

export const architectures: Readonly<Record<TrainableArchitecture, Family>> = {
  gemma3: {
    ...plain,
    scalesEmbedding: true,
    activation: 'gelu',
    hasHeadNorms: true,
    hasPostNorms: true,
    isWindowed: true,
    attentionSize: ({ width, heads, headSize, layers }) => (layers === layersOfGemma27 ? Math.floor(width / heads) : headSize),
  },
  llama: { ...plain, isInterleaved: true },
  qwen2: plain,
  qwen3: { ...plain, hasHeadNorms: true },
  smollm3: { ...plain, isInterleaved: true, everyWithoutPositions: 4 },
}

export function isTrainable(architecture: unknown): architecture is TrainableArchitecture {
  return trainableArchitectures.some((known) => known === architecture)
}
