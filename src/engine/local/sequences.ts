import { AppError } from '../../errors.ts'
import type { ContextMemory } from '../engine-work.ts'
import type { Backend } from './backend.ts'
import { commonLength } from './common-length.ts'
import { type AsideBeginning, createSetAside } from './set-aside.ts'

/** What one sequence number of the context holds. */
export type Sequence = {
  readonly id: number
  /** With which adapter on the model its tokens were computed; undefined: none. */
  readonly adapter: string | undefined
  /** The tokens in memory, in order, and the cell that each lies in; sequences that begin alike share cells. */
  readonly tokens: number[]
  readonly cells: number[]
  /** How many of the first tokens were computed in the way that repeats exactly, they and all before them. */
  exact: number
  /** The epoch in which its first cell was taken. */
  epoch: number
  /** Up to how many tokens it may grow while it is in use; 0 when it is not. */
  reserved: number
  /** Up to how many it may come to need, if it must repeat; else 0. */
  readonly most: number
  /** How many forks of it are still to come, and the tokens that each will add. */
  forks: number
  readonly room: number
  lastUsed: number
}

/**
 * From 64 rows in a batch on, llama.cpp's attention on the CPU works in tiles (GGML_FA_TILE_Q), whose rounding depends on where in
 * memory the cells lie. A request that must repeat exactly is computed in batches of no more rows than this: whole groups, and no tile.
 */
export const repeatableRows = 60

/** The part of memory that is made free when a request that must repeat starts, and no other runs. */
const plenty = 0.5

/** So many tokens of a beginning in memory are worth more than room for others. */
const worthKeeping = 256

/** By so many tokens at a time grows the room of an answer that is longer than it. */
const growth = 32

/** What a sequence alone holds is set aside from so many tokens on; fewer are computed again as fast. */
const worthSettingAside = 64

type Beginning = Readonly<{ sequence: Sequence; length: number }>

/** What a request needs; `isSettled`: nothing is to be moved out for it where there is room at all. */
type Room = Readonly<{ ids: number; cells: () => number; exactly: boolean; isSettled: boolean }>

export type Taking = Readonly<{
  prompt: readonly number[]
  /** Only what was computed with the same one can serve again. */
  adapter: string | undefined
  /** Tokens that each answer may add, and those that room is kept for at first. */
  limit: number
  room: number
  /** Answers to the prompt: all but one will be forks. */
  choices: number
  /** Whether it must repeat. */
  exactly: boolean
}>

type Wanted = Pick<Taking, 'prompt' | 'adapter' | 'exactly'>

export interface Sequences {
  /**
   * A sequence that begins with as much of the prompt as is in memory; never all of it, because the last token must be computed.
   * Undefined when there is no room now.
   */
  take(taking: Taking): Sequence | undefined
  /** Another sequence that begins with all the tokens of this one; as many as `choices` promised. */
  fork(sequence: Sequence): Sequence
  /**
   * Makes sure that the sequence may hold one token more, also beyond the room that was kept for it. False when there is none now:
   * memory is full, and what lies in it unused must stay while a request runs that must repeat.
   */
  grow(sequence: Sequence): boolean
  /** Notes that these tokens were computed; `repeats`: in the way that repeats exactly. */
  append(sequence: Sequence, tokens: readonly number[], repeats: boolean): void
  /** Ends the use of a sequence. Its tokens stay, for prompts that begin alike, as long as nobody needs the room. */
  release(sequence: Sequence): void
  /** Moves the sequence out of memory that was unused for the longest time, one that others contain first. False when all are in use. */
  evict(): boolean
  memory(): ContextMemory
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
  const aside = createSetAside(backend.cacheSize)
  /** How many sequences hold each cell. */
  const holders = new Map<number, number>()
  let epoch = 0
  let uses = 0
  let nextCell = 0

  const hold = (cell: number) => holders.set(cell, (holders.get(cell) ?? 0) + 1)
  const promised = ({ reserved, tokens, forks, room }: Sequence) => Math.max(0, reserved - tokens.length) + forks * room
  const freeCells = () => backend.cacheSize - holders.size - all.reduce((sum, one) => sum + promised(one), 0)
  /** Cells that a request could have if all went that nobody uses. */
  const cellsAtMost = () => {
    const running = all.filter(({ reserved }) => reserved > 0)
    const used = new Set(running.flatMap(({ cells }) => cells))
    return backend.cacheSize - used.size - running.reduce((sum, one) => sum + promised(one), 0)
  }
  const freeIds = () => backend.sequences - all.reduce((sum, { forks }) => sum + 1 + forks, 0)

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

