import { basename, dirname, join } from 'node:path'
import { findFileType } from '../engine/gguf/ggml-types.ts'
import { type GgufHeader, type GgufTensor, type GgufValue, readGgufHeader } from '../engine/gguf/gguf-header.ts'
import type { ModelKind } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { onnxFile, readOnnxFacts } from './onnx-models.ts'

/** How a model makes one vector of a text, or `rank`: one score of a pair. */
export type Pooling = 'none' | 'mean' | 'cls' | 'last' | 'rank'

/** What a model file says of itself. A number that it does not tell is 0. */
export type ModelFacts = Readonly<{
  kind: ModelKind
  /** llama.cpp's name of the family, such as `qwen3`. For an adapter: that of the base model. */
  architecture: string
  name: string | undefined
  parameters: number
  /** Such as `Q4_K_M`. */
  quantization: string
  /** Tokens that the model was trained for. */
  contextLength: number
  layers: number
  embeddingLength: number
  feedForwardLength: number
  heads: number
  /** Of the layer that has most. */
  headsKv: number
  /** Of all layers together: each costs a key and a value per token in the cache. */
  headsKvTotal: number
  /** Numbers per head. */
  keyLength: number
  valueLength: number
  vocabularySize: number
  /** The type of the matrix that scores come from, such as `Q6_K`. */
  outputType: string | undefined
  /** Tokens that layers with a window see; 0 for a model without. */
  slidingWindow: number
  experts: number
  /** Bytes of all tensors, in all files of a model that is split. */
  tensorBytes: number
  fileBytes: number
  files: number
  pooling: Pooling | undefined
  /** Whether a token sees only what is before it. */
  causal: boolean
  hasChatTemplate: boolean
  adapter: Readonly<{ type: string; rank: number; alpha: number }> | undefined
  /** In all files of a model that is split; shapes as the file has them, the fastest dimension first. */
  tensors: ReadonlyArray<Pick<GgufTensor, 'name' | 'shape'>>
}>

/** Encoders: they turn a text into vectors, whatever else the file says. */
const encoders = new Set([
  'bert',
  'modern-bert',
  'nomic-bert',
  'nomic-bert-moe',
  'neo-bert',
  'jina-bert-v2',
  'jina-bert-v3',
  'eurobert',
  'gemma-embedding',
  'llama-embed',
  't5encoder',
])
/** They have a vocabulary, but generate no text by themselves, or not token after token. */
const notChat = new Set(['t5', 'eagle3', 'dflash', 'gemma4-assistant', 'wavtokenizer-dec', 'qwen3tts', 'pockettts', 'rnd1'])
const poolings: readonly Pooling[] = ['none', 'mean', 'cls', 'last', 'rank']
const mostParts = 1000

/**
 * Tells what kind of model a file holds: an ONNX file from what lies beside it, a GGUF file from its header and, for a model that is split, the headers of its other
 * files. Reads no tensor. Throws `invalid` with the reason when a file is none, damaged, cut off or missing.
 */
export async function readModelKind(path: string): Promise<ModelFacts> {
  if (path.endsWith(onnxFile)) return readOnnxFacts(path)
  const header = await readGgufHeader(path)
  const rest = await Promise.all(otherParts(path, header).map(readPart))
  return describe(header, rest)
}

async function readPart(path: string): Promise<GgufHeader> {
  return readGgufHeader(path).catch((error: unknown) => {
    if (!(error instanceof AppError)) throw error
    throw new AppError('invalid', `A part of the model, ${basename(path)}, cannot be used: ${error.message}`, { cause: error })
  })
}

function otherParts(path: string, { metadata }: GgufHeader): string[] {
  const count = numberOf(metadata.get('split.count'))
  if (count <= 1) return []
  const named = /^(.*)-00001-of-(\d{5})\.gguf$/.exec(basename(path))
  if (named === null || Number(named[2]) !== count || count > mostParts)
    throw new AppError('invalid', `The file is part of a model in ${count} files; its first must be named NAME-00001-of-….gguf.`)
  const [, stem, total] = named
  const others = Array.from({ length: count - 1 }, (_, index) => String(index + 2).padStart(5, '0'))
  return others.map((part) => join(dirname(path), `${stem}-${part}-of-${total}.gguf`))
}

function describe(first: GgufHeader, others: readonly GgufHeader[]): ModelFacts {
  const { metadata } = first
  const parts = [first, ...others]
  const architecture = textOf(metadata.get('general.architecture'))
  if (architecture === undefined)
    throw new AppError('invalid', 'The file does not say which architecture its model has (general.architecture).')
  const tensors = parts.flatMap((part) => part.tensors)
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  const value = (name: string) => metadata.get(`${architecture}.${name}`)
  const pooling = poolings[numberOf(value('pooling_type'), -1)]
  const causal = value('attention.causal') !== false && !encoders.has(architecture)
  return {
    kind: kindOf(metadata, { architecture, pooling, causal, tensors }),
    architecture,
    name: textOf(metadata.get('general.name')),
    parameters: sum(tensors.map(({ elements }) => elements)),
    quantization: quantizationOf(metadata, tensors),
    ...shapeOf(value),
    vocabularySize: vocabularyOf(metadata, value('vocab_size'), tensors),
    outputType: outputTypeOf(tensors),
    tensorBytes: sum(tensors.map(({ bytes }) => bytes)),
    fileBytes: sum(parts.map(({ fileBytes }) => fileBytes)),
    files: parts.length,
    pooling,
    causal,
    hasChatTemplate: metadata.has('tokenizer.chat_template'),
    adapter: adapterOf(metadata, tensors),
    tensors: tensors.map(({ name, shape }) => ({ name, shape })),
  }
}

