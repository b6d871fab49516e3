import { Type } from 'typebox'
import { AppError } from '../../errors.ts'
import { type Architecture, architectures, type Sizes } from './architectures.ts'
import { checkJson, getJson } from './json-file.ts'
import { type PackedFormat, parsePackedFormat } from './packed-format.ts'
import { parseRope, type Rope } from './rope.ts'
import { hasPooling, readPooling, type TextPooling } from './text-pooling.ts'

/** What config.json says of a model, in the terms that all architectures share. */
export type ModelConfig = Readonly<{
  architecture: Architecture
  layers: number
  heads: number
  keyHeads: number
  sizes: Sizes
  normEpsilon: number
  rope: Rope | undefined
  /** Tokens that a layer with a window sees, and every how many layers there is one without; for gemma3. */
  window: Readonly<{ tokens: number; period: number }> | undefined
  /** For phi3; 0: it has none. */
  slidingWindow: number
  finalSoftcap: number | undefined
  /** Whether the output matrix is the embedding matrix. */
  tied: boolean
  /** Of an embedding model: how the vectors of a text's tokens become one. */
  pooling: TextPooling | undefined
  packed: PackedFormat | undefined
  /** Ids of special tokens, by `bos`, `eos` and so on. */
  tokenIds: Readonly<Record<'bos' | 'eos' | 'pad', number | undefined>>
}>

const configFile = 'config.json'

const Count = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })
const Named = Type.Object({ architectures: Type.Array(Type.String(), { minItems: 1 }) })
const TokenId = Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Array(Type.Integer({ minimum: 0 }))]))

const Config = Type.Object({
  vocab_size: Count,
  hidden_size: Count,
  num_hidden_layers: Type.Integer({ minimum: 1, maximum: 1000 }),
  num_attention_heads: Count,
  num_key_value_heads: Type.Optional(Count),
  head_dim: Type.Optional(Count),
  intermediate_size: Type.Optional(Count),
  max_position_embeddings: Count,
  rms_norm_eps: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  norm_eps: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  hidden_act: Type.Optional(Type.String()),
  tie_word_embeddings: Type.Optional(Type.Boolean()),
  sliding_window: Type.Optional(Count),
  use_sliding_window: Type.Optional(Type.Boolean()),
  sliding_window_pattern: Type.Optional(Count),
  layer_types: Type.Optional(Type.Array(Type.String())),
  query_pre_attn_scalar: Type.Optional(Type.Number()),
  final_logit_softcapping: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  attn_logit_softcapping: Type.Optional(Type.Number()),
  no_rope_layers: Type.Optional(Type.Array(Type.Number())),
  no_rope_layer_interval: Type.Optional(Count),
  scale_attn_weights: Type.Optional(Type.Boolean()),
  scale_attn_by_inverse_layer_idx: Type.Optional(Type.Boolean()),
  bos_token_id: TokenId,
  eos_token_id: TokenId,
  pad_token_id: TokenId,
  quantization_config: Type.Optional(Type.Object({})),
})

type Raw = Type.Static<typeof Config>

/** Other names of the same settings. */
const aliases: Readonly<Record<string, string>> = {
  n_embd: 'hidden_size',
  n_layer: 'num_hidden_layers',
  n_head: 'num_attention_heads',
  n_positions: 'max_position_embeddings',
  n_inner: 'intermediate_size',
  layer_norm_epsilon: 'norm_eps',
  activation_function: 'hidden_act',
  hidden_activation: 'hidden_act',
}

/** Reads config.json. Throws `not_found` without one, `invalid` when it is of a kind or size that cannot be converted. */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  const file = await getJson(folder, configFile, Named)
  const name = file.architectures[0] ?? ''
  const architecture = architectures.get(name)
  if (architecture === undefined) {
    const known = [...architectures.keys()].join(', ')
    throw new AppError('invalid', `Models of the architecture "${name}" cannot be converted; these can: ${known}.`)
  }
  const merged = merge(architecture, file)
  const raw = checkJson(merged, configFile, Config)
  // An embedding model has no head, whatever its configuration says: nothing is predicted with it.
  const pooling = (await hasPooling(folder)) ? await readPooling(folder) : undefined
  const found = toModelConfig(architecture, raw, merged)
  const config: ModelConfig = pooling === undefined ? found : { ...found, pooling, tied: true }
  checkSizes(config, raw)
  checkUnusual(config, raw)
  return config
}

/** Settings of the text part last, under one name each, without those that are null. */
function merge(architecture: Architecture, file: object): Readonly<Record<string, unknown>> {
  const text = 'text_config' in file && typeof file.text_config === 'object' ? (file.text_config ?? {}) : {}
  const merged = new Map<string, unknown>()
  for (const [key, value] of [...Object.entries(architecture.defaults), ...Object.entries(file), ...Object.entries(text)]) {
    if (value !== null) merged.set(aliases[key] ?? key, value)
  }
  return Object.fromEntries(merged)
}

