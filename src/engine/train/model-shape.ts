import { AppError } from '../../errors.ts'
import type { GgufHeader } from '../gguf/gguf-header.ts'
import { architectures, isTrainable } from './architectures.ts'
import { createKeys, type Keys } from './header-keys.ts'
import type { Activation } from './layers.ts'
import { type TrainableArchitecture, trainableArchitectures } from './trainable.ts'

/** How the positions of a kind of layer are told: angle = position · scale / base^(2i/size). */
export type Rotary = Readonly<{ base: number; scale: number }>

export type LayerShape = Readonly<{
  /** Undefined: the layer knows no positions. */
  rotary: 'global' | 'local' | undefined
  /** Whether a token sees only the window before it. */
  isWindowed: boolean
}>

/** All that the graph needs to know of a model. */
export type ModelShape = Readonly<{
  architecture: TrainableArchitecture
  width: number
  feedForward: number
  vocabulary: number
  heads: number
  keyValueHeads: number
  headSize: number
  epsilon: number
  embeddingScale: number
  attentionScale: number
  activation: Activation
  hasHeadNorms: boolean
  hasPostNorms: boolean
  /** Pairs of numbers that turn together lie side by side in the file, not half a head apart. */
  isInterleaved: boolean
  layers: readonly LayerShape[]
  /** Tokens that a windowed layer sees, itself included. */
  window: number | undefined
  rotary: Readonly<{ global: Rotary; local: Rotary | undefined }>
}>

/**
 * Reads from a file's header how its model is built. Throws `invalid` for architectures that cannot be trained, with the list of
 * those that can, and by name for whatever the header asks that the graph does not do.
 */
export function readModelShape(header: GgufHeader): ModelShape {
  const name = header.metadata.get('general.architecture')
  if (!isTrainable(name)) {
    const known = trainableArchitectures.join(', ')
    throw new AppError(
      'invalid',
      `Models of the architecture "${String(name ?? 'unknown')}" cannot be trained; those of ${known} (Mistral is llama) can.`,
    )
  }
  const family = architectures[name]
  const keys = createKeys(header.metadata, name)
  const width = keys.count('embedding_length')
  const heads = keys.count('attention.head_count')
  const keyValueHeads = keys.count('attention.head_count_kv', heads)
  const headSize = keys.count('attention.key_length', width / heads)
  const layerCount = keys.count('block_count')
  keys.expect('attention.value_length', headSize)
  keys.expect('rope.dimension_count', headSize)
  keys.expect('attention.causal', true)
  const window = family.isWindowed ? keys.count('attention.sliding_window') : undefined
  // Some files of Mistral tell one; llama.cpp knows of none there.
  if (!family.isWindowed) keys.ignore('attention.sliding_window')
  const period = family.isWindowed ? keys.number('attention.sliding_window_pattern', 6) : 0
  const shape: ModelShape = {
    architecture: name,
    width,
    feedForward: keys.count('feed_forward_length'),
    vocabulary: vocabularyOf(header),
    heads,
    keyValueHeads,
    headSize,
    epsilon: keys.number('attention.layer_norm_rms_epsilon'),
    embeddingScale: family.scalesEmbedding ? Math.sqrt(width) : 1,
    attentionScale: 1 / Math.sqrt(family.attentionSize({ width, heads, headSize, layers: layerCount })),
    activation: family.activation,
    hasHeadNorms: family.hasHeadNorms,
    hasPostNorms: family.hasPostNorms,
    isInterleaved: family.isInterleaved,
    window,
    rotary: readRotary(keys, family.isWindowed),
    layers: Array.from({ length: layerCount }, (_, index) => {
      // As llama.cpp counts: the last of each period sees everything; a period of 0 has none that does.
      const isWindowed = family.isWindowed && (period === 0 || index % period < period - 1)
      const isWithoutPositions = family.everyWithoutPositions !== undefined && (index + 1) % family.everyWithoutPositions === 0
      return { isWindowed, rotary: isWithoutPositions ? undefined : isWindowed ? 'local' : 'global' }
    }),
  }
  keys.refuseOthers()
  checkSizes(shape)
  return shape
}

function readRotary(keys: Keys, isWindowed: boolean): ModelShape['rotary'] {
  const base = keys.number('rope.freq_base', 10_000)
  const scaling = keys.text('rope.scaling.type', 'linear')
  if (scaling !== 'linear' && scaling !== 'none') throw keys.unsupported('rope.scaling.type', scaling)
  const factor = keys.number('rope.scaling.factor', keys.number('rope.scale_linear', 0))
  keys.ignore('rope.scaling.original_context_length', 'rope.scaling.finetuned')
  const local = isWindowed ? { base: keys.number('rope.freq_base_swa', 10_000), scale: 1 } : undefined
  return { global: { base, scale: factor === 0 || scaling === 'none' ? 1 : 1 / factor }, local }
}

function vocabularyOf({ tensors }: GgufHeader): number {
  const size = tensors.find(({ name }) => name === 'token_embd.weight')?.shape[1]
  if (size === undefined) throw new AppError('invalid', 'The model has no tensor "token_embd.weight": it is not whole.')
  return size
}

function checkSizes({ heads, keyValueHeads, headSize }: ModelShape): void {
  if (heads % keyValueHeads === 0 && Number.isInteger(headSize) && headSize % 2 === 0) return
  throw new AppError(
    'invalid',
    `The model has ${heads} heads of ${headSize} numbers for ${keyValueHeads} of keys: it cannot be trained.`,
  )
}
