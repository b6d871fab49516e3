import { createVectorIndex, spawnVectorIndex } from '../../src/engine/local/vector-process.ts'
import { createSpaceVectors, type SpaceVectors } from '../../src/engine/local/vector-space.ts'
import type { VectorBatch, VectorIndex, VectorSpace } from '../../src/engine/vector-index.ts'
import { memoryOf, processTree } from '../processes.ts'

/** Vectors and queries of one file. */
export type Data = Readonly<{ dimensions: number; vectors: Float32Array; queries: readonly Float32Array[] }>

export type Searched = Readonly<{ milliseconds: readonly number[]; found: ReadonlyArray<readonly number[]> }>

export type Method = 'exact' | 'hnsw'

const never = new AbortController().signal
/** From so many numbers on a graph answers: always, or never. */
const graphNumbers = { exact: Number.POSITIVE_INFINITY, hnsw: 0 } as const
const pieceRows = 500

/** The vectors under the numbers 0, 1, 2 …, in pieces as the database gives them. */
export async function* readPieces({ dimensions, vectors }: Data): AsyncGenerator<VectorBatch> {
  const count = vectors.length / dimensions
  for (let start = 0; start < count; start += pieceRows) {
    const ids = Array.from({ length: Math.min(pieceRows, count - start) }, (_, place) => start + place)
    yield { ids, vectors: ids.map((id) => vectors.subarray(id * dimensions, (id + 1) * dimensions)) }
  }
}

/** The index itself, in this process, with how long it took to fill and to build. */
export function openHere(
  data: Data,
  method: Method,
): Readonly<{ space: SpaceVectors; addSeconds: number; buildSeconds: number }> {
  const { dimensions, vectors } = data
  const space = createSpaceVectors({ dimensions, graphNumbers: graphNumbers[method] })
  const startedAt = performance.now()
  for (let start = 0; start < vectors.length; start += pieceRows * dimensions) {
    const piece = vectors.subarray(start, start + pieceRows * dimensions)
    const ids = Float64Array.from({ length: piece.length / dimensions }, (_, place) => start / dimensions + place)
    space.add({ ids, vectors: piece })
  }
  space.endLoad()
  const addedAt = performance.now()
  while (space.improve(() => false));
  return { space, addSeconds: (addedAt - startedAt) / 1000, buildSeconds: (performance.now() - addedAt) / 1000 }
}

export function searchHere(space: SpaceVectors, { queries }: Data, k: number): Searched {
  const milliseconds: number[] = []
  const found = queries.map((vector) => {
    const startedAt = performance.now()
    const hits = space.search({ vector, k })
    milliseconds.push(performance.now() - startedAt)
    return hits.map(({ id }) => id)
  })
  return { milliseconds, found }
}

const space = (data: Data): VectorSpace => ({ key: 'bench', dimensions: data.dimensions })

/** The index in its process, as the service has it, with all vectors in memory. */
export async function openProcess(data: Data, method: Method, read: () => AsyncIterable<VectorBatch>) {
  const before = await processTree(process.pid)
  const index = createVectorIndex({
    spawn: () => spawnVectorIndex((text) => process.stderr.write(text)),
    readVectors: read,
    maxWaiting: 10,
    graphNumbers: graphNumbers[method],
  })
  const startedAt = performance.now()
  const statistics = await index.statistics(space(data), never)
  const loadSeconds = (performance.now() - startedAt) / 1000
  const pids = (await processTree(process.pid)).filter((pid) => !before.includes(pid))
  return { index, loadSeconds, statedBytes: statistics.memoryBytes, memory: () => memoryOf(pids) }
}

/** Waits until the graph answers; gives the seconds and what the index says that it takes. */
export async function waitForGraph(index: VectorIndex, data: Data) {
  const startedAt = performance.now()
  for (;;) {
    const { method, memoryBytes } = await index.statistics(space(data), never)
    if (method === 'hnsw') return { seconds: (performance.now() - startedAt) / 1000, memoryBytes }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

export async function searchProcess(index: VectorIndex, data: Data, k: number): Promise<Searched> {
  const milliseconds: number[] = []
  const found: number[][] = []
  for (const vector of data.queries) {
    const startedAt = performance.now()
    const hits = await index.search(space(data), { vector, k }, never)
    milliseconds.push(performance.now() - startedAt)
    found.push(hits.map(({ id }) => id))
  }
  return { milliseconds, found }
}
