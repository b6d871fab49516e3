import { Type } from 'typebox'
import type { GgufValue } from '../../engine/gguf/gguf-writer.ts'
import { AppError } from '../../errors.ts'
import type { RopeScaling, Sizes } from './architectures.ts'
import { checkJson } from './json-file.ts'

/** Rotary position embeddings: what the metadata say of them, and factors that are tensors. Keys without the architecture. */
export type Rope = Readonly<{
  metadata: ReadonlyMap<string, GgufValue>
  tensors: ReadonlyMap<string, Float32Array>
}>

const Positive = Type.Number({ exclusiveMinimum: 0 })
const Length = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })
const Part = Type.Number({ exclusiveMinimum: 0, maximum: 1 })
const Factors = Type.Optional(Type.Array(Positive))
const Parameters = Type.Object({
  rope_type: Type.Optional(Type.String()),
  type: Type.Optional(Type.String()),
  rope_theta: Type.Optional(Positive),
  factor: Type.Optional(Positive),
  low_freq_factor: Type.Optional(Positive),
  high_freq_factor: Type.Optional(Positive),
  original_max_position_embeddings: Type.Optional(Length),
  attention_factor: Type.Optional(Positive),
  beta_fast: Type.Optional(Positive),
  beta_slow: Type.Optional(Positive),
  long_factor: Factors,
  short_factor: Factors,
  partial_rotary_factor: Type.Optional(Part),
})
type Parameters = Type.Static<typeof Parameters>

const Config = Type.Object({
  rope_theta: Type.Optional(Positive),
  rope_local_base_freq: Type.Optional(Positive),
  partial_rotary_factor: Type.Optional(Part),
  original_max_position_embeddings: Type.Optional(Length),
})

const uint32 = (value: number): GgufValue => ({ type: 'uint32', value })
const float32 = (value: number): GgufValue => ({ type: 'float32', value })

/** What transformers takes where nothing is said. */
const usualTheta = 10000

/**
 * Reads the settings of rotary embeddings from config.json, in the form of transformers 5 (`rope_parameters`, also one a kind
 * of layer) or the one before (`rope_theta`, `rope_scaling`). Throws `invalid` for a scaling that is not among `supported`.
 */
export function parseRope(config: Readonly<Record<string, unknown>>, supported: readonly RopeScaling[], sizes: Sizes): Rope {
  const top = checkJson(config, 'config.json', Config)
  const { full, sliding } = parametersOf(config)
  const theta = full.rope_theta ?? top.rope_theta ?? usualTheta
  const local = sliding?.rope_theta ?? top.rope_local_base_freq
  const rotated = Math.floor(sizes.head * (full.partial_rotary_factor ?? top.partial_rotary_factor ?? 1))
  if (rotated < 2 || rotated % 2 !== 0) {
    throw new AppError(
      'invalid',
      `config.json should rotate an even number of a head's ${sizes.head} elements, but rotates ${rotated}.`,
    )
  }
  const scaling = scalingOf(full, supported)
  const original = full.original_max_position_embeddings ?? top.original_max_position_embeddings ?? sizes.context
  const scaled =
    scaling === undefined
      ? { metadata: [], tensors: [] }
      : scale(scaling, full, { theta, rotated, original, context: sizes.context })
  return {
    metadata: new Map([
      ['rope.dimension_count', uint32(rotated)],
      ['rope.freq_base', float32(theta)],
      ...(local === undefined ? [] : [['rope.freq_base_swa', float32(local)] as const]),
      ...scaled.metadata,
    ]),
    tensors: new Map(scaled.tensors),
  }
}

/** The parameters of layers that see everything, and of those that see a window, where the model has both. */
function parametersOf(config: Readonly<Record<string, unknown>>): { full: Parameters; sliding: Parameters | undefined } {
  const given = dropNulls(config.rope_parameters ?? config.rope_scaling ?? {})
  const check = (value: unknown) => checkJson(dropNulls(value), 'config.json (rope)', Parameters)
  if ('full_attention' in given) {
    return {
      full: check(given.full_attention),
      sliding: 'sliding_attention' in given ? check(given.sliding_attention) : undefined,
    }
  }
  return { full: check(given), sliding: undefined }
}

