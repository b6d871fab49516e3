import { AppError } from '../../errors.ts'
import type { OnnxExternal, OnnxGraph } from '../onnx/onnx-writer.ts'
import { type AttentionInputs, attend, rotate } from './attention.ts'
import { predictTargets } from './head.ts'
import { type Adapter, add, gated, type Linear, linear, reshape, rmsNorm } from './layers.ts'
import type { ModelShape } from './model-shape.ts'
import { createTape, type Tape, type Value } from './tape.ts'
import type { AdaptableModule } from './trainable.ts'
import { moduleSizes, type WeightInfo, type WeightNames } from './weights.ts'

export type GraphOptions = Readonly<{
  /** Whether gradients are computed too. */
  differentiates: boolean
  drops: boolean
  rank: number
  alpha: number
  modules: readonly AdaptableModule[]
  /** Weights are given once, when the graph is loaded, instead of as inputs of each run. */
  keepsWeights: boolean
}>

export type ParameterInfo = Readonly<{
  name: string
  shape: readonly [number, number]
  /** The module that it adapts, with its layer. */
  module: AdaptableModule
}>

export type ModelGraph = Readonly<{ graph: OnnxGraph; weights: readonly WeightInfo[]; parameters: readonly ParameterInfo[] }>

/** Names of inputs and outputs; the weights and the parameters have those of their files. */
export const names = {
  tokens: 'tokens',
  positions: 'positions',
  targetAt: 'target at',
  targets: 'targets',
  weights: 'target weights',
  targetOf: 'target of',
  mask: { global: 'mask', local: 'window mask' },
  rotary: {
    global: { cosine: 'cosine', sine: 'sine', inverseSine: 'inverse sine' },
    local: { cosine: 'local cosine', sine: 'local sine', inverseSine: 'local inverse sine' },
  },
  dropout: 'dropout',
  logprobs: 'logprobs',
  gradient: (parameter: string) => `gradient ${parameter}`,
} as const

/** Modules take their dropout from one list of numbers; each begins so much later than the one before. */
export const dropoutStride = 1031

/** Writes the model as one graph: from tokens to the logarithms of the targets' probabilities, and back to the adapter. */
export function buildGraph(shape: ModelShape, found: WeightNames, options: GraphOptions): ModelGraph {
  const tape = createTape()
  const weights = new Map<string, WeightInfo>()
  const parameters: ParameterInfo[] = []
  const writer: Writer = {
    tape,
    shape,
    options,
    weight(info) {
      if (!weights.has(info.name) && !options.keepsWeights) tape.input(info.name, 'float32', info.shape)
      weights.set(info.name, info)
      return info.name
    },
    parameter(info) {
      parameters.push(info)
      return tape.parameter(info.name, info.shape)
    },
    moduleCount: () => parameters.length / 2,
  }
  writeModel(writer, found)
  const externals = [...weights.values()].map(
    ({ name, shape }): OnnxExternal => ({ name, type: 'float32', shape, location: name }),
  )
  return {
    graph: { ...tape.graph('model'), ...(options.keepsWeights ? { externals } : {}) },
    weights: [...weights.values()],
    parameters,
  }
}

type Writer = Readonly<{
  tape: Tape
  shape: ModelShape
  options: GraphOptions
  weight(info: WeightInfo): Value
  parameter(info: ParameterInfo): Value
  moduleCount(): number
}>

function writeModel(writer: Writer, found: WeightNames): void {
  const { tape, shape, options, weight } = writer
  const embedding = weight(found.embedding)
  const tokens = tape.input(names.tokens, 'int32', ['tokens'])
  let x = tape.operate('Gather', [embedding, tokens], { axis: 0 })
  if (shape.embeddingScale !== 1) x = tape.operate('Mul', [x, tape.float(shape.embeddingScale)])
  const attentionInputs = writeAttentionInputs(writer)
  for (const [index] of shape.layers.entries()) x = writeLayer(writer, found, index, x, attentionInputs)
  const hidden = rmsNorm(tape, x, { weight: weight(found.outputNorm), epsilon: shape.epsilon })
  const head = { hidden, weight: found.output === undefined ? embedding : weight(found.output), width: shape.width }
  const chunks = ['chunks', 'chunk']
  const logprobs = predictTargets(tape, head, {
    targetAt: tape.input(names.targetAt, 'int32', chunks),
    targets: tape.input(names.targets, 'int32', chunks),
    weights: options.differentiates ? tape.input(names.weights, 'float32', chunks) : undefined,
    targetOf: options.differentiates ? tape.input(names.targetOf, 'int32', ['tokens']) : undefined,
  })
  tape.output(logprobs, names.logprobs, 'float32', chunks)
  if (!options.differentiates) return
  for (const [parameter, gradient] of tape.differentiate())
    tape.output(gradient, names.gradient(parameter), 'float32', ['rows', 'columns'])
}

/** Of a layer, by what it knows of positions and by how far it sees. */
type LayerInputs = (index: number) => AttentionInputs

