import type { ReadVectors, VectorBatch, VectorIndex, VectorSpace } from '../src/engine/vector-index.ts'

export type FakeVectorIndex = VectorIndex & {
  /** What the index holds of each space that is in memory, by its key. */
  readonly spaces: Map<string, Map<number, Float32Array>>
}

/** Compares with every vector, in this process. */
export function createFakeVectorIndex(readVectors: ReadVectors): FakeVectorIndex {
  const spaces = new Map<string, Map<number, Float32Array>>()

  const put = (vectors: Map<number, Float32Array>, batch: VectorBatch) => {
    for (const [index, id] of batch.ids.entries()) vectors.set(id, batch.vectors[index] ?? new Float32Array())
  }

  async function open(space: VectorSpace): Promise<Map<number, Float32Array>> {
    const known = spaces.get(space.key)
    if (known !== undefined) return known
    const vectors = new Map<number, Float32Array>()
    for await (const batch of readVectors(space)) put(vectors, batch)
    spaces.set(space.key, vectors)
    return vectors
  }

  return {
    spaces,
    async search(space, { vector, k, within }, signal) {
      signal.throwIfAborted()
      const allowed = within === undefined ? undefined : new Set(within)
      return [...(await open(space))]
        .filter(([id]) => allowed?.has(id) ?? true)
        .map(([id, other]) => ({ id, score: other.reduce((sum, value, index) => sum + value * (vector[index] ?? 0), 0) }))
        .sort((one, other) => other.score - one.score || one.id - other.id)
        .slice(0, k)
    },
    async add({ key }, batch) {
      const vectors = spaces.get(key)
      if (vectors !== undefined) put(vectors, batch)
    },
    async remove({ key }, ids) {
      for (const id of ids) spaces.get(key)?.delete(id)
    },
    async drop({ key }) {
      spaces.delete(key)
    },
    async statistics(space) {
      const { size } = await open(space)
      return { vectors: size, dimensions: space.dimensions, method: 'exact', memoryBytes: size * space.dimensions * 4 }
    },
    async close() {},
  }
}
