import type { Embedder, Embedders, Reranker, Rerankers } from '../src/engine/embedder.ts'

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

/** Only the one above. */
export const fakeEmbedders: Embedders = {
  usual: fakeEmbedder,
  find: async (name) => (name === fakeEmbedder.name ? fakeEmbedder : undefined),
  list: async () => [fakeEmbedder.name],
  async close() {},
}

/** How many of the words of the query a text has. */
export const fakeReranker: Reranker = {
  name: 'fake-reranker',
  async rerank({ query, texts }) {
    const words = query.split(' ')
    const share = (text: string) => words.filter((word) => text.includes(word)).length / words.length
    return { scores: texts.map(share), tokens: texts.map((text) => query.length + text.length) }
  },
  async close() {},
}

export const fakeRerankers: Rerankers = {
  find: async (name = fakeReranker.name) => (name === fakeReranker.name ? fakeReranker : undefined),
  list: async () => [fakeReranker.name],
  async close() {},
}
