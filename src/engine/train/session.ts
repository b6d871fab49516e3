import { InferenceSession, Tensor } from 'onnxruntime-node'
import { AppError } from '../../errors.ts'
import { encodeOnnx } from '../onnx/onnx-writer.ts'
import type { ModelGraph } from './build-graph.ts'

export type Numbers = Readonly<{ data: Float32Array | Int32Array; shape: readonly number[] }>

/** A graph that can be evaluated. */
export interface Session {
  /** Inputs that the graph does not take are left out. Throws `unavailable` when memory does not suffice. */
  run(inputs: Readonly<Record<string, Numbers>>): Promise<ReadonlyMap<string, Float32Array>>
  close(): Promise<void>
}

export type SessionOptions = Readonly<{ threads: number; device: 'cpu' | 'cuda' }>

/**
 * Loads a graph into ONNX Runtime. The weights are not copied on the CPU: they must stay as they are. On a GPU they are copied to
 * its memory, once. Throws `unavailable` when the GPU cannot be used.
 */
export async function openSession(
  { graph }: ModelGraph,
  weights: ReadonlyMap<string, Float32Array>,
  { threads, device }: SessionOptions,
): Promise<Session> {
  const externals = (graph.externals ?? []).map(({ name }) => ({ path: name, data: bytesOf(weights, name) }))
  const bound = Object.fromEntries(
    [...weights].flatMap(([name, data]) => {
      const shape = graph.inputs.find((input) => input.name === name)?.shape
      return shape === undefined ? [] : [[name, new Tensor('float32', data, shape.map(Number))] as const]
    }),
  )
  const session = await InferenceSession.create(await encodeOnnx(graph), {
    executionProviders: device === 'cuda' ? ['cuda', 'cpu'] : ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // Its plan is for shapes that do not change.
    enableMemPattern: false,
    logSeverityLevel: 3,
    ...(externals.length === 0 ? {} : { externalData: externals }),
  }).catch((error: unknown) => {
    throw device === 'cuda'
      ? noGpu(error)
      : new AppError('internal', 'The graph of the model could not be loaded.', { cause: error })
  })
  return {
    async run(inputs) {
      const given = Object.entries(inputs)
        .filter(([name]) => session.inputNames.includes(name))
        .map(([name, { data, shape }]) => [name, toTensor(data, shape)] as const)
      const results = await session.run({ ...bound, ...Object.fromEntries(given) }).catch((error: unknown) => {
        throw new AppError('unavailable', 'ONNX Runtime could not evaluate the batch; most likely memory does not suffice.', {
          cause: error,
        })
      })
      return new Map(Object.entries(results).map(([name, { data }]) => [name, toFloats(name, data)]))
    },
    close: () => session.release(),
  }
}

function bytesOf(weights: ReadonlyMap<string, Float32Array>, name: string): Uint8Array {
  const data = weights.get(name)
  if (data === undefined) throw new AppError('internal', `The weight "${name}" has not been read.`)
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

function toTensor(data: Float32Array | Int32Array, shape: readonly number[]): Tensor {
  return data instanceof Float32Array ? new Tensor('float32', data, shape) : new Tensor('int32', data, shape)
}

function toFloats(name: string, data: unknown): Float32Array {
  if (data instanceof Float32Array) return data
  throw new AppError('internal', `The output "${name}" of the graph has no 32-bit floats.`)
}

function noGpu(cause: unknown): AppError {
  return new AppError(
    'unavailable',
    'Training on the GPU needs the CUDA libraries of ONNX Runtime, CUDA 12 and cuDNN 9, and they could not be loaded. Install ' +
      'onnxruntime-node without "onnxruntime-node-install=skip" on a machine that has them, or train with the device "cpu".',
    { cause },
  )
}
