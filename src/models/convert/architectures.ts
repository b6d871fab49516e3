/** Sizes of a model by which the shapes of its tensors are told. */
export type Sizes = Readonly<{
  vocabulary: number
  context: number
  hidden: number
  /** Heads × head size, for queries; and for keys and for values. */
  queries: number
  keys: number
  /** Queries, keys and values in one. */
  attention: number
  head: number
  feedForward: number
  /** Gate and up in one. */
  gateAndUp: number
}>

/**
 * What is done to a tensor on its way. `permute-heads`: rotary embeddings of neighbouring elements instead of the two halves of
 * each head; `transpose`: PyTorch's Conv1D keeps its matrix the other way round; `add-one`: a norm that multiplies with 1 + weight.
 */
export type Change = 'none' | 'permute-heads' | 'transpose' | 'add-one'

/** One tensor of a checkpoint and its name in a GGUF file. `shape` is the stored one. */
export type TensorRule = Readonly<{
  from: string
  to: string
  shape: readonly (keyof Sizes)[]
  change: Change
  optional: boolean
}>

export type RopeScaling = 'linear' | 'yarn' | 'llama3' | 'longrope'

export type Architecture = Readonly<{
  /** llama.cpp's name for it. */
  gguf: 'gpt2' | 'llama' | 'qwen2' | 'qwen3' | 'gemma3' | 'phi3' | 'smollm3'
  /** What transformers takes where config.json says nothing. */
  defaults: Readonly<Record<string, unknown>>
  /** The only activation that llama.cpp computes for it, by the names that transformers has. */
  activations: readonly string[]
  norm: 'rms' | 'layer'
  rope: readonly RopeScaling[] | undefined
  /** Beginnings of tensor names, and what they mean in the rules. The first that fits counts. */
  prefixes: ReadonlyArray<readonly [string, string]>
  /** Tensors that hold nothing to convert. */
  ignored: RegExp
  /** Tensors of the whole model, then those of each layer (after `layers.N.`). */
  tensors: readonly TensorRule[]
  layerTensors: readonly TensorRule[]
}>

const rule = (from: string, to: string, shape: readonly (keyof Sizes)[], change: Change = 'none'): TensorRule => {
  return { from, to, shape, change, optional: false }
}
const optional = (one: TensorRule): TensorRule => ({ ...one, optional: true })

const embeddings = rule('embed_tokens.weight', 'token_embd.weight', ['vocabulary', 'hidden'])
const output = rule('lm_head.weight', 'output.weight', ['vocabulary', 'hidden'])
const wholeModel = [embeddings, rule('norm.weight', 'output_norm.weight', ['hidden']), output]

const norms = [
  rule('input_layernorm.weight', 'attn_norm.weight', ['hidden']),
  rule('post_attention_layernorm.weight', 'ffn_norm.weight', ['hidden']),
]
const headNorms = [
  rule('self_attn.q_norm.weight', 'attn_q_norm.weight', ['head']),
  rule('self_attn.k_norm.weight', 'attn_k_norm.weight', ['head']),
]
const feedForward = [
  rule('mlp.gate_proj.weight', 'ffn_gate.weight', ['feedForward', 'hidden']),
  rule('mlp.up_proj.weight', 'ffn_up.weight', ['feedForward', 'hidden']),
  rule('mlp.down_proj.weight', 'ffn_down.weight', ['hidden', 'feedForward']),
]
const feedForwardBiases = [
  rule('mlp.gate_proj.bias', 'ffn_gate.bias', ['feedForward']),
  rule('mlp.up_proj.bias', 'ffn_up.bias', ['feedForward']),
  rule('mlp.down_proj.bias', 'ffn_down.bias', ['hidden']),
]
const outputBias = rule('self_attn.o_proj.bias', 'attn_output.bias', ['hidden'])

