import { basename } from 'node:path'
import { type FloatType, floatFileTypes } from '../../engine/gguf/encode-floats.ts'
import { type GgufValue, type Metadata, type TensorWritten, writeGguf } from '../../engine/gguf/gguf-writer.ts'
import { AppError } from '../../errors.ts'
import { isBert } from './bert-checkpoint.ts'
import { convertBert } from './convert-bert.ts'
import { type ModelConfig, readModelConfig } from './model-config.ts'
import { planTensors } from './plan-tensors.ts'
import { openCheckpoint } from './safetensors.ts'
import { poolingTypes } from './text-pooling.ts'
import { readTokenizer } from './tokenizer.ts'
import { listWeights, type WeightSource } from './weight-sources.ts'

export type OutputType = 'auto' | 'f32' | 'f16' | 'bf16'

export type Conversion = Readonly<{
  /** The checkpoint: config.json, tokenizer files, safetensors. */
  folder: string
  /** The GGUF file to make; `TARGET.part` while it is written. */
  target?: string
  /** An ONNX file to make, of a model of the BERT family. Other models have none. */
  onnxTarget?: string
  /** How matrices are kept; `auto`: in the 16 bits that lose nothing, where the checkpoint has such. */
  outputType: OutputType
}>

/**
 * Makes a GGUF file of a checkpoint. Everything is checked before the first byte is written; a few pieces of tensors are in
 * memory at a time. Throws `not_found` for a missing file, `invalid` for what cannot be converted, `storage_full`, `aborted`;
 * then no file remains.
 */
export async function convertCheckpoint(
  conversion: Conversion,
  report: (event: TensorWritten) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { folder, target, onnxTarget, outputType } = conversion
  if (await isBert(folder)) {
    const targets = {
      ...(target === undefined ? {} : { ggufTarget: target }),
      ...(onnxTarget === undefined ? {} : { onnxTarget }),
    }
    const rest = signal === undefined ? {} : { signal }
    return convertBert({ folder, ...targets, outputType: chooseType(outputType, new Map()), report, ...rest })
  }
  if (target === undefined) throw new AppError('invalid', 'Only models of the BERT family can be converted to ONNX.')
  const config = await readModelConfig(folder)
  const checkpoint = await openCheckpoint(folder)
  try {
    const weights = listWeights(checkpoint, config.packed)
    const type = chooseType(outputType, weights)
    const tensors = planTensors(config, weights, type)
    const metadata = new Map([...describeModel(config, basename(folder), type), ...(await readTokenizer(folder, config))])
    if (signal?.aborted) throw new AppError('aborted', 'Converting the model was stopped.')
    await writeGguf({ target, metadata, tensors }, report, signal)
  } finally {
    await checkpoint.close()
  }
}

/** BF16 stays BF16. Everything else becomes F16: packed weights have scales in it, and F32 has no 16 bits that lose nothing. */
function chooseType(outputType: OutputType, weights: ReadonlyMap<string, WeightSource>): FloatType {
  switch (outputType) {
    case 'f32':
      return 'F32'
    case 'f16':
      return 'F16'
    case 'bf16':
      return 'BF16'
    case 'auto': {
      const matrices = [...weights.values()].filter(({ shape }) => shape.length > 1)
      return matrices.length > 0 && matrices.every(({ stored }) => stored === 'BF16') ? 'BF16' : 'F16'
    }
  }
}

const uint32 = (value: number): GgufValue => ({ type: 'uint32', value })
const float32 = (value: number): GgufValue => ({ type: 'float32', value })

function describeModel(config: ModelConfig, name: string, type: FloatType): Metadata {
  const { architecture, sizes, rope, window } = config
  const { gguf } = architecture
  const keys: ReadonlyArray<readonly [string, GgufValue]> = [
    ['vocab_size', uint32(sizes.vocabulary)],
    ['context_length', uint32(sizes.context)],
    ['embedding_length', uint32(sizes.hidden)],
    ['block_count', uint32(config.layers)],
    ['feed_forward_length', uint32(sizes.feedForward)],
    ['attention.head_count', uint32(config.heads)],
    ['attention.head_count_kv', uint32(config.keyHeads)],
    ['attention.key_length', uint32(sizes.head)],
    ['attention.value_length', uint32(sizes.head)],
    [
      architecture.norm === 'rms' ? 'attention.layer_norm_rms_epsilon' : 'attention.layer_norm_epsilon',
      float32(config.normEpsilon),
    ],
    ...(window === undefined ? [] : windowKeys(window)),
    // llama.cpp tells Phi-4 from Phi-3 by a window of 0.
    ...(gguf === 'phi3' ? [['attention.sliding_window', uint32(config.slidingWindow)] as const] : []),
    ...(config.finalSoftcap === undefined ? [] : [['final_logit_softcapping', float32(config.finalSoftcap)] as const]),
    ...(rope?.metadata ?? []),
    ...(config.pooling === undefined ? [] : [['pooling_type', uint32(poolingTypes[config.pooling])] as const]),
  ]
  return new Map([
    ['general.architecture', { type: 'string', value: gguf }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: name }],
    ['general.file_type', uint32(floatFileTypes[type])],
    ['general.quantization_version', uint32(2)],
    ...keys.map(([key, value]) => [`${gguf}.${key}`, value] as const),
  ])
}

function windowKeys({ tokens, period }: NonNullable<ModelConfig['window']>): ReadonlyArray<readonly [string, GgufValue]> {
  return [
    ['attention.sliding_window', uint32(tokens)],
    ['attention.sliding_window_pattern', uint32(period)],
  ]
}
