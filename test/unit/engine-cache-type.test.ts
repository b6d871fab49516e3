import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cacheBytes, chooseCacheType } from '../../src/engine/local/cache-type.ts'

const gigabyte = 2 ** 30
/** Gemma 3 270M with a context of 8,192 tokens. */
const small = { cells: 8192, layers: 18, heads: 1, keyLength: 256, valueLength: 256 }

describe('keys and values of the attention', () => {
  test('take the bytes that llama.cpp says', () => {
    expect(cacheBytes(small, 'f16')).toBe(144 * 2 ** 20)
    expect(cacheBytes(small, 'q8_0')).toBe(76.5 * 2 ** 20)
  })

  test('are kept in 16 bits where memory suffices, and in 8 where it is short', () => {
    expect(chooseCacheType(small, 8 * gigabyte)).toBe('f16')
    expect(chooseCacheType(small, gigabyte / 4)).toBe('q8_0')
    expect(chooseCacheType({ ...small, cells: 131_072 }, 8 * gigabyte)).toBe('q8_0')
  })

  test('stay in 16 bits where a head does not fill whole blocks', () => {
    expect(chooseCacheType({ ...small, keyLength: 80, valueLength: 80 }, 0)).toBe('f16')
  })

  test('never take more in 8 bits than in 16', () => {
    const size = fc.integer({ min: 1, max: 1 << 18 })
    fc.assert(
      fc.property(size, size, (cells, keyLength) => {
        const shape = { cells, layers: 3, heads: 2, keyLength, valueLength: keyLength }
        expect(cacheBytes(shape, 'q8_0')).toBeLessThanOrEqual(cacheBytes(shape, 'f16'))
      }),
    )
  })
})
