import { InferenceSession, Tensor } from 'onnxruntime-node'
import { AppError } from '../../errors.ts'
import type { BertTokenizer } from './bert-tokenizer.ts'
import { toUnitLength } from './unit-length.ts'

/** Tokens that are evaluated together, padding included. */
const batchTokens = 4096
const mostTexts = 64

export type OnnxEmbedderOptions = Readonly<{
  /** An ONNX file with the inputs and the output of the hub's usual exports of BERT models. */
  path: string
  tokenizer: BertTokenizer
  /** How the vectors of a text's tokens become one. */
  pooling: 'mean' | 'cls' | 'last'
  threads: number
}>

export interface OnnxEmbedder {
  /** One vector of unit length for each text, in their order. */
  embed(texts: readonly string[]): Promise<Float32Array[]>
  /** The same, for texts that are tokens already. */
  embedTokens(tokens: readonly (readonly number[])[]): Promise<Float32Array[]>
  close(): Promise<void>
}

/** Throws `invalid` when the file is no ONNX model, or one with other inputs or outputs. */
export async function openOnnxEmbedder(options: OnnxEmbedderOptions): Promise<OnnxEmbedder> {
  const { path, tokenizer, threads } = options
  const session = await openSession(path, threads)

  async function embedTokens(tokens: readonly (readonly number[])[]): Promise<Float32Array[]> {
    const vectors: Float32Array[] = tokens.map(() => new Float32Array(0))
    for (const indexes of pack(tokens)) {
      const batch = indexes.map((index) => tokens[index] ?? [])
      const found = await evaluate(session, batch, options.pooling)
      for (const [row, index] of indexes.entries()) vectors[index] = found[row] ?? new Float32Array(0)
    }
    return vectors
  }

  return {
    embed: (texts) => embedTokens(texts.map((text) => tokenizer.encode(text))),
    embedTokens,
    close: () => session.release(),
  }
}

async function openSession(path: string, threads: number): Promise<InferenceSession> {
  const session = await InferenceSession.create(path, { intraOpNumThreads: threads }).catch((error: unknown) => {
    throw new AppError('invalid', 'The file is not an ONNX model that can be loaded.', { cause: error })
  })
  const known = ['input_ids', 'attention_mask', 'token_type_ids']
  if (session.inputNames.every((name) => known.includes(name)) && session.outputNames.includes('last_hidden_state'))
    return session
  await session.release()
  throw new AppError('invalid', `The ONNX model must have the inputs ${known.join(', ')} and the output last_hidden_state.`)
}

/** Texts of like length together: the shorter ones of a batch are filled up. */
function pack(tokens: readonly (readonly number[])[]): number[][] {
  const lengthOf = (index: number) => tokens[index]?.length ?? 0
  const sorted = [...tokens.keys()].sort((one, other) => lengthOf(one) - lengthOf(other))
  const packs: number[][] = []
  for (const index of sorted) {
    const last = packs.at(-1)
    if (last === undefined || last.length === mostTexts || (last.length + 1) * lengthOf(index) > batchTokens) packs.push([index])
    else last.push(index)
  }
  return packs
}

async function evaluate(
  session: InferenceSession,
  batch: readonly (readonly number[])[],
  pooling: OnnxEmbedderOptions['pooling'],
): Promise<Float32Array[]> {
  const length = batch.reduce((most, ids) => Math.max(most, ids.length), 0)
  const integers = (fill: (ids: readonly number[], position: number) => number) => {
    const values = batch.flatMap((ids) => Array.from({ length }, (_, position) => BigInt(fill(ids, position))))
    return new Tensor('int64', BigInt64Array.from(values), [batch.length, length])
  }
  const inputs: Record<string, Tensor> = {
    input_ids: integers((ids, position) => ids[position] ?? 0),
    attention_mask: integers((ids, position) => Number(position < ids.length)),
    token_type_ids: integers(() => 0),
  }
  // Some exports leave the token types out.
  const given = Object.fromEntries(session.inputNames.flatMap((name) => (inputs[name] ? [[name, inputs[name]]] : [])))
  const { last_hidden_state: output } = await session.run(given)
  const states = output?.data
  if (!(states instanceof Float32Array)) throw new AppError('internal', 'The ONNX model gave no 32-bit floats.')
  const width = states.length / (batch.length * length)
  return batch.map((ids, row) => {
    const start = row * length * width
    return toUnitLength(pool(states.subarray(start, start + ids.length * width), width, pooling))
  })
}

/** Of tokens × width. */
function pool(states: Float32Array, width: number, pooling: OnnxEmbedderOptions['pooling']): Float32Array {
  if (pooling === 'cls') return states.subarray(0, width)
  if (pooling === 'last') return states.subarray(-width)
  const sum = new Float32Array(width)
  for (let index = 0; index < states.length; index += 1) sum[index % width] = (sum[index % width] ?? 0) + (states[index] ?? 0)
  // Unit length comes next: the sum points where the mean does.
  return sum
}
