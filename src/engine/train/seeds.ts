import { createRandom } from '../local/random.ts'

/** One seed of several numbers: FNV-1a over their 32-bit words (seeds are mixed further by who uses them). */
export function mixSeeds(...parts: readonly number[]): number {
  let hash = 0x811c9dc5
  for (const part of parts)
    for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((part >>> shift) & 0xff), 0x01000193) >>> 0
  return hash
}

/** 0 to count − 1 in an order that is the same for the same seed (Fisher and Yates). */
export function shuffledIndexes(count: number, seed: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  const random = createRandom(seed)
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1))
    const [one = 0, two = 0] = [order[last], order[other]]
    order[last] = two
    order[other] = one
  }
  return order
}
