import type { Embedder } from '../src/engine/embedder.ts'

/** Vectors of three dimensions, without a model: the length of a text, and what its first letter is. */
export const fakeEmbedder: Embedder = {
  name: 'fake-embedder',
  async encode({ texts }) {
    const vectors = texts.map((text) => {
      const raw = [text.length, text.charCodeAt(0), 1]
      const length = Math.hypot(...raw)
      return Float32Array.from(raw, (value) => value / length)
    })
    return { vectors, tokens: texts.map(({ length }) => length), truncated: texts.map(() => false) }
  },
  countTokens: async (texts) => texts.map(({ length }) => length),
  maxTokens: async () => 1_000_000,
  async close() {},
}