  /** Whether others hold all its cells too: forgetting it frees none. */
  const isContained = ({ cells }: Sequence) => (holders.get(cells.at(-1) ?? -1) ?? 2) > 1

  function evict(): boolean {
    const idle = all.filter(({ reserved }) => reserved === 0)
    const order = (a: Sequence, b: Sequence) => Number(isContained(b)) - Number(isContained(a)) || a.lastUsed - b.lastUsed
    const [first] = idle.sort(order)
    if (first !== undefined) setAside(first)
    return first !== undefined
  }

  /** Moves out of memory what nobody uses, with what serves again later: attention passes over all that is in memory. */
  function setAside(sequence: Sequence): void {
    const { id, adapter, tokens, exact } = sequence
    if (ownTokens(sequence) >= worthSettingAside && backend.firstPosition(id) === 0) {
      aside.keep({ adapter, tokens: [...tokens], exact, bytes: backend.saveSequence(id) })
    }
    forget(sequence)
  }

  const ownTokens = ({ cells }: Sequence) => cells.reduce((count, cell) => count + Number(holders.get(cell) === 1), 0)

  /** Sets aside what nobody uses. */
  function clear(except: Sequence | undefined): void {
    const idle = all.filter((sequence) => sequence.reserved === 0 && sequence !== except)
    for (const sequence of idle.toSorted((a, b) => a.lastUsed - b.lastUsed)) setAside(sequence)
  }

  /** Brings back what was set aside, which may share what it begins with. False when there is no room after all. */
  function bringBack({ aside: saved, length }: AsideBeginning, target: Sequence, shared: Beginning | undefined): boolean {
    if (!backend.restoreSequence(target.id, saved.bytes)) return false
    target.epoch = epoch
    addTokens(target, saved.tokens)
    if (length === saved.tokens.length) aside.forget(saved)
    else {
      aside.touch(saved)
      cut(target, length)
    }
    target.exact = Math.min(saved.exact, length)
    if (shared !== undefined) shareToo(shared, target)
    return true
  }

  /** Lets a sequence use the cells of another one for the tokens with which both begin, and gives back its own. */
  function shareToo({ sequence: source, length }: Beginning, target: Sequence): void {
    backend.copySequence(source.id, target.id, length)
    for (const [index, cell] of source.cells.slice(0, length).entries()) {
      holders.delete(target.cells[index] ?? -1)
      target.cells[index] = cell
      hold(cell)
    }
    epoch += 1
    target.epoch = epoch
    target.exact = 0
  }

  function cut(sequence: Sequence, length: number): void {
    backend.truncateSequence(sequence.id, length)
    for (const cell of sequence.cells.splice(length)) holders.delete(cell)
    sequence.tokens.splice(length)
    epoch += 1
    sequence.epoch = epoch
  }

  function addTokens(sequence: Sequence, tokens: readonly number[]): void {
    for (const token of tokens) {
      sequence.tokens.push(token)
      sequence.cells.push(nextCell)
      hold(nextCell)
      nextCell += 1
    }
  }

  function makeRoom({ ids, cells, exactly, isSettled }: Room): boolean {
    // Each time anew: what is moved out may be what the request would have shared.
    const has = (share: number) =>
      freeIds() >= Math.max(ids, share * backend.sequences) && freeCells() >= Math.max(cells(), share * backend.cacheSize)
    const share = exactly ? plenty : 0
    // While one that must repeat runs, nothing can be freed for those that come after it: so before it starts, and plenty.
    if ((isSettled || !mayFree() || has(share)) && has(0)) return true
    if (!mayFree()) return false
    while (!has(share) && evict());
    return has(0)
  }

  function open(use: Pick<Sequence, 'reserved' | 'most' | 'forks' | 'room' | 'adapter'>): Sequence {
    const taken = new Set(all.map(({ id }) => id))
    let id = 0
    while (taken.has(id)) id += 1
    if (id >= backend.sequences) throw new AppError('internal', `All ${backend.sequences} sequences are in use.`)
    const sequence: Sequence = { ...use, id, tokens: [], cells: [], exact: 0, epoch, lastUsed: 0 }
    touch(sequence)
    all.push(sequence)
    return sequence
  }

  function share(source: Sequence, target: Sequence, length: number): void {
    backend.copySequence(source.id, target.id, length)
    // One by one: as arguments of one call, so many numbers would not fit on the stack.
    for (const token of source.tokens.slice(0, length)) target.tokens.push(token)
    for (const cell of source.cells.slice(0, length)) target.cells.push(cell)
    target.cells.forEach(hold)
    target.exact = Math.min(source.exact, length)
    target.epoch = source.epoch
  }