type Signs = Readonly<{
  architecture: string
  pooling: Pooling | undefined
  causal: boolean
  tensors: readonly GgufTensor[]
}>

function kindOf(metadata: GgufHeader['metadata'], { architecture, pooling, causal, tensors }: Signs): ModelKind {
  const type = textOf(metadata.get('general.type')) ?? 'model'
  if (type === 'adapter') return 'adapter'
  if (type === 'mmproj' || architecture === 'clip') return 'projector'
  // An importance matrix, or a vocabulary alone.
  if (type !== 'model' || tensors.length === 0) return 'unknown'
  if (pooling === 'rank') return 'reranker'
  if (encoders.has(architecture)) return tensors.some(({ name }) => name === 'cls.output.weight') ? 'reranker' : 'embedding'
  if (pooling !== undefined && pooling !== 'none') return 'embedding'
  // Without a tokenizer it is no language model (pictures, sound).
  const speaks = !['none', 'no_vocab'].includes(textOf(metadata.get('tokenizer.ggml.model')) ?? 'none')
  return speaks && causal && !notChat.has(architecture) ? 'chat' : 'unknown'
}

function shapeOf(value: (name: string) => GgufValue | undefined) {
  const number = (name: string) => numberOf(value(name))
  const [layers, embeddingLength] = [number('block_count'), number('embedding_length')]
  const heads = largest(value('attention.head_count'))
  const perHead = heads === 0 ? 0 : Math.floor(embeddingLength / heads)
  const headsKv = value('attention.head_count_kv') ?? heads
  return {
    contextLength: number('context_length'),
    layers,
    embeddingLength,
    feedForwardLength: largest(value('feed_forward_length')),
    heads,
    headsKv: largest(headsKv),
    headsKvTotal: numbersOf(headsKv)?.reduce((total, count) => total + count, 0) ?? numberOf(headsKv) * layers,
    keyLength: number('attention.key_length') || perHead,
    valueLength: number('attention.value_length') || perHead,
    slidingWindow: number('attention.sliding_window'),
    experts: number('expert_count'),
  }
}

/** Many models have one matrix for both: the vectors of tokens, and the scores. */
function outputTypeOf(tensors: readonly GgufTensor[]): string | undefined {
  const typeOf = (wanted: string) => tensors.find(({ name }) => name === wanted)?.type
  return typeOf('output.weight') ?? typeOf('token_embd.weight')
}

function quantizationOf(metadata: GgufHeader['metadata'], tensors: readonly GgufTensor[]): string {
  const fileType = metadata.get('general.file_type')
  // From 1024 on the writer only guessed.
  const told = typeof fileType === 'number' ? findFileType(fileType % 1024) : undefined
  if (told !== undefined) return told
  const bytes = new Map<string, number>()
  for (const tensor of tensors) bytes.set(tensor.type, (bytes.get(tensor.type) ?? 0) + tensor.bytes)
  return [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'unknown'
}

function vocabularyOf(metadata: GgufHeader['metadata'], told: GgufValue | undefined, tensors: readonly GgufTensor[]): number {
  const tokens = metadata.get('tokenizer.ggml.tokens')
  if (typeof tokens === 'object') return tokens.length
  return numberOf(told) || (tensors.find(({ name }) => name === 'token_embd.weight')?.shape[1] ?? 0)
}

function adapterOf(metadata: GgufHeader['metadata'], tensors: readonly GgufTensor[]): ModelFacts['adapter'] {
  if (metadata.get('general.type') !== 'adapter') return undefined
  // Of a pair A (input × rank) and B (rank × output).
  const rank = tensors.find(({ name }) => name.endsWith('.lora_a'))?.shape[1] ?? 0
  const type = textOf(metadata.get('adapter.type')) ?? 'unknown'
  return { type, rank, alpha: numberOf(metadata.get('adapter.lora.alpha')) }
}

function numberOf(value: GgufValue | undefined, otherwise = 0): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise
}

function numbersOf(value: GgufValue | undefined): readonly number[] | undefined {
  return typeof value === 'object' ? value.numbers : undefined
}

/** Some models have another number in each layer. */
function largest(value: GgufValue | undefined): number {
  return (numbersOf(value) ?? [numberOf(value)]).reduce((most, number) => Math.max(most, number), 0)
}

function textOf(value: GgufValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
