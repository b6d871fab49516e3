import type { GgufValue } from '../gguf/gguf-output.ts'
import { type GgufTensor, writeGguf } from '../gguf/gguf-writer.ts'
import type { AdapterOrigin } from './protocol.ts'
import type { AdapterParameter, TrainableArchitecture } from './trainable.ts'

export type AdapterFile = Readonly<{
  architecture: TrainableArchitecture
  alpha: number
  parameters: readonly AdapterParameter[]
  origin?: AdapterOrigin
}>

/**
 * Writes an adapter as llama.cpp reads it: a GGUF file of 32-bit floats, put in place when it is whole.
 * Throws `storage_full`, `aborted`.
 */
export async function writeAdapter(target: string, adapter: AdapterFile, signal?: AbortSignal): Promise<void> {
  const { architecture, alpha, parameters, origin } = adapter
  const text = (value: string): GgufValue => ({ type: 'string', value })
  const metadata = new Map<string, GgufValue>([
    ['general.type', text('adapter')],
    ['general.architecture', text(architecture)],
    ...(origin === undefined
      ? []
      : ([
          ['general.name', text(origin.name)],
          ['general.base_model.count', { type: 'uint32', value: 1 }],
          ['general.base_model.0.name', text(origin.baseModel)],
          ['simpleia.training_run', text(origin.run)],
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