  /** How many first tokens of the prompt this sequence can give. */
  function usable(sequence: Sequence, { prompt, adapter, exactly }: Wanted): number {
    if (sequence.adapter !== adapter) return 0
    const common = Math.min(commonLength(sequence.tokens, prompt), prompt.length - 1)
    const exact = sequence.epoch === epoch ? Math.min(common, sequence.exact) : 0
    const shared = exactly ? exact : common
    const length = shared < backend.worthSharing ? 0 : shared
    // The window of a model with sliding attention may have passed: then the first tokens are gone.
    const first = length > 0 ? backend.firstPosition(sequence.id) : -1
    return first === 0 || (first > 0 && backend.slidingWindow > 0 && first <= length - backend.slidingWindow) ? length : 0
  }

  function longest(wanted: Wanted): Beginning | undefined {
    let best: Beginning | undefined
    for (const sequence of all) {
      const length = usable(sequence, wanted)
      if (length > (best?.length ?? 0)) best = { sequence, length }
    }
    return best
  }

  return {
    take(taking) {
      const { prompt, adapter, limit, room, choices, exactly } = taking
      const size = Math.min(prompt.length + room, backend.cacheSize)
      const found = longest(taking)
      if (found !== undefined) touch(found.sequence)
      // Freeing begins a new epoch: then what a request that must repeat has found here is of no use to it.
      const stays = exactly && found !== undefined && (aside.longest(taking)?.length ?? 0) < found.length + worthSettingAside
      const mayMove = mayFree() && !stays
      if (mayMove) clear(exactly ? undefined : found?.sequence)
      const away = mayMove ? aside.longest(taking) : undefined
      const most = Math.min(size + (choices - 1) * room, backend.cacheSize)
      const isAway =
        away !== undefined &&
        away.length >= (longest(taking)?.length ?? 0) + worthSettingAside &&
        Math.max(most, away.aside.tokens.length) <= cellsAtMost()
      const cells = () => (isAway ? Math.max(most, away.aside.tokens.length) : most - (longest(taking)?.length ?? 0))
      // Freeing would begin a new epoch, and lose a long beginning for a request that must repeat.
      const isSettled = stays && found.length >= worthKeeping
      if (!makeRoom({ ids: choices, cells, exactly, isSettled })) return undefined
      const target = open({ reserved: size, most: exactly ? prompt.length + limit : 0, forks: choices - 1, room, adapter })
      // Making room may have forgotten what was found, or begun a new epoch.
      const source = longest(taking)
      if (isAway && bringBack(away, target, exactly ? undefined : source)) return target
      if (source !== undefined) share(source.sequence, target, source.length)
      return target
    },
    fork(sequence) {
      sequence.forks -= 1
      const { reserved, most, adapter } = sequence
      const target = open({ reserved, most, forks: 0, room: 0, adapter })
      share(sequence, target, sequence.tokens.length)
      return target
    },
    grow(sequence) {
      if (sequence.tokens.length < sequence.reserved) return true
      // Those that must repeat come first: beside them nothing can be freed.
      const kept =
        sequence.most > 0
          ? 0
          : all.reduce((sum, { most, reserved }) => sum + (reserved > 0 ? Math.max(0, most - reserved) : 0), 0)
      while (freeCells() - kept < 1) if (!mayFree() || !evict()) return false
      sequence.reserved = sequence.tokens.length + Math.min(growth, freeCells() - kept)
      return true
    },
    append(sequence, tokens, repeats) {
      // Cells of several epochs do not lie in order.
      if (sequence.epoch !== epoch) sequence.exact = 0
      else if (repeats && sequence.exact === sequence.tokens.length) sequence.exact += tokens.length
      addTokens(sequence, tokens)
    },
    release,
    evict,
    memory() {
      const used = all.reduce((sum, { reserved, tokens }) => sum + (reserved > 0 ? tokens.length : 0), 0)
      const heldTokens = holders.size
      return { usedTokens: Math.min(used, heldTokens), heldTokens, totalTokens: backend.cacheSize }
    },
  }

  function release(sequence: Sequence): undefined {
    touch(sequence)
    sequence.reserved = 0
    sequence.forks = 0
    // Whole within another one: keeping it too would save nothing.
    if (isContained(sequence)) forget(sequence)
  }
}