function dropNulls(value: unknown): object {
  if (typeof value !== 'object' || value === null)
    throw new AppError('invalid', 'config.json should have an object for rope settings.')
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null))
}

function scalingOf({ rope_type, type }: Parameters, supported: readonly RopeScaling[]): RopeScaling | undefined {
  const name = rope_type ?? type ?? 'default'
  if (name === 'default') return undefined
  const scaling = supported.find((one) => one === (name === 'su' ? 'longrope' : name))
  if (scaling !== undefined) return scaling
  throw new AppError(
    'invalid',
    `The scaling of positions in config.json should be one of ${supported.join(', ')} here, but is "${name}".`,
  )
}

type Base = Readonly<{ theta: number; rotated: number; original: number; context: number }>
type Scaled = Readonly<{
  metadata: ReadonlyArray<readonly [string, GgufValue]>
  tensors: ReadonlyArray<readonly [string, Float32Array]>
}>

function scale(scaling: RopeScaling, parameters: Parameters, base: Base): Scaled {
  switch (scaling) {
    case 'linear':
      return { metadata: [typeOf('linear'), ['rope.scaling.factor', float32(required(parameters, 'factor'))]], tensors: [] }
    case 'yarn':
      return { metadata: yarn(parameters, base), tensors: [] }
    case 'llama3':
      return { metadata: [], tensors: [['rope_freqs.weight', llama3Factors(parameters, base)]] }
    case 'longrope':
      return longrope(parameters, base)
  }
}

const typeOf = (value: string) => ['rope.scaling.type', { type: 'string', value }] as const

function yarn(parameters: Parameters, { original }: Base): Scaled['metadata'] {
  const { beta_fast: fast, beta_slow: slow, attention_factor: attention } = parameters
  return [
    typeOf('yarn'),
    ['rope.scaling.factor', float32(required(parameters, 'factor'))],
    ['rope.scaling.original_context_length', uint32(original)],
    ...(attention === undefined ? [] : [['rope.scaling.yarn_attn_factor', float32(attention)] as const]),
    ...(fast === undefined ? [] : [['rope.scaling.yarn_beta_fast', float32(fast)] as const]),
    ...(slow === undefined ? [] : [['rope.scaling.yarn_beta_slow', float32(slow)] as const]),
  ]
}

/**
 * By how much each frequency is divided: short wavelengths stay, long ones are stretched by `factor`, those between by a part
 * of it. As in transformers' modeling_rope_utils.py, "llama3".
 */
function llama3Factors(parameters: Parameters, { theta, rotated, original }: Base): Float32Array {
  const factor = required(parameters, 'factor')
  const [low, high] = [parameters.low_freq_factor ?? 1, parameters.high_freq_factor ?? 4]
  return Float32Array.from({ length: rotated / 2 }, (_, index) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * index) / rotated)
    if (wavelength < original / high) return 1
    if (wavelength > original / low) return factor
    const smooth = (original / wavelength - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)
  })
}

/** Two sets of factors, for contexts up to the original length and beyond. */
function longrope(parameters: Parameters, { rotated, original, context }: Base): Scaled {
  const factors = [parameters.long_factor, parameters.short_factor]
  const [long, short] = factors.map((one) => {
    if (one?.length === rotated / 2) return Float32Array.from(one)
    throw new AppError(
      'invalid',
      `config.json should have ${rotated / 2} long_factor and short_factor, but has ${one?.length ?? 'none'}.`,
    )
  })
  const stretch = context / original
  const attention = parameters.attention_factor ?? (stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(original)) : 1)
  return {
    metadata: [
      typeOf('longrope'),
      ['rope.scaling.original_context_length', uint32(original)],
      ['rope.scaling.attn_factor', float32(attention)],
    ],
    tensors: [
      ['rope_factors_long.weight', long ?? new Float32Array()],
      ['rope_factors_short.weight', short ?? new Float32Array()],
    ],
  }
}

function required(parameters: Parameters, name: 'factor'): number {
  const value = parameters[name]
  if (value !== undefined) return value
  throw new AppError('invalid', `config.json scales positions, but has no "${name}" for it.`)
}
