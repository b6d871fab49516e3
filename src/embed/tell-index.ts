import type { VectorIndex, VectorSpace } from '../engine/vector-index.ts'

/** Vectors of one message. */
const vectorsPerMessage = 500

export type IndexChange = Readonly<{
  removed?: readonly number[]
  added?: Readonly<{ ids: readonly number[]; vectors: readonly Float32Array[] }>
}>

/**
 * Brings the index up to what was committed. The rows are the truth: where the index cannot be told, it is to forget the space and
 * read it again.
 */
export async function tellIndex(
  index: Pick<VectorIndex, 'add' | 'remove' | 'drop'>,
  space: VectorSpace,
  { removed = [], added = { ids: [], vectors: [] } }: IndexChange,
): Promise<void> {
  try {
    if (removed.length > 0) await index.remove(space, removed)
    for (let from = 0; from < added.ids.length; from += vectorsPerMessage) {
      const to = from + vectorsPerMessage
      await index.add(space, { ids: added.ids.slice(from, to), vectors: added.vectors.slice(from, to) })
    }
  } catch {
    await index.drop(space).catch(() => {})
  }
}
