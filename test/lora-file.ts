import type { GgufValue } from '../src/engine/gguf/gguf-writer.ts'
import { writeGguf } from '../src/engine/gguf/gguf-writer.ts'

const rank = 4

/** Writes a LoRA adapter of noise for the small Gemma, strong enough that the text is another one. */
export async function writeAdapter(target: string, seed: number): Promise<void> {
  const tensors = [3, 9, 15].map((layer) => ({ name: `blk.${layer}.attn_q.weight`, shape: [640, 1024] }))
  await writeNoise(target, { architecture: 'gemma3', tensors, seed })
}

export type Noise = Readonly<{
  architecture: string
  /** What it changes; shapes as GGUF files have them, the fastest dimension first. */
  tensors: ReadonlyArray<Readonly<{ name: string; shape: readonly number[] }>>
  seed: number
  /** What is added is multiplied with alpha / 4. */
  alpha?: number
  metadata?: ReadonlyMap<string, GgufValue>
}>

/** Writes a LoRA adapter of noise. */
export async function writeNoise(target: string, { architecture, tensors, seed, alpha = 8, metadata }: Noise): Promise<void> {
  const random = createNoise(seed)
  const factors = tensors.flatMap(({ name, shape: [columns = 1, rows = 1] }) =>
    name === 'token_embd.weight'
      ? [
          { name: `${name}.lora_a`, shape: [rows, rank] },
          { name: `${name}.lora_b`, shape: [columns, rank] },
        ]
      : [
          { name: `${name}.lora_a`, shape: [rank, columns] },
          { name: `${name}.lora_b`, shape: [rows, rank] },
        ],
  )
  const keys = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: alpha }],
    ...(metadata ?? []),
  ])
  await writeGguf(
    {
      target,
      metadata: keys,
      tensors: factors.map(({ name, shape }) => ({
        name,
        type: 'F32',
        shape,
        async *produce() {
          const [width = 0, height = 0] = shape
          yield new Uint8Array(Float32Array.from({ length: width * height }, random).buffer)
        },
      })),
    },
    () => {},
  )
}

/** Numbers from −0.25 to 0.25, the same for the same seed (mulberry32). */
function createNoise(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 33 - 0.25
  }
}
