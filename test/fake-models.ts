import type { Embedder, Embedders, EmbedRequest } from '../src/engine/embedder.ts'

export type FakeModel = Embedder & {
  /** What it was asked, in order. */
  readonly requests: EmbedRequest[]
}

export type FakeModelOptions = Readonly<{
  name?: string
  dimensions?: number
  /** Longest text; texts are counted in characters. */
  maxTokens?: number
  /** Runs before each answer. */
  before?: (request: EmbedRequest) => Promise<void> | void
}>

/**
 * A model that counts words: each word of a text adds to one of the dimensions, chosen by its characters and the model's name. Texts with
 * the same words are near each other, and no two models agree.
 */
export function createFakeModel(options: FakeModelOptions = {}): FakeModel {
  const { name = 'words', dimensions = 32, maxTokens = Number.POSITIVE_INFINITY, before = () => {} } = options
  const requests: EmbedRequest[] = []
  return {
    name,
    requests,
    async encode(request, signal) {
      requests.push(request)
      signal.throwIfAborted()
      await before(request)
      const truncated = request.texts.map(({ length }) => length > maxTokens)
      if (!request.truncate && truncated.includes(true)) throw new Error('A text is too long.')
      const vectors = request.texts.map((text) => vectorOf(name, dimensions, text.slice(0, maxTokens)))
      return { vectors, tokens: request.texts.map(({ length }) => length), truncated }
    },
    countTokens: async (texts) => texts.map(({ length }) => length),
    maxTokens: async () => maxTokens,
    async close() {},
  }
}

function vectorOf(model: string, dimensions: number, text: string): Float32Array {
  const vector = new Float32Array(dimensions)
  for (const word of text.toLowerCase().split(/\W+/)) {
    let hash = 2166136261
    for (const letter of model + word) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 16777619) >>> 0
    vector[hash % dimensions] = (vector[hash % dimensions] ?? 0) + 1
    vector[(hash >>> 8) % dimensions] = (vector[(hash >>> 8) % dimensions] ?? 0) + 0.5
  }
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

/** The first one is the usual one. */
export function embeddersOf(usual: Embedder, ...others: readonly Embedder[]): Embedders {
  const all = [usual, ...others]
  return {
    usual,
    find: async (name) => all.find((model) => model.name === name),
    list: async () => all.map(({ name }) => name).sort(),
    async close() {},
  }
}