function toModelConfig(architecture: Architecture, raw: Raw, merged: Readonly<Record<string, unknown>>): ModelConfig {
  const heads = raw.num_attention_heads
  const keyHeads = raw.num_key_value_heads ?? heads
  const sizes = toSizes(raw, heads, keyHeads)
  return {
    architecture,
    layers: raw.num_hidden_layers,
    heads,
    keyHeads,
    sizes,
    normEpsilon: raw.norm_eps ?? raw.rms_norm_eps ?? 1e-6,
    rope: architecture.rope === undefined ? undefined : parseRope(merged, architecture.rope, sizes),
    window: architecture.gguf === 'gemma3' ? windowOf(raw) : undefined,
    slidingWindow: raw.sliding_window ?? 0,
    finalSoftcap: raw.final_logit_softcapping,
    tied: raw.tie_word_embeddings ?? false,
    pooling: undefined,
    packed: raw.quantization_config === undefined ? undefined : parsePackedFormat(raw.quantization_config),
    tokenIds: { bos: firstOf(raw.bos_token_id), eos: firstOf(raw.eos_token_id), pad: firstOf(raw.pad_token_id) },
  }
}

function toSizes(raw: Raw, heads: number, keyHeads: number): Sizes {
  const hidden = raw.hidden_size
  const head = raw.head_dim ?? hidden / heads
  const feedForward = raw.intermediate_size ?? 4 * hidden
  const [queries, keys] = [heads * head, keyHeads * head]
  return {
    vocabulary: raw.vocab_size,
    context: raw.max_position_embeddings,
    hidden,
    queries,
    keys,
    attention: queries + 2 * keys,
    head,
    feedForward,
    gateAndUp: 2 * feedForward,
  }
}

/** Every which layer sees all tokens; gemma3's layers otherwise see a window. */
function windowOf(raw: Raw): ModelConfig['window'] {
  const types = raw.layer_types
  const full = types?.indexOf('full_attention') ?? -1
  // Without a full layer among them, any period beyond their number says the same.
  const period = types === undefined ? (raw.sliding_window_pattern ?? 6) : full < 0 ? types.length + 1 : full + 1
  if (period === 1 || raw.sliding_window === undefined) return undefined
  for (const [index, type] of types?.entries() ?? []) {
    const expected = (index + 1) % period === 0 ? 'full_attention' : 'sliding_attention'
    if (type !== expected) throw unsupported(`layer_types[${index}] is ${type} where llama.cpp has ${expected}`)
  }
  return { tokens: raw.sliding_window, period }
}

function checkSizes({ heads, keyHeads, layers, sizes }: ModelConfig, raw: Raw): void {
  const wrong =
    (!Number.isInteger(sizes.head) && `hidden_size ${sizes.hidden} is no multiple of num_attention_heads ${heads}`) ||
    (sizes.head % 2 !== 0 && `head_dim ${sizes.head} is odd`) ||
    (heads % keyHeads !== 0 && `num_attention_heads ${heads} is no multiple of num_key_value_heads ${keyHeads}`) ||
    (raw.layer_types !== undefined && raw.layer_types.length !== layers && `layer_types has not ${layers} entries`)
  if (wrong) throw new AppError('invalid', `The sizes in ${configFile} do not fit together: ${wrong}.`)
}

/** Refuses what transformers would compute and llama.cpp would not: the converted model would answer nonsense. */
function checkUnusual({ architecture, heads, sizes, layers }: ModelConfig, raw: Raw): void {
  const act = raw.hidden_act
  if (act !== undefined && !architecture.activations.includes(act)) throw unsupported(`hidden_act is ${act}`)
  if (raw.attn_logit_softcapping !== undefined) throw unsupported('attn_logit_softcapping is set')
  if (raw.scale_attn_weights === false) throw unsupported('scale_attn_weights is off')
  if (raw.scale_attn_by_inverse_layer_idx === true) throw unsupported('scale_attn_by_inverse_layer_idx is on')
  const slides = raw.use_sliding_window === true && (raw.layer_types?.includes('sliding_attention') ?? true)
  if (architecture.gguf.startsWith('qwen') && slides) throw unsupported('use_sliding_window is on')
  if (architecture.gguf === 'gemma3') {
    const scale = layers === 62 ? sizes.hidden / heads : sizes.head
    if (raw.query_pre_attn_scalar !== scale)
      throw unsupported(`query_pre_attn_scalar is ${raw.query_pre_attn_scalar} (not ${scale})`)
  }
  if (architecture.gguf === 'smollm3') checkNoRopeLayers(raw)
}

/** llama.cpp leaves out rotary embeddings in every fourth layer, whatever the file says. */
function checkNoRopeLayers({ no_rope_layers: layers, no_rope_layer_interval: interval = 4 }: Raw): void {
  const usual = layers === undefined ? interval === 4 : layers.every((rope, index) => rope === ((index + 1) % 4 === 0 ? 0 : 1))
  if (!usual) throw unsupported('no_rope_layers are not every fourth')
}

function unsupported(what: string): AppError {
  return new AppError(
    'invalid',
    `This model cannot be converted, because llama.cpp does not compute it: in ${configFile}, ${what}.`,
  )
}

function firstOf(id: number | number[] | undefined): number | undefined {
  return Array.isArray(id) ? id[0] : id
}
