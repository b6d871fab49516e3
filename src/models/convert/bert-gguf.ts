import { encodeFloats, type FloatType } from '../../engine/gguf/encode-floats.ts'
import type { GgufFile, GgufTensor, GgufValue } from '../../engine/gguf/gguf-writer.ts'
import type { BertCheckpoint, BertShape } from './bert-checkpoint.ts'
import type { BertVocabulary } from './bert-vocabulary.ts'
import { poolingTypes } from './text-pooling.ts'

/** `llama_ftype` of llama.h. */
const fileTypes: Readonly<Record<FloatType, number>> = { F32: 0, F16: 1, BF16: 32 }
/** Of the quantized formats; a file without any has it all the same. */
const quantizationVersion = 2

/** Of our own: how many tokens the model should be given at most. llama.cpp reads over it. */
export const maxTokensKey = 'simpleia.max_tokens'

export type BertGgufOptions = Readonly<{
  checkpoint: BertCheckpoint
  vocabulary: BertVocabulary
  target: string
  name: string
  outputType: FloatType
}>

/** What `writeGguf` needs to write a BERT encoder as llama.cpp reads it (its architecture `bert`). */
export function describeBertGguf({ checkpoint, vocabulary, target, name, outputType }: BertGgufOptions): GgufFile {
  const { shape } = checkpoint
  return {
    target,
    metadata: new Map([
      ['general.type', text('model')],
      ['general.name', text(name)],
      ['general.file_type', whole(fileTypes[outputType])],
      ['general.quantization_version', whole(quantizationVersion)],
      ...modelMetadata(shape),
      ...vocabularyMetadata(shape, vocabulary),
    ]),
    tensors: listTensors(checkpoint, outputType),
  }
}

function modelMetadata(shape: BertShape): [string, GgufValue][] {
  return [
    ['general.architecture', text('bert')],
    ['bert.context_length', whole(shape.positions)],
    ['bert.embedding_length', whole(shape.hiddenSize)],
    ['bert.block_count', whole(shape.layers)],
    ['bert.feed_forward_length', whole(shape.intermediateSize)],
    ['bert.attention.head_count', whole(shape.heads)],
    ['bert.attention.layer_norm_epsilon', { type: 'float32', value: shape.normEpsilon }],
    ['bert.attention.causal', { type: 'bool', value: false }],
    ['bert.pooling_type', whole(poolingTypes[shape.pooling])],
    [maxTokensKey, whole(shape.maxTokens)],
  ]
}

function vocabularyMetadata(shape: BertShape, { tokens, types, special, ...normalizer }: BertVocabulary): [string, GgufValue][] {
  return [
    ['tokenizer.ggml.model', text('bert')],
    ['tokenizer.ggml.pre', text('default')],
    ['tokenizer.ggml.token_type_count', whole(shape.tokenTypes)],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: tokens }],
    ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', values: types }],
    // llama.cpp puts its "bos" before a text and its separator after it: for a BERT these are [CLS] and [SEP].
    ['tokenizer.ggml.bos_token_id', whole(special.classify)],
    ['tokenizer.ggml.eos_token_id', whole(special.separator)],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: true }],
    ['tokenizer.ggml.add_sep_token', { type: 'bool', value: false }],
    ['tokenizer.ggml.cls_token_id', whole(special.classify)],
    // Misspelt in the format.
    ['tokenizer.ggml.seperator_token_id', whole(special.separator)],
    ['tokenizer.ggml.unknown_token_id', whole(special.unknown)],
    ['tokenizer.ggml.padding_token_id', whole(special.padding)],
    ['tokenizer.ggml.mask_token_id', whole(special.mask)],
    ['tokenizer.ggml.normalizer.lowercase', { type: 'bool', value: normalizer.lowercase }],
    ['tokenizer.ggml.normalizer.strip_accents', { type: 'bool', value: normalizer.stripAccents }],
  ]
}

function listTensors(checkpoint: BertCheckpoint, outputType: FloatType): GgufTensor[] {
  const { vocabularySize, tokenTypes, positions, hiddenSize: hidden, intermediateSize: wide, layers } = checkpoint.shape
  const tensor = (name: string, from: string, shape: readonly number[], type: FloatType = 'F32'): GgufTensor => {
    const source = checkpoint.get(from, shape)
    return {
      name,
      type,
      shape,
      async *produce() {
        yield encodeFloats(await checkpoint.readFloats(source), type)
      },
    }
  }
  const norm = (name: string, from: string) => [
    tensor(`${name}.weight`, `${from}.weight`, [hidden]),
    tensor(`${name}.bias`, `${from}.bias`, [hidden]),
  ]
  const linear = (name: string, from: string, output: number, input: number) => [
    tensor(`${name}.weight`, `${from}.weight`, [output, input], outputType),
    tensor(`${name}.bias`, `${from}.bias`, [output]),
  ]
  const embeddings = [
    tensor('token_embd.weight', 'embeddings.word_embeddings.weight', [vocabularySize, hidden], outputType),
    // These two are read as they are, in F32.
    tensor('position_embd.weight', 'embeddings.position_embeddings.weight', [positions, hidden]),
    tensor('token_types.weight', 'embeddings.token_type_embeddings.weight', [tokenTypes, hidden]),
    ...norm('token_embd_norm', 'embeddings.LayerNorm'),
  ]
  const layer = (_: unknown, index: number) => {
    const [block, from] = [`blk.${index}`, `encoder.layer.${index}`]
    return [
      ...linear(`${block}.attn_q`, `${from}.attention.self.query`, hidden, hidden),
      ...linear(`${block}.attn_k`, `${from}.attention.self.key`, hidden, hidden),
      ...linear(`${block}.attn_v`, `${from}.attention.self.value`, hidden, hidden),
      ...linear(`${block}.attn_output`, `${from}.attention.output.dense`, hidden, hidden),
      ...norm(`${block}.attn_output_norm`, `${from}.attention.output.LayerNorm`),
      ...linear(`${block}.ffn_up`, `${from}.intermediate.dense`, wide, hidden),
      ...linear(`${block}.ffn_down`, `${from}.output.dense`, hidden, wide),
      ...norm(`${block}.layer_output_norm`, `${from}.output.LayerNorm`),
    ]
  }
  return [...embeddings, ...Array.from({ length: layers }).flatMap(layer)]
}

const text = (value: string): GgufValue => ({ type: 'string', value })
const whole = (value: number): GgufValue => ({ type: 'uint32', value })
