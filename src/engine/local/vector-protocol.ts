import type { ErrorCode } from '../../errors.ts'
import type { VectorSpaceStatistics } from '../vector-index.ts'

/** Vectors one after the other, `[ids, dimensions]`, with their ids. */
export type VectorPiece = Readonly<{ ids: Float64Array; vectors: Float32Array }>

/** What is done with a space. Each is answered, under the number of the request. */
export type VectorRequest =
  | Readonly<{ type: 'space-open'; dimensions: number; graphNumbers: number }>
  | (Readonly<{ type: 'vectors-add' }> & VectorPiece)
  | Readonly<{ type: 'vectors-remove'; ids: Float64Array }>
  /** All that the database holds has come. */
  | Readonly<{ type: 'space-loaded' }>
  | Readonly<{ type: 'space-drop' }>
  | Readonly<{ type: 'vectors-search'; vector: Float32Array; k: number; within?: Float64Array }>
  | Readonly<{ type: 'space-describe' }>

export type VectorAnswer =
  | Readonly<{ type: 'done' }>
  | Readonly<{ type: 'vectors-found'; ids: Float64Array; scores: Float64Array }>
  | Readonly<{ type: 'space-described'; statistics: VectorSpaceStatistics }>
  | Readonly<{ type: 'failed'; code: ErrorCode; message: string }>

/** `space` is a number that is given once: what comes late for a space that was dropped reaches no other. */
export type ToVectorWorker = Readonly<{ id: number; space: number; request: VectorRequest }>
export type FromVectorWorker = Readonly<{ id: number; answer: VectorAnswer }>
