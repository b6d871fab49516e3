import type { TokenRow } from './example-tokens.ts'
import type { TrainParameters } from './protocol.ts'
import { mixSeeds, shuffledIndexes } from './seeds.ts'
import type { TokenBatch } from './trainable.ts'

/** What is learned from in one piece. Of a preference there are two rows: the chosen answer, then the rejected one. */
export type LearnedExample = Readonly<{ rows: readonly TokenRow[]; weight: number }>

/** What is evaluated at once: indexes of examples and of replay rows. */
export type Piece = Readonly<{ examples: readonly number[]; replay: readonly number[] }>

/** What one update of the parameters is made of. Epochs count from 1. */
export type Update = Readonly<{ epoch: number; endsEpoch: boolean; pieces: readonly Piece[] }>

export type PlanOptions = Pick<TrainParameters, 'epochs' | 'batchSize' | 'accumulation' | 'seed' | 'replay'>

/**
 * All updates of a run, the same for the same arguments: each epoch takes all examples in an order of its own. Replay rows are taken in
 * turn, so that at any time about `replay` of their tokens have been seen for each token of the examples.
 */
export function planUpdates(
  examples: readonly LearnedExample[],
  replayRows: readonly TokenRow[],
  { epochs, batchSize, accumulation, seed, replay }: PlanOptions,
): readonly Update[] {
  const takeReplay = createReplay(replayRows, replay)
  const updates: Update[] = []
  for (let epoch = 1; epoch <= epochs; epoch += 1) {
    const order = shuffledIndexes(examples.length, mixSeeds(seed, epoch))
    const pieces = Array.from({ length: Math.ceil(order.length / batchSize) }, (_, index) => {
      const taken = [...order.subarray(index * batchSize, (index + 1) * batchSize)]
      const tokens = taken.reduce((sum, example) => sum + tokensOf(examples[example]?.rows ?? []), 0)
      return { examples: taken, replay: takeReplay(tokens) }
    })
    for (let from = 0; from < pieces.length; from += accumulation)
      updates.push({ epoch, endsEpoch: from + accumulation >= pieces.length, pieces: pieces.slice(from, from + accumulation) })
  }
  return updates
}

/** Tells which rows come beside so many more tokens of examples. */
function createReplay(rows: readonly TokenRow[], share: number): (exampleTokens: number) => readonly number[] {
  let owed = 0
  let next = 0
  return (exampleTokens) => {
    if (rows.length === 0) return []
    owed += exampleTokens * share
    const taken: number[] = []
    for (;;) {
      const tokens = rows[next]?.tokens.length ?? 0
      // A row comes when at least half of it is owed.
      if (share === 0 || owed < tokens / 2) return taken
      owed -= tokens
      taken.push(next)
      next = (next + 1) % rows.length
    }
  }
}

export function tokensOf(rows: readonly TokenRow[]): number {
  return rows.reduce((sum, { tokens }) => sum + tokens.length, 0)
}

export type FillOptions = Pick<TrainParameters, 'maxLength' | 'packs'>

export type FilledBatch = Readonly<{
  batch: TokenBatch
  /** For each target the index of its row among those given. [targets] */
  rowOf: Int32Array
}>

/** Puts rows into one batch: each in a row of its own, or, packed, as many as fit into `maxLength` (first-fit, the longest first). */
export function fillBatch(rows: readonly TokenRow[], { maxLength, packs }: FillOptions): FilledBatch {
  const bins = packs ? firstFit(rows, maxLength) : rows.map((_, index) => [index])
  const length = Math.max(0, ...bins.map((bin) => bin.reduce((sum, index) => sum + inputLength(rows[index]), 0)))
  const size = bins.length * length
  const batch = { tokens: new Int32Array(size), positions: new Int32Array(size), segments: new Int32Array(size).fill(-1) }
  const [targetAt, targets, rowOf]: [number[], number[], number[]] = [[], [], []]
  for (const [bin, indexes] of bins.entries()) {
    let at = bin * length
    for (const [segment, index] of indexes.entries()) {
      const row = rows[index]
      if (row === undefined) continue
      const count = inputLength(row)
      batch.tokens.set(row.tokens.subarray(0, count), at)
      batch.segments.fill(segment, at, at + count)
      for (let position = 0; position < count; position += 1) batch.positions[at + position] = position
      for (const place of row.places) {
        targetAt.push(at + place - 1)
        targets.push(row.tokens[place] ?? 0)
        rowOf.push(index)
      }
      at += count
    }
  }
  return {
    batch: { rows: bins.length, length, ...batch, targetAt: Int32Array.from(targetAt), targets: Int32Array.from(targets) },
    rowOf: Int32Array.from(rowOf),
  }
}

/** From the last token nothing is predicted. */
const inputLength = (row: TokenRow | undefined) => (row?.tokens.length ?? 1) - 1

function firstFit(rows: readonly TokenRow[], capacity: number): readonly (readonly number[])[] {
  const longestFirst = [...rows.keys()].sort((one, other) => inputLength(rows[other]) - inputLength(rows[one]) || one - other)
  const bins: { indexes: number[]; free: number }[] = []
  for (const index of longestFirst) {
    const needed = inputLength(rows[index])
    const bin = bins.find(({ free }) => free >= needed)
    if (bin === undefined) bins.push({ indexes: [index], free: capacity - needed })
    else {
      bin.indexes.push(index)
      bin.free -= needed
    }
  }
  return bins.map(({ indexes }) => indexes)
}
