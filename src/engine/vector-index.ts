/** Vectors that belong together, in memory. Those of another space are never found. */
export type VectorSpace = Readonly<{
  /** Names the space, for instance a collection and the model of its vectors. */
  key: string
  dimensions: number
}>

/** Vectors with the numbers that they go by: whole numbers from 0 to 2^53 - 1. */
export type VectorBatch = Readonly<{ ids: readonly number[]; vectors: readonly Float32Array[] }>

export type VectorQuery = Readonly<{
  /** Of unit length. */
  vector: Float32Array
  /** How many are wanted; fewer come when the space has fewer. */
  k: number
  /** Only these count, when given: the ids that a filter lets through. */
  within?: readonly number[]
}>

/** A vector that was found. `score` is the cosine, from -1 to 1. */
export type VectorHit = Readonly<{ id: number; score: number }>

export type VectorSpaceStatistics = Readonly<{
  vectors: number
  dimensions: number
  /** How it answers now: by comparing all, or along a graph of neighbours (HNSW). */
  method: 'exact' | 'hnsw'
  memoryBytes: number
}>

/**
 * Finds the nearest of many vectors of unit length. The database is the record of truth: a space is read from there when it is first
 * asked for, and again when the process that holds it has died.
 */
export interface VectorIndex {
  /**
   * Best first; equal scores by id. Throws `invalid` (other dimensions, or not of unit length), `busy`, `unavailable` (its process
   * died; the next call begins anew), `aborted`, and what reading the space throws.
   */
  search(space: VectorSpace, query: VectorQuery, signal: AbortSignal): Promise<readonly VectorHit[]>
  /** After the rows were committed. An id that is there already gets the new vector. A space that is not in memory stays out of it. */
  add(space: VectorSpace, batch: VectorBatch): Promise<void>
  /** After the rows were deleted. Ids that are not there are no error. */
  remove(space: VectorSpace, ids: readonly number[]): Promise<void>
  /** Forgets the whole space; the next search reads it again. */
  drop(space: VectorSpace): Promise<void>
  statistics(space: VectorSpace, signal: AbortSignal): Promise<VectorSpaceStatistics>
  close(): Promise<void>
}

/** Reads what the database holds of a space, in pieces of some hundred. */
export type ReadVectors = (space: VectorSpace) => AsyncIterable<VectorBatch>
