/**
 * Numbers in [0, 1) with 32 bits, the same for the same seed: xoshiro128** (Blackman and Vigna 2018), its state filled from
 * the seed by splitmix32.
 */
export function createRandom(seed: number): () => number {
  let mixed = seed >>> 0
  const next = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0
    let value = mixed
    value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
    value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
    return (value ^ (value >>> 16)) >>> 0
  }
  let [a, b, c, d] = [next(), next(), next(), next()]
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return result / 0x1_0000_0000
  }
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
