import { encodeFloats } from '../../engine/gguf/encode-floats.ts'
import type { OnnxAttribute, OnnxGraph, OnnxInitializer, OnnxNode } from '../../engine/onnx/onnx-writer.ts'
import type { BertCheckpoint, BertTensor } from './bert-checkpoint.ts'

/** What is added to the score of a token that is padding: the lowest number, so that nothing is left of it after Softmax. */
const masked = -3.4028234663852886e38

/**
 * A BERT encoder as an ONNX graph of standard operators, in 32-bit floats. Inputs and output have the names of the hub's
 * usual exports: `input_ids`, `attention_mask`, `token_type_ids` (int64, batch × tokens), `last_hidden_state` (batch × tokens
 * × hidden), or of a reranker `logits` (batch × 1). Architecture: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, as in BertModel of transformers.
 */
export function describeBertOnnx(checkpoint: BertCheckpoint): OnnxGraph {
  const graph = createGraph(checkpoint)
  const { layers, head, hiddenSize, tokenTypes } = checkpoint.shape
  const mask = addMask(graph)
  let hidden = addEmbeddings(graph, checkpoint)
  for (let layer = 0; layer < layers; layer += 1) {
    const from = `encoder.layer.${layer}`
    const attended = addAttention(graph, checkpoint, { from, hidden, mask })
    hidden = addFeedForward(graph, checkpoint, { from, hidden: attended })
  }
  if (head === 'none') graph.add('Identity', [hidden], {}, 'last_hidden_state')
  else addScore(graph, checkpoint, hidden)
  const input = (name: string) => ({ name, type: 'int64', shape: ['batch_size', 'sequence_length'] }) as const
  const inputs = ['input_ids', 'attention_mask', ...(tokenTypes > 1 ? ['token_type_ids'] : [])]
  return {
    name: 'bert',
    nodes: graph.nodes,
    initializers: graph.initializers,
    inputs: inputs.map(input),
    outputs: [
      head === 'none'
        ? { name: 'last_hidden_state', type: 'float32', shape: ['batch_size', 'sequence_length', hiddenSize] }
        : { name: 'logits', type: 'float32', shape: ['batch_size', 1] },
    ],
  }
}

type Graph = ReturnType<typeof createGraph>

function createGraph(checkpoint: BertCheckpoint) {
  const nodes: OnnxNode[] = []
  const initializers: OnnxInitializer[] = []
  const known = new Set<string>()

  function add(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    as?: string,
  ) {
    const output = as ?? `${operator}_${nodes.length}`
    nodes.push({ operator, inputs, outputs: [output], attributes })
    return output
  }

  function constant(initializer: OnnxInitializer): string {
    if (!known.has(initializer.name)) initializers.push(initializer)
    known.add(initializer.name)
    return initializer.name
  }

  return {
    nodes,
    initializers,
    add,
    integers(values: readonly number[]): string {
      const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
      return constant({ name: `int_${values.join('_')}`, type: 'int64', shape: [values.length], produce: () => once(bytes) })
    },
    float(value: number): string {
      const bytes = encodeFloats(Float32Array.of(value), 'F32')
      return constant({ name: `float_${value}`, type: 'float32', shape: [], produce: () => once(bytes) })
    },
    weight(name: string, shape: readonly number[]): string {
      const tensor = checkpoint.get(name, shape)
      return constant({ name, type: 'float32', shape, produce: () => produce(checkpoint, tensor) })
    },
    /** PyTorch keeps a matrix as output × input, MatMul wants input × output. */
    matrix(name: string, output: number, input: number): string {
      const tensor = checkpoint.get(name, [output, input])
      const shape = [input, output]
      return constant({ name, type: 'float32', shape, produce: () => produceTransposed(checkpoint, tensor, output, input) })
    },
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function* produce(checkpoint: BertCheckpoint, tensor: BertTensor): AsyncGenerator<Uint8Array> {
  yield encodeFloats(await checkpoint.readFloats(tensor), 'F32')
}

async function* produceTransposed(
  checkpoint: BertCheckpoint,
  tensor: BertTensor,
  rows: number,
  columns: number,
): AsyncGenerator<Uint8Array> {
  const values = await checkpoint.readFloats(tensor)
  const turned = new Float32Array(values.length)
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) turned[column * rows + row] = values[row * columns + column] ?? 0
  }
  yield encodeFloats(turned, 'F32')
}

/** 0 for tokens and the lowest number for padding, as batch × 1 × 1 × tokens. */
function addMask({ add, integers, float }: Graph): string {
  const wide = add('Unsqueeze', ['attention_mask', integers([1, 2])])
  const padding = add('Sub', [float(1), add('Cast', [wide], { to: 1 })])
  return add('Mul', [padding, float(masked)])
}