function writeAttentionInputs({ tape, shape }: Writer): LayerInputs {
  const positions = tape.operate('Cast', [tape.input(names.positions, 'int32', ['rows', 'length'])], { to: 7 })
  const rowShape = tape.operate('Shape', [positions])
  const square = ['rows', 1, 'length', 'length']
  const masks = new Map<boolean, Value>()
  const rotaries = new Map<string, AttentionInputs['rotary']>()
  for (const { isWindowed, rotary } of shape.layers) {
    if (!masks.has(isWindowed)) masks.set(isWindowed, tape.input(names.mask[isWindowed ? 'local' : 'global'], 'float32', square))
    if (rotary === undefined || rotaries.has(rotary)) continue
    const { cosine, sine, inverseSine } = names.rotary[rotary]
    const table = (name: string) => tape.input(name, 'float32', ['angles', shape.headSize / 2])
    rotaries.set(rotary, { cosine: table(cosine), sine: table(sine), inverseSine: table(inverseSine) })
  }
  return (index) => {
    const layer = shape.layers[index]
    const mask = masks.get(layer?.isWindowed ?? false)
    if (layer === undefined || mask === undefined) throw new AppError('internal', `The model has no layer ${index}.`)
    return { positions, rowShape, mask, rotary: layer.rotary === undefined ? undefined : rotaries.get(layer.rotary) }
  }
}

type Block = Readonly<{
  norm(x: Value, name: string): Value
  project(x: Value, module: AdaptableModule): Value
}>

function writeLayer(writer: Writer, found: WeightNames, index: number, x: Value, inputsOf: LayerInputs): Value {
  const { tape, shape } = writer
  const block = createBlock(writer, found, index)
  const { norm, project } = block
  const post = (value: Value, name: string) => (shape.hasPostNorms ? norm(value, name) : value)
  const attended = writeAttention(writer, block, norm(x, 'attn_norm'), inputsOf(index))
  const between = add(tape, x, post(project(attended, 'attn_output'), 'post_attention_norm'))
  const before = norm(between, 'ffn_norm')
  const activated = gated(tape, project(before, 'ffn_gate'), project(before, 'ffn_up'), shape.activation)
  return add(tape, between, post(project(activated, 'ffn_down'), 'post_ffw_norm'))
}

/** The weights of a layer, at work. */
function createBlock(writer: Writer, found: WeightNames, index: number): Block {
  const { tape, shape, weight } = writer
  const tensors = found.layer(index)
  const get = (name: string): Value => {
    const info = tensors.get(name)
    if (info === undefined) throw new AppError('internal', `Layer ${index} has no tensor "${name}".`)
    return weight(info)
  }
  return {
    norm: (x, name) => rmsNorm(tape, x, { weight: get(`${name}.weight`), epsilon: shape.epsilon }),
    project(x, module) {
      const bias = tensors.get(`${module}.bias`)
      const layer: Linear = {
        weight: get(`${module}.weight`),
        bias: bias === undefined ? undefined : weight(bias),
        adapter: writeAdapter(writer, index, module, x),
      }
      return linear(tape, x, layer)
    },
  }
}

function writeAttention({ tape, shape }: Writer, { norm, project }: Block, x: Value, inputs: AttentionInputs): Value {
  const turned = (module: 'attn_q' | 'attn_k', count: number) => {
    const width = count * shape.headSize
    const projected = project(x, module)
    if (!shape.hasHeadNorms) return rotate(tape, projected, width, inputs)
    const apart = tape.integers(-1, count, shape.headSize)
    const together = tape.integers(-1, width)
    const normed = norm(reshape(tape, projected, apart, together), `${module}_norm`)
    return rotate(tape, reshape(tape, normed, together, apart), width, inputs)
  }
  const query = turned('attn_q', shape.heads)
  const key = turned('attn_k', shape.keyValueHeads)
  const value = rotate(tape, project(x, 'attn_v'), shape.keyValueHeads * shape.headSize, { ...inputs, rotary: undefined })
  return attend(tape, { query, key, value }, shape, shape.attentionScale, inputs)
}

function writeAdapter(writer: Writer, layer: number, module: AdaptableModule, x: Value): Adapter | undefined {
  const { shape, options } = writer
  if (!options.modules.includes(module)) return undefined
  const { inputs, outputs } = moduleSizes(shape)[module]
  const name = `blk.${layer}.${module}.weight`
  const mask = options.drops ? writeMask(writer, x) : undefined
  return {
    a: writer.parameter({ name: `${name}.lora_a`, shape: [options.rank, inputs], module }),
    b: writer.parameter({ name: `${name}.lora_b`, shape: [outputs, options.rank], module }),
    scale: options.alpha / options.rank,
    mask,
  }
}

/** The numbers of the dropout that this module takes, in the shape of its input. */
function writeMask({ tape, moduleCount }: Writer, x: Value): Value {
  const pool = moduleCount() === 0 ? tape.input(names.dropout, 'float32', ['pool']) : names.dropout
  const start = tape.integers(moduleCount() * dropoutStride)
  const size = tape.operate('Unsqueeze', [tape.operate('Size', [x]), tape.integers(0)])
  const part = tape.operate('Slice', [pool, start, tape.operate('Add', [start, size])])
  return tape.operate('Reshape', [part, tape.operate('Shape', [x])])
}
