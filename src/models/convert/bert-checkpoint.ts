import { type Static, Type } from 'typebox'
import { AppError } from '../../errors.ts'
import { findJson, getJson } from './json-file.ts'
import { openCheckpoint, type TensorInfo } from './safetensors.ts'
import { readPooling, type TextPooling } from './text-pooling.ts'

export type BertShape = Readonly<{
  /** RoBERTa's relatives (XLM-R, CamemBERT) count positions from another number, and have another head. */
  family: 'bert' | 'roberta'
  /** What comes after the encoder: `score` gives one number for a pair of texts. */
  head: 'none' | 'score'
  vocabularySize: number
  tokenTypes: number
  /** Tokens that have a position. */
  positions: number
  /** The row of the table of positions that belongs to the first token. */
  firstPosition: number
  hiddenSize: number
  intermediateSize: number
  layers: number
  heads: number
  normEpsilon: number
  /** `tanh` is the approximation that the first BERT's successors were trained with. */
  gelu: 'exact' | 'tanh'
  pooling: TextPooling
  /** The longest text that the model should be given, in tokens. */
  maxTokens: number
}>

export type BertTensor = Readonly<{ info: TensorInfo; shape: readonly number[] }>

/** A BERT checkpoint with its tensors under the names that BertModel of transformers gives them. */
export interface BertCheckpoint {
  readonly shape: BertShape
  /** Throws `invalid` when the checkpoint has none of this name and shape. */
  get(name: string, shape: readonly number[]): BertTensor
  readFloats(tensor: BertTensor): Promise<Float32Array>
  close(): Promise<void>
}

const Count = Type.Integer({ minimum: 1 })
const Config = Type.Object({
  model_type: Type.String(),
  architectures: Type.Optional(Type.Array(Type.String())),
  pad_token_id: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])),
  vocab_size: Count,
  type_vocab_size: Type.Optional(Count),
  max_position_embeddings: Count,
  hidden_size: Count,
  intermediate_size: Count,
  num_hidden_layers: Count,
  num_attention_heads: Count,
  layer_norm_eps: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  hidden_act: Type.Optional(Type.String()),
  position_embedding_type: Type.Optional(Type.String()),
  is_decoder: Type.Optional(Type.Boolean()),
})
type Config = Static<typeof Config>

const gelus: Readonly<Record<string, BertShape['gelu']>> = {
  gelu: 'exact',
  gelu_new: 'tanh',
  gelu_pytorch_tanh: 'tanh',
  gelu_fast: 'tanh',
}

/** By `model_type` of config.json. */
const families: Readonly<Record<string, BertShape['family']>> = {
  bert: 'bert',
  roberta: 'roberta',
  'xlm-roberta': 'roberta',
  camembert: 'roberta',
}

/**
 * Opens a folder with a BERT encoder: config.json, safetensors, and what sentence-transformers adds. Throws `not_found` when
 * a file is missing, `invalid` when it is another kind of model or its tensors are not those that its configuration needs.
 */
export async function openBertCheckpoint(folder: string): Promise<BertCheckpoint> {
  const shape = await readBertShape(folder)
  const checkpoint = await openCheckpoint(folder)
  const tensors = new Map([...checkpoint.tensors.values()].map((info) => [plainName(info.name), info]))
  return {
    shape,
    get: (name, expected) => getTensor(tensors, name, expected),
    readFloats: ({ info }) => checkpoint.readFloats(info),
    close: () => checkpoint.close(),
  }
}

/** What the JSON files of the folder say of the model, its pooling and longest text; reads no tensor. Throws as above. */
export async function readBertShape(folder: string): Promise<BertShape> {
  const kind = await checkKind(folder)
  const config = await getJson(folder, 'config.json', Config)
  return { ...kind, ...shapeOf(config, kind, await readPooling(folder), await findMaxTokens(folder)) }
}

const Kind = Type.Object({ model_type: Type.Optional(Type.String()), architectures: Type.Optional(Type.Array(Type.String())) })

