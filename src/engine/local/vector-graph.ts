import { Index, MetricKind, ScalarKind } from 'usearch'

/**
 * Neighbours of a node (twice as many in the lowest layer), and candidates that are looked at for each new one: HNSW's M and
 * efConstruction. Measured by `bench/vectors`; docs/vectors.md has the figures.
 */
const connectivity = 32
const expansion = 256

/** A graph of neighbours (HNSW) over one-byte codes. It finds candidates: whoever asks compares them in full. */
export interface VectorGraph {
  /** Vectors that can be found. */
  readonly count: number
  /** The share of nodes that lead on but are no results any more, from 0 to 1. */
  deadShare(): number
  memoryBytes(): number
  /** Whatever was there under the id is not found any more. */
  add(id: number, vector: Float32Array): void
  remove(id: number): void
  /**
   * Looks at `candidates` and gives the ids of the best of them, the nearest first: the more it looks at, the more surely the nearest
   * are among them. May be fewer.
   */
  search(vector: Float32Array, candidates: number, best?: number): readonly number[]
}

/** In the place of the id of a node that is dead. */
const nobody = -1

export function createVectorGraph(dimensions: number): VectorGraph {
  const index = new Index({
    dimensions,
    // The codes are of nearly equal length, so their product orders them as the cosine does, in a third of the work.
    metric: MetricKind.IP,
    quantization: ScalarKind.I8,
    connectivity,
    expansion_add: expansion,
    // What is looked at for a search is then the number of those that are wanted.
    expansion_search: 1,
    multi: false,
  })
  // Nodes have numbers of their own, given once: what usearch does when a key is removed and added again then does not matter.
  const idOfNode: number[] = []
  const nodeOfId = new Map<number, number>()

  function remove(id: number): void {
    const node = nodeOfId.get(id)
    if (node === undefined) return
    idOfNode[node] = nobody
    nodeOfId.delete(id)
  }

  const deadShare = () => (idOfNode.length === 0 ? 0 : 1 - nodeOfId.size / idOfNode.length)

  return {
    get count() {
      return nodeOfId.size
    },
    deadShare,
    // usearch tells none: the code, the neighbours' numbers, and what its table of keys takes.
    memoryBytes: () => idOfNode.length * (dimensions + 4 * (2 * connectivity + 2) + 64),
    add(id, vector) {
      remove(id)
      index.add(BigUint64Array.of(BigInt(idOfNode.length)), vector, 1)
      nodeOfId.set(id, idOfNode.length)
      idOfNode.push(id)
    },
    remove,
    search(vector, candidates, best = candidates) {
      if (nodeOfId.size === 0) return []
      const nodes = Math.min(idOfNode.length, Math.ceil(candidates / (1 - deadShare())))
      const { keys } = index.search(vector, nodes, 1)
      const ids: number[] = []
      // A loop by place: turning all keys into numbers costs more than comparing the best in full.
      for (let place = 0; place < keys.length && ids.length < best; place += 1) {
        const id = idOfNode[Number(keys[place])] ?? nobody
        if (id !== nobody) ids.push(id)
      }
      return ids
    },
  }
}
