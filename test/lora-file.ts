import type { GgufValue } from '../src/engine/gguf/gguf-writer.ts'
import { writeGguf } from '../src/engine/gguf/gguf-writer.ts'

const rank = 4

/** Writes a LoRA adapter of noise for the small Gemma, strong enough that the text is another one. */
export async function writeAdapter(target: string, seed: number): Promise<void> {
  const random = createNoise(seed)
  const layers = [3, 9, 15]
  const tensors = layers.flatMap((layer) => {
    const name = `blk.${layer}.attn_q.weight`
    return [
      { name: `${name}.lora_a`, shape: [rank, 640] },
      { name: `${name}.lora_b`, shape: [1024, rank] },
    ]
  })
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: 'gemma3' }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: 8 }],
  ])
  await writeGguf(
    {
      target,
      metadata,
      tensors: tensors.map(({ name, shape }) => ({
        name,
        type: 'F32' as const,
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
