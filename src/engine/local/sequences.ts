import { AppError } from '../../errors.ts'
import type { Backend } from './backend.ts'

/** What one sequence number of the context holds. */
export type Sequence = {
  readonly id: number
  /** The tokens in memory, in order, and the cell that each lies in; sequences that begin alike share cells. */
  readonly tokens: number[]
  readonly cells: number[]
  /** How many of the first tokens were computed in the way that repeats exactly: none before them in a larger batch than `repeatableRows`. */
  exact: number
  /** The epoch in which its first cell was taken. */
  epoch: number
  /** Up to how many tokens it may grow while it is in use; 0 when it is not. */
  reserved: number
  lastUsed: number
}

/**
 * With more rows than this in a batch, llama.cpp's attention on the CPU works in tiles (GGML_FA_TILE_Q), whose rounding depends on
 * where in memory the cells lie. A request that must repeat exactly is computed in batches that are no larger.
 */
export const repeatableRows = 63

export interface Sequences {
  /**
   * A sequence that begins with as much of `prompt` as is in memory (never all of it: the last token must be computed)
   * and may grow to `size` tokens. Undefined when there is no room now.
   */
  take(prompt: readonly number[], size: number, exactly: boolean): Sequence | undefined
  /** Another sequence that begins with all the tokens of this one. Throws `internal` when more are in use than there can be. */
  fork(sequence: Sequence): Sequence
  /** Notes that these tokens were computed, all in one batch of so many rows. */
  append(sequence: Sequence, tokens: readonly number[], batchRows: number): void
  /** Ends the use of a sequence. Its tokens stay, for prompts that begin alike, as long as nobody needs the room. */
  release(sequence: Sequence): void
  /** Forgets the sequence that was unused for the longest time. False when all are in use. */
  evict(): boolean
}

/**
 * Keeps account of the sequences of one context and of the cells they hold.
 *
 * Attention sums in the order of the cells, so a text repeats exactly only if its cells lie in order. Cells are taken upwards as
 * long as none is given back. So memory is freed only while `mayFree` says that no request runs that must repeat, each freeing
 * begins a new epoch, and a request that must repeat shares cells of its own epoch only.
 */
export function createSequences(backend: Backend, mayFree: () => boolean): Sequences {
  const all: Sequence[] = []
  /** How many sequences hold each cell. */
  const holders = new Map<number, number>()
  let epoch = 0
  let uses = 0
  let nextCell = 0

  const hold = (cell: number) => holders.set(cell, (holders.get(cell) ?? 0) + 1)
  const promised = () => all.reduce((sum, { reserved, tokens }) => sum + Math.max(0, reserved - tokens.length), 0)
  const freeCells = () => backend.cacheSize - holders.size - promised()

  function touch(sequence: Sequence): void {
    uses += 1
    sequence.lastUsed = uses
  }

  function forget(sequence: Sequence): void {
    const before = holders.size
    for (const cell of sequence.cells) {
      const left = (holders.get(cell) ?? 1) - 1
      if (left > 0) holders.set(cell, left)
      else holders.delete(cell)
    }
    backend.truncateSequence(sequence.id, 0)
    all.splice(all.indexOf(sequence), 1)
    if (holders.size < before) epoch += 1
  }

  function evict(): boolean {
    const idle = all.filter(({ reserved }) => reserved === 0)
    const [oldest] = idle.sort((a, b) => a.lastUsed - b.lastUsed)
    if (oldest !== undefined) forget(oldest)
    return oldest !== undefined
  }

  function freeId(): number | undefined {
    const taken = new Set(all.map(({ id }) => id))
    for (let id = 0; id < backend.sequences; id += 1) if (!taken.has(id)) return id
    return undefined
  }

  function open(size: number, needed: number): Sequence | undefined {
    let id = freeId()
    while (id === undefined || freeCells() < needed) {
      if (!mayFree() || !evict()) return undefined
      id = freeId()
    }
    const sequence: Sequence = { id, tokens: [], cells: [], exact: 0, epoch, reserved: size, lastUsed: 0 }
    touch(sequence)
    all.push(sequence)
    return sequence
  }

  function share(source: Sequence, target: Sequence, length: number): void {
    backend.copySequence(source.id, target.id, length)
    target.tokens.push(...source.tokens.slice(0, length))
    target.cells.push(...source.cells.slice(0, length))
    target.cells.forEach(hold)
    target.exact = Math.min(source.exact, length)
    target.epoch = source.epoch
  }

  /** How many first tokens of the prompt this sequence can give. */
  function usable(sequence: Sequence, prompt: readonly number[], exactly: boolean): number {
    const common = Math.min(commonLength(sequence.tokens, prompt), prompt.length - 1)
    const exact = sequence.epoch === epoch ? Math.min(common, sequence.exact) : 0
    const length = exactly ? exact : common
    // The window of a model with sliding attention may have passed: then the first tokens are gone.
    const first = length > 0 ? backend.firstPosition(sequence.id) : -1
    return first === 0 || (first > 0 && backend.slidingWindow > 0 && first <= length - backend.slidingWindow) ? length : 0
  }

  return {
    take(prompt, size, exactly) {
      let source: Sequence | undefined
      let length = 0
      for (const sequence of all) {
        const found = usable(sequence, prompt, exactly)
        if (found > length) [source, length] = [sequence, found]
      }
      if (source !== undefined) touch(source)
      const target = open(size, size - length)
      if (target === undefined) return undefined
      // Making room may have begun a new epoch, or have forgotten the source itself.
      if (source !== undefined && all.includes(source) && (!exactly || source.epoch === epoch)) share(source, target, length)
      else if (freeCells() < 0) return release(target)
      return target
    },
    fork(sequence) {
      while (freeId() === undefined && evict());
      const target = open(sequence.reserved, Number.NEGATIVE_INFINITY)
      if (target === undefined) throw new AppError('internal', `All ${backend.sequences} sequences are in use.`)
      share(sequence, target, sequence.tokens.length)
      return target
    },
    append(sequence, tokens, batchRows) {
      if (batchRows <= repeatableRows && sequence.exact === sequence.tokens.length) sequence.exact += tokens.length
      for (const token of tokens) {
        sequence.tokens.push(token)
        sequence.cells.push(nextCell)
        hold(nextCell)
        nextCell += 1
      }
    },
    release,
    evict,
  }

  function release(sequence: Sequence): undefined {
    touch(sequence)
    sequence.reserved = 0
    const last = sequence.cells.at(-1)
    // Whole within another one: keeping it too would save nothing.
    if (last === undefined || (holders.get(last) ?? 0) > 1) forget(sequence)
  }
}

function commonLength(left: readonly number[], right: readonly number[]): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index += 1) if (left[index] !== right[index]) return index
  return length
}
