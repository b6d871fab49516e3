import { AppError } from '../../errors.ts'
import { type GgufHeader, readGgufHeader } from '../gguf/gguf-header.ts'
import { refuseSplit } from '../gguf/refuse-split.ts'
import { openDequantize } from '../local/libggml-floats.ts'
import { findLibrary, howToInstall } from '../local/libllama.ts'
import { createParameters } from './adapter-parameters.ts'
import { buildGraph, type GraphOptions, type ModelGraph, names, type ParameterInfo } from './build-graph.ts'
import { createGraphInputs } from './graph-inputs.ts'
import { type ModelShape, readModelShape } from './model-shape.ts'
import { type Numbers, openSession, type Session } from './session.ts'
import type { AdapterParameter, Differentiated, TokenBatch, Trainable, TrainableOptions } from './trainable.ts'
import { findWeights, loadWeights, rotaryFactors, toHalves, toPairs, type WeightNames } from './weights.ts'

/** What can be known of a model before it is opened. */
export type TrainableModel = Readonly<{
  shape: ModelShape
  /** How many numbers all its weights are. */
  weights: number
}>

/** Reads only the header. Throws as `openTrainable` for a model that cannot be trained. */
export async function inspectTrainable(path: string): Promise<TrainableModel> {
  const header = await readGgufHeader(path)
  refuseSplit(header)
  const shape = readModelShape(header)
  findWeights(header, shape)
  return { shape, weights: header.tensors.reduce((sum, { elements }) => sum + elements, 0) }
}

/**
 * Opens a GGUF file for training: reads its weights as 32-bit floats and writes its graph. Throws `invalid` for a model that
 * cannot be trained, saying why, and `unavailable` when a library or the GPU is missing.
 */
export async function openTrainable(
  options: TrainableOptions,
  /** Whether the weights are given once, when a graph is loaded, instead of with each batch: a GPU needs it, the CPU can. */
  keepsWeights = options.device === 'cuda',
): Promise<Trainable> {
  const header = await readGgufHeader(options.path)
  const shape = readModelShape(header)
  const found = findWeights(header, shape)
  const graphs = buildGraphs(shape, found, options, keepsWeights)
  const weights = await readWeights(options.path, header, shape, graphs.training, found)
  const parameters = createParameters(graphs.training.parameters, options.seed)
  const open = (graph: ModelGraph) => openSession(graph, weights, options)
  const training = await open(graphs.training)
  return createTrainable({
    shape,
    graph: graphs.training,
    parameters,
    factors: weights.get(rotaryFactors),
    drops: options.drops,
    training,
    // Each session has memory of its own, and on a GPU weights too: there the one graph must do.
    openScoring: keepsWeights ? undefined : () => open(graphs.scoring),
  })
}

type Graphs = Readonly<{ training: ModelGraph; scoring: ModelGraph }>

function buildGraphs(
  shape: ModelShape,
  found: WeightNames,
  { rank, alpha, modules, drops }: TrainableOptions,
  keepsWeights: boolean,
): Graphs {
  if (modules.length === 0 || !Number.isInteger(rank) || rank < 1)
    throw new AppError('invalid', `An adapter needs a rank of 1 or more and a module, but has ${rank} and ${modules.length}.`)
  const common: Omit<GraphOptions, 'differentiates' | 'drops'> = { rank, alpha, modules, keepsWeights }
  return {
    training: buildGraph(shape, found, { ...common, differentiates: true, drops }),
    scoring: buildGraph(shape, found, { ...common, differentiates: false, drops: false }),
  }
}

function readWeights(path: string, header: GgufHeader, shape: ModelShape, graph: ModelGraph, found: WeightNames) {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new AppError('unavailable', `llama.cpp's libraries are not installed. ${howToInstall()}`)
  const wanted = [...graph.weights.map(({ name }) => name), ...(found.hasRotaryFactors ? [rotaryFactors] : [])]
  return loadWeights(path, header, shape, new Set(wanted), openDequantize(folder))
}

type Opened = Readonly<{
  shape: ModelShape
  graph: ModelGraph
  parameters: readonly AdapterParameter[]
  factors: Float32Array | undefined
  drops: boolean
  training: Session
  /** Undefined: the training session scores too. */
  openScoring: (() => Promise<Session>) | undefined
}>

function createTrainable(opened: Opened): Trainable {
  const { shape, graph, parameters, factors, drops, training, openScoring } = opened
  const order = createRowOrder(shape, graph.parameters)
  const inputsOf = createGraphInputs({ shape, moduleCount: parameters.length / 2, factors, drops })
  let scoring: Promise<Session> | undefined

  function feedParameters(adapted: boolean): Record<string, Numbers> {
    const entries = parameters.map(({ name, shape: size, data }, index) => {
      // An adapter whose B is zero is none.
      if (!adapted && name.endsWith('.lora_b')) return [name, { data: new Float32Array(data.length), shape: size }] as const
      return [name, { data: order.toGraph(index, data), shape: size }] as const
    })
    return Object.fromEntries(entries)
  }

  return {
    architecture: shape.architecture,
    parameters,
    async score(batch, { adapted } = { adapted: true }) {
      if (openScoring !== undefined) scoring ??= openScoring()
      const session = scoring === undefined ? training : await scoring
      const results = await session.run({ ...inputsOf(batch, undefined, undefined), ...feedParameters(adapted) })
      return logprobsOf(results, batch)
    },
    async differentiate(batch, weights, dropout): Promise<Differentiated> {
      if (weights.length !== batch.targets.length)
        throw new AppError('internal', `A batch has ${batch.targets.length} targets, but ${weights.length} weights.`)
      const results = await training.run({ ...inputsOf(batch, weights, dropout), ...feedParameters(true) })
      const gradients = parameters.map(({ name }, index) => order.toFile(index, get(results, names.gradient(name))))
      return { logprobs: logprobsOf(results, batch), gradients }
    },
    async close() {
      await training.close()
      await (await scoring)?.close()
    },
  }
}

function get(results: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const found = results.get(name)
  if (found === undefined) throw new AppError('internal', `The graph of the model has no output "${name}".`)
  return found
}

function logprobsOf(results: ReadonlyMap<string, Float32Array>, batch: TokenBatch): Float32Array {
  return get(results, names.logprobs).slice(0, batch.targets.length)
}

/** Rows of B of queries and keys: the adapter has them as the file has them, the graph turns halves. */
function createRowOrder(shape: ModelShape, infos: readonly ParameterInfo[]) {
  const isMoved = (index: number) => {
    const info = infos[index]
    return shape.isInterleaved && (info?.module === 'attn_q' || info?.module === 'attn_k') && info.name.endsWith('.lora_b')
  }
  const widthOf = (index: number) => infos[index]?.shape[1] ?? 1
  return {
    toGraph: (index: number, data: Float32Array) => (isMoved(index) ? toHalves(data, shape.headSize, widthOf(index)) : data),
    toFile: (index: number, data: Float32Array) => (isMoved(index) ? toPairs(data, shape.headSize, widthOf(index)) : data),
  }
}