function attention(change: Change): TensorRule[] {
  return [
    rule('self_attn.q_proj.weight', 'attn_q.weight', ['queries', 'hidden'], change),
    rule('self_attn.k_proj.weight', 'attn_k.weight', ['keys', 'hidden'], change),
    rule('self_attn.v_proj.weight', 'attn_v.weight', ['keys', 'hidden']),
    rule('self_attn.o_proj.weight', 'attn_output.weight', ['hidden', 'queries']),
  ]
}

function attentionBiases(change: Change): TensorRule[] {
  return [
    rule('self_attn.q_proj.bias', 'attn_q.bias', ['queries'], change),
    rule('self_attn.k_proj.bias', 'attn_k.bias', ['keys'], change),
    rule('self_attn.v_proj.bias', 'attn_v.bias', ['keys']),
  ]
}

const addOne = (one: TensorRule): TensorRule => (one.to.includes('norm') ? { ...one, change: 'add-one' } : one)

const common = {
  activations: ['silu'],
  norm: 'rms',
  prefixes: [
    ['model.', ''],
    ['lm_head.', 'lm_head.'],
  ],
  ignored: /\.rotary_emb\.inv_freq$/,
  tensors: wholeModel,
} as const

const llama: Architecture = {
  ...common,
  gguf: 'llama',
  defaults: { rms_norm_eps: 1e-6, max_position_embeddings: 2048, vocab_size: 32000, hidden_act: 'silu' },
  rope: ['linear', 'yarn', 'llama3'],
  layerTensors: [
    ...norms,
    ...attention('permute-heads'),
    ...feedForward,
    ...[...attentionBiases('permute-heads'), outputBias, ...feedForwardBiases].map(optional),
  ],
}

const qwen2: Architecture = {
  ...common,
  gguf: 'qwen2',
  defaults: { rms_norm_eps: 1e-6, max_position_embeddings: 32768, num_key_value_heads: 32, hidden_act: 'silu' },
  rope: ['linear', 'yarn'],
  layerTensors: [...norms, ...attention('none'), ...attentionBiases('none'), ...feedForward],
}

const qwen3: Architecture = {
  ...qwen2,
  gguf: 'qwen3',
  defaults: { ...qwen2.defaults, head_dim: 128 },
  layerTensors: [...norms, ...headNorms, ...attention('none'), ...feedForward],
}

const gemma3: Architecture = {
  ...common,
  gguf: 'gemma3',
  defaults: {
    vocab_size: 262208,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    query_pre_attn_scalar: 256,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    rope_local_base_freq: 1e4,
    sliding_window: 4096,
    hidden_activation: 'gelu_pytorch_tanh',
    tie_word_embeddings: true,
  },
  activations: ['gelu_pytorch_tanh'],
  rope: ['linear'],
  prefixes: [
    ['language_model.model.', ''],
    ['language_model.lm_head.', 'lm_head.'],
    ['model.language_model.', ''],
    ...common.prefixes,
  ],
  ignored: /\.rotary_emb\.inv_freq$|^(model\.)?(vision_tower|multi_modal_projector)\./,
  tensors: wholeModel.map(addOne),
  layerTensors: [
    rule('input_layernorm.weight', 'attn_norm.weight', ['hidden']),
    rule('post_attention_layernorm.weight', 'post_attention_norm.weight', ['hidden']),
    rule('pre_feedforward_layernorm.weight', 'ffn_norm.weight', ['hidden']),
    rule('post_feedforward_layernorm.weight', 'post_ffw_norm.weight', ['hidden']),
    ...headNorms,
    ...attention('none'),
    ...feedForward,
  ].map(addOne),
}

