import { InferenceSession, Tensor } from 'onnxruntime-node'
import { AppError } from '../../errors.ts'
import { type EmbedBackend, type EmbedTokens, sigmoid } from './embed-backend.ts'
import type { TextTokenizer } from './text-tokenizer.ts'
import { toUnitLength } from './unit-length.ts'

/** Tokens that are evaluated together, padding included. */
const batchTokens = 4096
const mostTexts = 64

export type OnnxEmbedderOptions = Readonly<{
  /** An ONNX file with the inputs and the output of the hub's usual exports of models of the BERT family. */
  path: string
  tokenizer: TextTokenizer
  /** How the vectors of a text's tokens become one. */
  pooling: 'mean' | 'cls' | 'last'
  threads: number
}>

export interface OnnxEmbedder extends EmbedBackend {
  /** One vector of unit length for each text, in their order. */
  embed(texts: readonly string[]): Promise<readonly Float32Array[]>
  close(): Promise<void>
}

/**
 * Opens an embedding model (output `last_hidden_state`) or a reranker (output `logits`, one number for each pair).
 * Throws `invalid` when the file is no ONNX model, or one with other inputs or outputs.
 */
export async function openOnnxEmbedder({ path, tokenizer, pooling, threads }: OnnxEmbedderOptions): Promise<OnnxEmbedder> {
  const session = await openSession(path, threads)

  async function evaluateAll(inputs: readonly EmbedTokens[]): Promise<Float32Array[]> {
    const results: Float32Array[] = inputs.map(() => new Float32Array(0))
    for (const indexes of pack(inputs)) {
      const batch = indexes.map((index) => inputs[index] ?? { ids: [] })
      const found = await evaluate(session, batch, pooling)
      for (const [row, index] of indexes.entries()) results[index] = found[row] ?? new Float32Array(0)
    }
    return results
  }

  return {
    maxTokens: tokenizer.maxTokens,
    encodeWhole: (text) => ({ ids: tokenizer.encodeWhole(text) }),
    cut: ({ ids }) => ({ ids: tokenizer.cut(ids) }),
    encodePair: tokenizer.encodePair,
    countTokens: tokenizer.countTokens,
    evaluate: evaluateAll,
    embed: (texts) => evaluateAll(texts.map((text) => ({ ids: tokenizer.encode(text) }))),
    close: () => session.release(),
  }
}

const inputNames = ['input_ids', 'attention_mask', 'token_type_ids']
const outputNames = ['last_hidden_state', 'logits']

async function openSession(path: string, threads: number): Promise<InferenceSession> {
  const session = await InferenceSession.create(path, { intraOpNumThreads: threads }).catch((error: unknown) => {
    throw new AppError('invalid', 'The file is not an ONNX model that can be loaded.', { cause: error })
  })
  const isKnown = session.inputNames.every((name) => inputNames.includes(name))
  if (isKnown && outputNames.some((name) => session.outputNames.includes(name))) return session
  await session.release()
  const expected = `the inputs ${inputNames.join(', ')} and the output ${outputNames.join(' or ')}`
  throw new AppError('invalid', `The ONNX model must have ${expected}.`)
}

/** Texts of like length together: the shorter ones of a batch are filled up. */
function pack(inputs: readonly EmbedTokens[]): number[][] {
  const lengthOf = (index: number) => inputs[index]?.ids.length ?? 0
  const sorted = [...inputs.keys()].sort((one, other) => lengthOf(one) - lengthOf(other))
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
  batch: readonly EmbedTokens[],
  pooling: OnnxEmbedderOptions['pooling'],
): Promise<Float32Array[]> {
  const length = batch.reduce((most, { ids }) => Math.max(most, ids.length), 0)
  const integers = (fill: (input: EmbedTokens, row: Int32Array) => void) => {
    const wide = new BigInt64Array(batch.length * length)
    // By their lower halves, which come first on every machine that ONNX Runtime runs on: a BigInt for each costs more than a short text.
    const halves = new Int32Array(wide.buffer)
    const row = new Int32Array(length)
    for (const [index, input] of batch.entries()) {
      fill(input, row.fill(0))
      for (let at = 0; at < length; at += 1) halves[(index * length + at) * 2] = row[at] ?? 0
    }
    return new Tensor('int64', wide, [batch.length, length])
  }
  const inputs: Record<string, Tensor> = {
    input_ids: integers(({ ids }, row) => row.set(ids)),
    attention_mask: integers(({ ids }, row) => row.fill(1, 0, ids.length)),
    token_type_ids: integers(({ ids, secondFrom = length }, row) => row.fill(1, secondFrom, Math.max(secondFrom, ids.length))),
  }
  // Some exports leave the token types out.
  const given = Object.fromEntries(session.inputNames.flatMap((name) => (inputs[name] ? [[name, inputs[name]]] : [])))
  const { last_hidden_state: states, logits } = await session.run(given)
  if (states === undefined) return readScores(logits, batch.length)
  if (!(states.data instanceof Float32Array)) throw new AppError('internal', 'The ONNX model gave no 32-bit floats.')
  const { data } = states
  const width = data.length / (batch.length * length)
  return batch.map(({ ids }, row) => {
    const start = row * length * width
    return toUnitLength(pool(data.subarray(start, start + ids.length * width), width, pooling))
  })
}

function readScores(logits: Tensor | undefined, pairs: number): Float32Array[] {
  const data = logits?.data
  if (!(data instanceof Float32Array) || data.length !== pairs)
    throw new AppError('invalid', 'The reranker does not give one number for each pair of texts.')
  return Array.from(data, (value) => Float32Array.of(sigmoid(value)))
}

/** Of tokens × width. */
function pool(states: Float32Array, width: number, pooling: OnnxEmbedderOptions['pooling']): Float32Array {
  if (pooling === 'cls') return states.subarray(0, width)
  if (pooling === 'last') return states.subarray(-width)
  const sum = new Float32Array(width)
  for (let start = 0; start < states.length; start += width) {
    for (let index = 0; index < width; index += 1) sum[index] = (sum[index] ?? 0) + (states[start + index] ?? 0)
  }
  // Unit length comes next: the sum points where the mean does.
  return sum
}
