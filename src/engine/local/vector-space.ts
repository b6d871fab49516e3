import type { VectorHit, VectorSpaceStatistics } from '../vector-index.ts'
import { type BreadthMeasure, candidatesFor, comparedFor, createBreadthMeasure } from './vector-breadth.ts'
import { markRows, searchRows } from './vector-exact.ts'
import { createVectorGraph, type VectorGraph } from './vector-graph.ts'
import { createNearest } from './vector-nearest.ts'
import type { VectorPiece } from './vector-protocol.ts'
import { createVectorRows } from './vector-rows.ts'

/** Vectors that are not in the graph yet are compared one by one as long as there are no more; with more, all are. */
const pendingLimit = 2048

/** With more dead nodes than this share, searches look at too many: the graph is made anew. */
const deadLimit = 0.25

/** When the space has grown by this factor, the graph is made anew, to measure how broadly it must be searched. */
const growthLimit = 3

/** One candidate of the graph takes as long as comparing so many rows. */
const rowsPerCandidate = 150

/** Candidates that a filter lets through, for each hit that is wanted: fewer could miss some that lie a little further. */
const filteredPerHit = 2

export type SpaceOptions = Readonly<{
  dimensions: number
  /** From so many numbers (vectors times dimensions) on, a graph answers; below half of it no more. */
  graphNumbers: number
  /** For tests: where blocks end. */
  blockRows?: number
}>

export type SpaceQuery = Readonly<{ vector: Float32Array; k: number; within?: Float64Array }>

/** The vectors of one space, and how they are searched. */
export interface SpaceVectors {
  add(piece: VectorPiece): void
  remove(ids: Float64Array): void
  /** All that the database holds has come: from now on there may be a graph. */
  endLoad(): void
  search(query: SpaceQuery): readonly VectorHit[]
  statistics(): VectorSpaceStatistics
  /** Puts vectors into the graph until it is late. Gives whether there is more to do. */
  improve(isLate: () => boolean): boolean
}

export function createSpaceVectors({ dimensions, graphNumbers, blockRows }: SpaceOptions): SpaceVectors {
  const rows = createVectorRows(dimensions, blockRows)
  let isLoaded = false
  let graph: VectorGraph | undefined
  /** What is not in the graph yet. */
  const pending = new Set<number>()
  /** How far the graph is searched; before that is known, and where no breadth is enough, it is not. */
  let measure: BreadthMeasure | undefined
  let measuredCount = 0
  const breadthNow = () => measure?.breadth ?? Number.POSITIVE_INFINITY

  /** Decides whether there is a graph, and begins it. */
  function arrange(): void {
    const numbers = rows.count * dimensions
    const isTooSmall = numbers < graphNumbers / 2
    const hasGrown = measure?.breadth !== undefined && rows.count > growthLimit * measuredCount
    const isWorn = graph !== undefined && (hasGrown || graph.deadShare() > deadLimit)
    if (graph !== undefined && (isTooSmall || isWorn)) {
      graph = undefined
      measure = undefined
      pending.clear()
    }
    if (graph !== undefined || !isLoaded || isTooSmall || (numbers < graphNumbers && !isWorn)) return
    graph = createVectorGraph(dimensions)
    measure = createBreadthMeasure(rows, graph)
    measuredCount = rows.count
    for (const slab of rows.slabs()) for (let row = 0; row < slab.count; row += 1) pending.add(slab.idAt(row))
  }

  /** What the graph finds, or undefined when it should not be asked: not ready, or no quicker. */
  function searchGraph(vector: Float32Array, k: number): readonly VectorHit[] | undefined {
    const wanted = candidatesFor(k, breadthNow())
    if (graph === undefined || pending.size > pendingLimit || wanted * rowsPerCandidate > rows.count) return undefined
    const nearest = createNearest(k)
    for (const id of graph.search(vector, wanted, comparedFor(k))) nearest.add(id, scoreOf(vector, id))
    if (pending.size > 0) searchRows(rows, vector, nearest, markRows(rows, Float64Array.from(pending)))
    return nearest.hits.length < Math.min(k, rows.count) ? undefined : nearest.hits
  }

  function searchWithin(vector: Float32Array, k: number, within: Float64Array): readonly VectorHit[] {
    const marked = markRows(rows, within)
    const { marks, count } = marked
    const nearest = createNearest(k)
    const wanted = Math.ceil((candidatesFor(k, breadthNow()) * rows.count) / Math.max(1, count))
    if (graph !== undefined && pending.size === 0 && wanted * rowsPerCandidate < count) {
      const found = graph.search(vector, wanted).filter((id) => marks[rows.rowOf(id) ?? -1] === 1)
      for (const id of found) nearest.add(id, scoreOf(vector, id))
      if (found.length >= filteredPerHit * k) return nearest.hits
    }
    searchRows(rows, vector, nearest, marked)
    return nearest.hits
  }

  function scoreOf(vector: Float32Array, id: number): number {
    const row = rows.rowOf(id)
    return row === undefined ? Number.NEGATIVE_INFINITY : rows.score(vector, row)
  }

  return {
    add({ ids, vectors }) {
      for (const [place, id] of ids.entries()) {
        rows.set(id, vectors.subarray(place * dimensions, (place + 1) * dimensions))
        graph?.remove(id)
        if (graph !== undefined) pending.add(id)
      }
      arrange()
    },
    remove(ids) {
      for (const id of ids) {
        rows.remove(id)
        graph?.remove(id)
        pending.delete(id)
      }
      arrange()
    },
    endLoad() {
      isLoaded = true
      arrange()
    },
    search({ vector, k, within }) {
      if (within !== undefined) return searchWithin(vector, k, within)
      const found = searchGraph(vector, k)
      if (found !== undefined) return found
      const nearest = createNearest(k)
      searchRows(rows, vector, nearest)
      return nearest.hits
    },
    statistics: () => ({
      vectors: rows.count,
      dimensions,
      method: Number.isFinite(breadthNow()) && pending.size <= pendingLimit ? 'hnsw' : 'exact',
      memoryBytes: rows.memoryBytes() + (graph?.memoryBytes() ?? 0),
    }),
    improve(isLate) {
      if (graph === undefined || measure === undefined) return false
      for (const id of pending) {
        if (measure.breadth === undefined && measure.samples.has(id)) continue
        if (isLate()) return true
        const row = rows.rowOf(id)
        if (row !== undefined) graph.add(id, rows.vectorAt(row))
        pending.delete(id)
      }
      // All but the samples are in the graph now, and those that were removed meanwhile do no harm.
      while (measure.breadth === undefined) {
        if (isLate()) return true
        measure.step()
      }
      return pending.size > 0
    },
  }
}
