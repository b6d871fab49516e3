import { dot, encodeDirection } from './vector-codes.ts'

/** Rows of a block. A block grows by doubling until it has so many; what is copied stays small (at 384 dimensions 25 MB). */
export const usualBlockRows = 16_384
const firstRows = 64

/** Rows that are compared together. */
export interface Slab {
  readonly count: number
  /** `[count, dimensions]`. From the start of its buffer, as usearch's exact search heeds no offset. */
  readonly codes: Int8Array
  /** The most that the code of one of its vectors is away from it; see `encodeDirection`. */
  readonly codeError: number
  idAt(row: number): number
  score(query: Float32Array, row: number): number
}

/** Vectors of unit length in memory with their ids, without gaps. */
export interface VectorRows {
  readonly dimensions: number
  readonly count: number
  memoryBytes(): number
  rowOf(id: number): number | undefined
  idAt(row: number): number
  /** Puts the vector in the place of the one with the same id. */
  set(id: number, vector: Float32Array): void
  /** Whether it was there. */
  remove(id: number): boolean
  score(query: Float32Array, row: number): number
  vectorAt(row: number): Float32Array
  slabs(): Iterable<Slab>
  /** A copy of some rows, which lasts until the next copy. */
  gather(rows: Uint32Array): Slab
}

type Block = { count: number; ids: Float64Array; vectors: Float32Array; codes: Int8Array; codeError: number }

export function createVectorRows(dimensions: number, blockRows = usualBlockRows): VectorRows {
  const blocks: Block[] = []
  const rowOfId = new Map<number, number>()
  // Kept for the next copy: new memory costs more than what is written to it.
  let copied = new Int8Array(0)
  const blockOf = (row: number) => blocks[Math.floor(row / blockRows)]
  const startOf = (row: number) => (row % blockRows) * dimensions

  /** The block that has room for one more row at its end. */
  function blockWithRoom(): Block {
    const last = blocks.at(-1)
    if (last === undefined || last.count === blockRows) {
      const block = createBlock(blocks.length === 0 ? Math.min(firstRows, blockRows) : blockRows, dimensions)
      blocks.push(block)
      return block
    }
    if (last.count === last.ids.length) grow(last, Math.min(blockRows, last.count * 2), dimensions)
    return last
  }

  function write(block: Block, row: number, id: number, vector: Float32Array): void {
    const start = row * dimensions
    block.ids[row] = id
    block.vectors.set(vector, start)
    block.codeError = Math.max(block.codeError, encodeDirection(vector, block.codes.subarray(start, start + dimensions)))
  }

  /** Takes the last row away, and gives its block. */
  function dropLast(): void {
    const last = blocks.at(-1)
    if (last === undefined) return
    last.count -= 1
    if (last.count === 0) blocks.pop()
  }

  function score(query: Float32Array, row: number): number {
    const block = blockOf(row)
    return block === undefined ? Number.NaN : dot(query, block.vectors, startOf(row))
  }

  return {
    dimensions,
    get count() {
      return rowOfId.size
    },
    memoryBytes: () =>
      blocks.reduce((sum, { ids, vectors, codes }) => sum + ids.byteLength + vectors.byteLength + codes.byteLength, 0),
    rowOf: (id) => rowOfId.get(id),
    idAt: (row) => blockOf(row)?.ids[row % blockRows] ?? -1,
    score,
    vectorAt: (row) => blockOf(row)?.vectors.subarray(startOf(row), startOf(row) + dimensions) ?? new Float32Array(dimensions),
    set(id, vector) {
      const row = rowOfId.get(id)
      const block = row === undefined ? blockWithRoom() : blockOf(row)
      if (block === undefined) return
      if (row !== undefined) return write(block, row % blockRows, id, vector)
      write(block, block.count, id, vector)
      rowOfId.set(id, (blocks.length - 1) * blockRows + block.count)
      block.count += 1
    },
    remove(id) {
      const row = rowOfId.get(id)
      const last = blocks.at(-1)
      if (row === undefined || last === undefined) return false
      const block = blockOf(row)
      const lastRow = last.count - 1
      const lastId = last.ids[lastRow]
      if (block !== undefined && lastId !== undefined && lastId !== id) {
        const start = lastRow * dimensions
        write(block, row % blockRows, lastId, last.vectors.subarray(start, start + dimensions))
        rowOfId.set(lastId, row)
      }
      rowOfId.delete(id)
      dropLast()
      return true
    },
    *slabs() {
      for (const block of blocks) yield slabOf(block, dimensions)
    },
    gather(rows) {
      const size = rows.length * dimensions
      if (copied.length < size) copied = new Int8Array(size)
      let codeError = 0
      for (let place = 0; place < rows.length; place += 1) {
        const row = rows[place] ?? 0
        const block = blockOf(row)
        if (block === undefined) continue
        const start = startOf(row)
        copied.set(block.codes.subarray(start, start + dimensions), place * dimensions)
        codeError = Math.max(codeError, block.codeError)
      }
      const rowAt = (place: number) => rows[place] ?? 0
      return {
        count: rows.length,
        codeError,
        codes: copied.subarray(0, size),
        idAt: (place) => blockOf(rowAt(place))?.ids[rowAt(place) % blockRows] ?? 0,
        score: (query, place) => score(query, rowAt(place)),
      }
    },
  }
}

function createBlock(rows: number, dimensions: number): Block {
  const ids = new Float64Array(rows)
  return { count: 0, ids, vectors: new Float32Array(rows * dimensions), codes: new Int8Array(rows * dimensions), codeError: 0 }
}

function grow(block: Block, rows: number, dimensions: number): void {
  const larger = createBlock(rows, dimensions)
  larger.ids.set(block.ids)
  larger.vectors.set(block.vectors)
  larger.codes.set(block.codes)
  Object.assign(block, { ids: larger.ids, vectors: larger.vectors, codes: larger.codes })
}

function slabOf(block: Block, dimensions: number): Slab {
  const { count, ids, vectors, codes, codeError } = block
  return {
    count,
    codeError,
    codes: codes.subarray(0, count * dimensions),
    idAt: (row) => ids[row] ?? 0,
    score: (query, row) => dot(query, vectors, row * dimensions),
  }
}