const phi3: Architecture = {
  ...common,
  gguf: 'phi3',
  defaults: { rms_norm_eps: 1e-5, max_position_embeddings: 4096, original_max_position_embeddings: 4096, hidden_act: 'silu' },
  rope: ['longrope'],
  layerTensors: [
    ...norms,
    rule('self_attn.qkv_proj.weight', 'attn_qkv.weight', ['attention', 'hidden']),
    rule('self_attn.o_proj.weight', 'attn_output.weight', ['hidden', 'queries']),
    rule('mlp.gate_up_proj.weight', 'ffn_up.weight', ['gateAndUp', 'hidden']),
    rule('mlp.down_proj.weight', 'ffn_down.weight', ['hidden', 'feedForward']),
  ],
}

const smollm3: Architecture = {
  ...common,
  gguf: 'smollm3',
  defaults: {
    rms_norm_eps: 1e-6,
    max_position_embeddings: 32768,
    num_key_value_heads: 4,
    rope_theta: 2e6,
    hidden_act: 'silu',
    tie_word_embeddings: true,
  },
  rope: ['linear', 'yarn'],
  layerTensors: [...norms, ...attention('permute-heads'), ...feedForward],
}

const gpt2: Architecture = {
  gguf: 'gpt2',
  defaults: {
    vocab_size: 50257,
    norm_eps: 1e-5,
    max_position_embeddings: 1024,
    hidden_act: 'gelu_new',
    tie_word_embeddings: true,
  },
  activations: ['gelu_new', 'gelu_pytorch_tanh'],
  norm: 'layer',
  rope: undefined,
  prefixes: [
    ['transformer.h.', 'layers.'],
    ['transformer.', ''],
    ['h.', 'layers.'],
    ['', ''],
  ],
  ignored: /\.attn\.(masked_)?bias$/,
  tensors: [
    rule('wte.weight', 'token_embd.weight', ['vocabulary', 'hidden']),
    rule('wpe.weight', 'position_embd.weight', ['context', 'hidden']),
    rule('ln_f.weight', 'output_norm.weight', ['hidden']),
    rule('ln_f.bias', 'output_norm.bias', ['hidden']),
    output,
  ],
  layerTensors: [
    rule('ln_1.weight', 'attn_norm.weight', ['hidden']),
    rule('ln_1.bias', 'attn_norm.bias', ['hidden']),
    rule('attn.c_attn.weight', 'attn_qkv.weight', ['hidden', 'attention'], 'transpose'),
    rule('attn.c_attn.bias', 'attn_qkv.bias', ['attention']),
    rule('attn.c_proj.weight', 'attn_output.weight', ['queries', 'hidden'], 'transpose'),
    rule('attn.c_proj.bias', 'attn_output.bias', ['hidden']),
    rule('ln_2.weight', 'ffn_norm.weight', ['hidden']),
    rule('ln_2.bias', 'ffn_norm.bias', ['hidden']),
    rule('mlp.c_fc.weight', 'ffn_up.weight', ['hidden', 'feedForward'], 'transpose'),
    rule('mlp.c_fc.bias', 'ffn_up.bias', ['feedForward']),
    rule('mlp.c_proj.weight', 'ffn_down.weight', ['feedForward', 'hidden'], 'transpose'),
    rule('mlp.c_proj.bias', 'ffn_down.bias', ['hidden']),
  ],
}

/**
 * The architectures that can be converted, by the name in config.json. Names and shapes follow llama.cpp's
 * gguf-py/gguf/constants.py and src/models/.
 */
export const architectures: ReadonlyMap<string, Architecture> = new Map([
  ['GPT2LMHeadModel', gpt2],
  ['LlamaForCausalLM', llama],
  ['MistralForCausalLM', { ...llama, defaults: { ...llama.defaults, max_position_embeddings: 131072, num_key_value_heads: 8 } }],
  ['Qwen2ForCausalLM', qwen2],
  ['Qwen3ForCausalLM', qwen3],
  ['Gemma3ForCausalLM', gemma3],
  ['Gemma3ForConditionalGeneration', gemma3],
  ['Phi3ForCausalLM', phi3],
  ['SmolLM3ForCausalLM', smollm3],
])
