import type { GgufValue } from '../gguf/gguf-output.ts'
import { type GgufTensor, writeGguf } from '../gguf/gguf-writer.ts'
import type { AdapterParameter, TrainableArchitecture } from './trainable.ts'

export type AdapterFile = Readonly<{
  architecture: TrainableArchitecture
  alpha: number
  parameters: readonly AdapterParameter[]
  /** What the adapter is called, and the model that it is for. */
  name?: string
  baseModel?: string
}>

/**
 * Writes an adapter as llama.cpp reads it: a GGUF file of 32-bit floats, put in place when it is whole.
 * Throws `storage_full`, `aborted`.
 */
export async function writeAdapter(target: string, adapter: AdapterFile, signal?: AbortSignal): Promise<void> {
  const { architecture, alpha, parameters, name, baseModel } = adapter
  const text = (value: string): GgufValue => ({ type: 'string', value })
  const metadata = new Map<string, GgufValue>([
    ['general.type', text('adapter')],
    ['general.architecture', text(architecture)],
    ...(name === undefined ? [] : ([['general.name', text(name)]] as const)),
    ...(baseModel === undefined
      ? []
      : ([
          ['general.base_model.count', { type: 'uint32', value: 1 }],
          ['general.base_model.0.name', text(baseModel)],
        ] as const)),
    ['adapter.type', text('lora')],
    ['adapter.lora.alpha', { type: 'float32', value: alpha }],
  ])
  const tensors = parameters.map(
    (parameter): GgufTensor => ({
      name: parameter.name,
      type: 'F32',
      shape: parameter.shape,
      async *produce() {
        const { buffer, byteOffset, byteLength } = parameter.data
        yield new Uint8Array(buffer, byteOffset, byteLength)
      },
    }),
  )
  await writeGguf({ target, metadata, tensors }, () => {}, signal)
}
