import { describe, expect, test } from 'vitest'
import { chooseLibrary, layersThatFit } from '../../src/engine/local/devices.ts'
import type { LibraryVariant } from '../../src/engine/local/libllama.ts'
import { adviseOnMemory, estimateMemory, type ModelShape } from '../../src/engine/local/memory-estimate.ts'

const gibibyte = 1024 ** 3

describe('the libraries for a device', () => {
  const search = (installed: readonly LibraryVariant[], mayHaveGpu = true) => ({
    find: (variant: LibraryVariant) => (installed.includes(variant) ? `/libraries/${variant}` : undefined),
    howToInstall: (variant: LibraryVariant) => `Install ${variant}.`,
    mayHaveGpu,
  })

  test.each([
    ['auto', ['cpu', 'cuda', 'vulkan'], true, 'cuda'],
    ['auto', ['cpu', 'vulkan'], true, 'vulkan'],
    ['auto', ['cpu', 'cuda', 'vulkan'], false, 'cpu'],
    ['auto', ['cpu'], true, 'cpu'],
    ['cpu', ['cpu', 'cuda'], true, 'cpu'],
    ['vulkan', ['cpu', 'vulkan'], false, 'vulkan'],
  ] as const)('DEVICE=%s with %j, GPU possible: %j, are those for %s', (device, installed, mayHaveGpu, variant) => {
    expect(chooseLibrary(device, search(installed, mayHaveGpu))).toEqual({ variant, folder: `/libraries/${variant}` })
  })

  test('that are not installed are named', () => {
    expect(() => chooseLibrary('cuda', search(['cpu']))).toThrow(
      'No llama.cpp library for DEVICE=cuda is installed. Install cuda.',
    )
    expect(() => chooseLibrary('auto', search([]))).toThrow('Install cpu.')
  })
})

describe('layers on a GPU', () => {
  const size = { layers: 31, weightBytes: 7 * gibibyte, cacheBytes: gibibyte }

  test('are as many as fit beside the room to compute in', () => {
    expect(layersThatFit(size, 24 * gibibyte)).toBe(32)
    expect(layersThatFit(size, 4.6 * gibibyte)).toBe(16)
    expect(layersThatFit(size, 0.5 * gibibyte)).toBe(0)
  })
})

const shape: ModelShape & { parameters: number } = {
  parameters: 8e9,
  tensorBytes: 8.5 * gibibyte,
  contextLength: 131_072,
  embeddingLength: 4096,
  feedForwardLength: 14_336,
  headsKvTotal: 32 * 8,
  keyLength: 128,
  valueLength: 128,
  vocabularySize: 128_256,
  slidingWindow: 0,
}
const options = { contextSize: undefined, cacheType: 'auto', maxParallel: 16 } as const

describe('the memory of a model', () => {
  test('is the sum of what its header tells', () => {
    const estimate = estimateMemory(shape, options)
    expect(estimate.weightBytes).toBe(shape.tensorBytes)
    expect(estimate.cacheBytes).toBe(8192 * 256 * 256 * 2)
    expect(estimate.asideBytes).toBe(estimate.cacheBytes)
    const parts = [estimate.weightBytes, estimate.cacheBytes, estimate.asideBytes, estimate.bufferBytes, estimate.processBytes]
    expect(estimate.totalBytes).toBe(parts.reduce((sum, bytes) => sum + bytes))
    const longer = estimateMemory(shape, { ...options, contextSize: 32_768 })
    expect(longer.cacheBytes).toBe(4 * estimate.cacheBytes)
  })

  test('that is too much has an advice: a smaller cache, fewer answers at once, a smaller quantization, or none', () => {
    const { totalBytes } = estimateMemory(shape, options)
    expect(adviseOnMemory(shape, options, totalBytes - 0.2 * gibibyte)).toContain('KV_CACHE_TYPE=q8_0 it')
    expect(adviseOnMemory(shape, options, 6.5 * gibibyte)).toMatch(/Quantized to Q4_K_M it would take about [56]\.\d\d GB/)
    expect(adviseOnMemory(shape, options, 1 * gibibyte)).toContain('smaller model')
  })
})