/** Whether a checkpoint folder says that it holds a model of the BERT family. Throws `not_found` when it has no config.json. */
export async function isBert(folder: string): Promise<boolean> {
  return families[(await getJson(folder, 'config.json', Kind)).model_type ?? ''] !== undefined
}

type FamilyAndHead = Pick<BertShape, 'family' | 'head'>

/** Relatives differ in where positions begin, in their tokenizers or their layers: to take one for another gives wrong vectors. */
async function checkKind(folder: string): Promise<FamilyAndHead> {
  const { model_type: type, architectures = [] } = await getJson(folder, 'config.json', Kind)
  const family = families[type ?? '']
  const known = Object.keys(families).join(', ')
  if (family === undefined)
    throw new AppError('invalid', `Expected a checkpoint of model_type ${known}, but config.json says ${JSON.stringify(type)}.`)
  const other = architectures.find((name) => !/(Model|ForMaskedLM|ForPreTraining|ForSequenceClassification)$/.test(name))
  if (other !== undefined)
    throw new AppError('invalid', `Only BERT encoders and rerankers can be converted (BertModel, …), but this is a ${other}.`)
  const scores = architectures.some((name) => name.endsWith('ForSequenceClassification'))
  return { family, head: scores ? 'score' : 'none' }
}

function shapeOf(
  config: Config,
  { family }: FamilyAndHead,
  pooling: TextPooling,
  maxTokens: number | undefined,
): Omit<BertShape, keyof FamilyAndHead> {
  const gelu = gelus[config.hidden_act ?? 'gelu']
  if (gelu === undefined)
    throw new AppError(
      'invalid',
      `A BERT's hidden_act must be one of ${Object.keys(gelus).join(', ')}, but is ${config.hidden_act}.`,
    )
  const { position_embedding_type: kind = 'absolute', is_decoder: decodes = false } = config
  if (kind !== 'absolute' || decodes)
    throw new AppError('invalid', 'Only a BERT with absolute positions that sees the whole text can be converted.')
  if (config.hidden_size % config.num_attention_heads !== 0)
    throw new AppError('invalid', `hidden_size ${config.hidden_size} is no multiple of ${config.num_attention_heads} heads.`)
  // RoBERTa's positions begin behind that of padding: https://github.com/huggingface/transformers, create_position_ids_from_input_ids.
  const firstPosition = family === 'bert' ? 0 : (config.pad_token_id ?? 1) + 1
  const positions = config.max_position_embeddings - firstPosition
  return {
    vocabularySize: config.vocab_size,
    tokenTypes: config.type_vocab_size ?? 2,
    positions,
    firstPosition,
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    normEpsilon: config.layer_norm_eps ?? 1e-12,
    gelu,
    pooling,
    maxTokens: Math.min(maxTokens ?? positions, positions),
  }
}

const Sentences = Type.Object({ max_seq_length: Type.Optional(Type.Union([Count, Type.Null()])) })

async function findMaxTokens(folder: string): Promise<number | undefined> {
  return (await findJson(folder, 'sentence_bert_config.json', Sentences))?.max_seq_length ?? undefined
}

/** Models for other tasks have the encoder in `bert.`; early checkpoints name the parts of a norm after Greek letters. */
function plainName(name: string): string {
  return name
    .replace(/^(?:bert|roberta)\./, '')
    .replace(/LayerNorm\.gamma$/, 'LayerNorm.weight')
    .replace(/LayerNorm\.beta$/, 'LayerNorm.bias')
}

function getTensor(tensors: ReadonlyMap<string, TensorInfo>, name: string, shape: readonly number[]): BertTensor {
  const info = tensors.get(name)
  if (info === undefined) throw new AppError('invalid', `The checkpoint has no tensor "${name}".`)
  if (info.shape.length === shape.length && info.shape.every((size, index) => size === shape[index])) return { info, shape }
  throw new AppError('invalid', `Tensor "${name}" should have the shape [${shape}], but has [${info.shape}].`)
}
