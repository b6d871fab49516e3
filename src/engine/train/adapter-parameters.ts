import { createRandom } from '../local/random.ts'
import type { ParameterInfo } from './build-graph.ts'
import type { AdapterParameter } from './trainable.ts'

/**
 * The matrices of a new adapter: A uniform within ±1/√in (Kaiming with a = √5, as usual for LoRA), B zero, so that the adapter
 * begins by changing nothing.
 */
export function createParameters(infos: readonly ParameterInfo[], seed: number): readonly AdapterParameter[] {
  const random = createRandom(seed)
  return infos.map(({ name, shape }) => {
    const data = new Float32Array(shape[0] * shape[1])
    if (name.endsWith('.lora_a')) {
      const bound = 1 / Math.sqrt(shape[1])
      for (let index = 0; index < data.length; index += 1) data[index] = (2 * random() - 1) * bound
    }
    return { name, shape, data }
  })
}
