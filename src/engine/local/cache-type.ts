/** What keys and values of the attention are kept in: 16-bit floats, or 8-bit blocks (half the memory, hardly less exact). */
export type CacheType = 'f16' | 'q8_0'

/** The numbers that GGML knows the types by, and the bytes that each of their values takes. */
export const cacheTypes = { f16: { ggml: 1, bytes: 2 }, q8_0: { ggml: 8, bytes: 34 / 32 } } as const

/** The part of the free memory that the cache may take in 16 bits. */
const share = 0.25

export type CacheShape = Readonly<{
  /** Tokens that it can hold. */
  cells: number
  layers: number
  /** Heads of keys and values in a layer, and the values of one head's key and of its value. */
  heads: number
  keyLength: number
  valueLength: number
}>

export function cacheBytes({ cells, layers, heads, keyLength, valueLength }: CacheShape, type: CacheType): number {
  return Math.ceil(cells * layers * heads * (keyLength + valueLength) * cacheTypes[type].bytes)
}

/** 16 bits, unless they would take much of `freeBytes`. Blocks of 8 bits need heads of a multiple of 32 values. */
export function chooseCacheType(shape: CacheShape, freeBytes: number): CacheType {
  const fitsBlocks = shape.keyLength % 32 === 0 && shape.valueLength % 32 === 0
  return fitsBlocks && cacheBytes(shape, 'f16') > freeBytes * share ? 'q8_0' : 'f16'
}