function addEmbeddings(graph: Graph, { shape }: BertCheckpoint): string {
  const { vocabularySize, tokenTypes, positions, firstPosition, hiddenSize: hidden, normEpsilon } = shape
  const { add, weight, integers } = graph
  const words = add('Gather', [weight('embeddings.word_embeddings.weight', [vocabularySize, hidden]), 'input_ids'])
  const typeTable = weight('embeddings.token_type_embeddings.weight', [tokenTypes, hidden])
  const types = tokenTypes > 1 ? add('Gather', [typeTable, 'token_type_ids']) : typeTable
  // As many rows as there are tokens.
  const length = add('Shape', ['input_ids'], { start: 1, end: 2 })
  const table = weight('embeddings.position_embeddings.weight', [firstPosition + positions, hidden])
  const first = integers([firstPosition])
  const places = add('Slice', [table, first, add('Add', [length, first]), integers([0])])
  const sum = add('Add', [add('Add', [words, types]), places])
  return addNorm(graph, sum, { from: 'embeddings.LayerNorm', hidden, normEpsilon })
}

/** A number for the pair, from the state of the first token: the heads of BertFor… and RobertaForSequenceClassification. */
function addScore(graph: Graph, { shape }: BertCheckpoint, hidden: string): void {
  const { hiddenSize: width, family } = shape
  const { add, integers } = graph
  const first = add('Gather', [hidden, integers([0])], { axis: 1 })
  const dense = family === 'bert' ? 'pooler.dense' : 'classifier.dense'
  const pooled = add('Tanh', [addLinear(graph, first, { from: dense, output: width, input: width })])
  const last = family === 'bert' ? 'classifier' : 'classifier.out_proj'
  const score = addLinear(graph, pooled, { from: last, output: 1, input: width })
  add('Squeeze', [score, integers([1])], {}, 'logits')
}

type Norm = Readonly<{ from: string; hidden: number; normEpsilon: number }>

function addNorm({ add, weight }: Graph, input: string, { from, hidden, normEpsilon }: Norm): string {
  const inputs = [input, weight(`${from}.weight`, [hidden]), weight(`${from}.bias`, [hidden])]
  return add('LayerNormalization', inputs, { axis: -1, epsilon: { float: normEpsilon } })
}

type Linear = Readonly<{ from: string; output: number; input: number }>

function addLinear({ add, weight, matrix }: Graph, x: string, { from, output, input }: Linear): string {
  return add('Add', [add('MatMul', [x, matrix(`${from}.weight`, output, input)]), weight(`${from}.bias`, [output])])
}

function addAttention(
  graph: Graph,
  { shape }: BertCheckpoint,
  { from, hidden, mask }: Readonly<{ from: string; hidden: string; mask: string }>,
): string {
  const { hiddenSize: width, heads, normEpsilon } = shape
  const { add, integers, float } = graph
  const perHead = width / heads
  const square = (name: string) => ({ from: `${from}.attention.${name}`, output: width, input: width })
  // Batch × heads × tokens × numbers per head; the keys with the last two the other way round.
  const split = (name: string, perm: readonly number[]) => {
    const whole = addLinear(graph, hidden, square(`self.${name}`))
    return add('Transpose', [add('Reshape', [whole, integers([0, 0, heads, perHead])])], { perm })
  }
  const [query, key, value] = [split('query', [0, 2, 1, 3]), split('key', [0, 2, 3, 1]), split('value', [0, 2, 1, 3])]
  const scores = add('Div', [add('MatMul', [query, key]), float(Math.sqrt(perHead))])
  const shares = add('Softmax', [add('Add', [scores, mask])], { axis: -1 })
  const seen = add('Transpose', [add('MatMul', [shares, value])], { perm: [0, 2, 1, 3] })
  const joined = add('Reshape', [seen, integers([0, 0, width])])
  const output = addLinear(graph, joined, square('output.dense'))
  return addNorm(graph, add('Add', [output, hidden]), { from: `${from}.attention.output.LayerNorm`, hidden: width, normEpsilon })
}

function addFeedForward(
  graph: Graph,
  { shape }: BertCheckpoint,
  { from, hidden }: Readonly<{ from: string; hidden: string }>,
): string {
  const { hiddenSize: width, intermediateSize: wide, normEpsilon, gelu } = shape
  const up = addLinear(graph, hidden, { from: `${from}.intermediate.dense`, output: wide, input: width })
  const active = graph.add('Gelu', [up], { approximate: gelu === 'exact' ? 'none' : 'tanh' })
  const down = addLinear(graph, active, { from: `${from}.output.dense`, output: width, input: wide })
  return addNorm(graph, graph.add('Add', [down, hidden]), { from: `${from}.output.LayerNorm`, hidden: width, normEpsilon })
}
