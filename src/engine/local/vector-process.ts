import { AppError } from '../../errors.ts'
import type { ReadVectors, VectorHit, VectorIndex, VectorQuery, VectorSpace } from '../vector-index.ts'
import { type ProcessChild, spawnProcess } from './spawn-process.ts'
import { unlessAborted } from './unless-aborted.ts'
import { checkIds, checkVector, cutBatch } from './vector-pieces.ts'
import type { FromVectorWorker, ToVectorWorker, VectorAnswer, VectorRequest } from './vector-protocol.ts'
import { type WatchParts, watchChild } from './watch-child.ts'

export type VectorChild = ProcessChild<ToVectorWorker, FromVectorWorker>

/** Starts the child process that finds vectors. Its error output goes to `log`. */
export function spawnVectorIndex(log: (text: string) => void): VectorChild {
  return spawnProcess('vector-worker', log)
}

export type VectorIndexParts = Readonly<{
  spawn: () => VectorChild
  readVectors: ReadVectors
  /** Searches at once; more are refused. */
  maxWaiting: number
  /** From so many numbers (vectors times dimensions) on, a graph answers. */
  graphNumbers?: number
  watching?: WatchParts
}>

/**
 * Comparing 20 million numbers takes about a millisecond (52,000 vectors of 384 dimensions; docs/vectors.md), less than the vector of
 * the query takes to make. A graph would save nothing that is felt, and cost memory and minutes of work.
 */
const usualGraphNumbers = 20_000_000

/** A process, and what it has in memory. */
type Opened = Readonly<{
  spaces: Map<string, OpenSpace>
  /** Throws `unavailable` when the process is gone, or what it says. */
  ask(space: number, request: VectorRequest): Promise<VectorAnswer>
  kill(): void
  ended: Promise<void>
}>

type OpenSpace = {
  readonly number: number
  readonly dimensions: number
  readonly loaded: Promise<void>
  /** The last change: changes come one after the other, the first after the load. */
  lastChange: Promise<void>
}

/**
 * Finds vectors in a process of its own, which starts with the first request, and again with the next one when it has died or hung. `search`
 * and `statistics` throw `busy` beyond `maxWaiting` at once, and what `readVectors` throws. A change that does not reach the process
 * is no error: the space is then read again, and the database has it.
 */
export function createVectorIndex(parts: VectorIndexParts): VectorIndex {
  const { spawn, readVectors, maxWaiting, graphNumbers = usualGraphNumbers } = parts
  let current: Opened | undefined
  let lastSpace = 0
  let waiting = 0
  let isClosed = false
  const loads = new Set<Promise<void>>()

  function open(): Opened {
    if (current !== undefined) return current
    const opened = connect(spawn(), parts.watching)
    void opened.ended.then(() => {
      if (current === opened) current = undefined
    })
    current = opened
    return opened
  }

  /** The space in memory, or on its way there. */
  function openSpace(opened: Opened, space: VectorSpace): OpenSpace {
    const known = opened.spaces.get(space.key)
    if (known !== undefined) return checkDimensions(known, space)
    lastSpace += 1
    const number = lastSpace
    const loaded = load(opened, space, number).finally(() => loads.delete(loaded))
    loads.add(loaded)
    const added: OpenSpace = { number, dimensions: space.dimensions, loaded, lastChange: loaded }
    opened.spaces.set(space.key, added)
    loaded.catch(() => forget(opened, space.key, added))
    return added
  }

  async function load(opened: Opened, space: VectorSpace, number: number): Promise<void> {
    const isWanted = () => opened.spaces.get(space.key)?.number === number
    // One piece is on its way while the next is read: more would only fill memory.
    let last = opened.ask(number, { type: 'space-open', dimensions: space.dimensions, graphNumbers })
    last.catch(() => {})
    for await (const batch of readVectors(space)) {
      for (const piece of cutBatch(space, batch)) {
        await last
        if (!isWanted()) return
        last = opened.ask(number, { type: 'vectors-add', ...piece })
        last.catch(() => {})
      }
    }
    await last
    await opened.ask(number, { type: 'space-loaded' })
  }

  function forget(opened: Opened, key: string, space: OpenSpace): void {
    if (opened.spaces.get(key) === space) opened.spaces.delete(key)
    opened.ask(space.number, { type: 'space-drop' }).catch(() => {})
  }

  async function ask(space: VectorSpace, request: VectorRequest, signal: AbortSignal): Promise<VectorAnswer> {
    if (isClosed) throw new AppError('unavailable', 'The service is shutting down.')
    if (waiting >= maxWaiting)
      throw new AppError('busy', `${maxWaiting} searches wait already. Try again shortly.`, { retryAfterSeconds: 1 })
    waiting += 1
    try {
      const opened = open()
      for (;;) {
        const found = openSpace(opened, space)
        await unlessAborted(found.loaded, signal)
        // Otherwise it was dropped while it was loaded.
        if (opened.spaces.get(space.key) === found) return await unlessAborted(opened.ask(found.number, request), signal)
      }
    } finally {
      waiting -= 1
    }
  }

  /** Applies a change to a space that is in memory. When it fails, the space is out of step with the database: it is read again. */
  async function change({ key }: VectorSpace, requests: readonly VectorRequest[]): Promise<void> {
    const opened = current
    const space = opened?.spaces.get(key)
    if (opened === undefined || space === undefined) return
    const apply = async () => {
      for (const request of requests) await opened.ask(space.number, request)
    }
    space.lastChange = space.lastChange.then(apply).catch(() => forget(opened, key, space))
    await space.lastChange
  }

  return {
    async search(space, query, signal) {
      const answer = await ask(space, searchRequest(space, query), signal)
      return answer.type === 'vectors-found' ? hitsOf(answer) : unforeseen(answer)
    },
    async statistics(space, signal) {
      const answer = await ask(space, { type: 'space-describe' }, signal)
      return answer.type === 'space-described' ? answer.statistics : unforeseen(answer)
    },
    async add(space, batch) {
      const pieces = cutBatch(space, batch)
      await change(
        space,
        pieces.map((piece) => ({ type: 'vectors-add', ...piece })),
      )
    },
    async remove(space, ids) {
      await change(space, [{ type: 'vectors-remove', ids: checkIds(ids) }])
    },
    async drop({ key }) {
      const space = current?.spaces.get(key)
      if (current !== undefined && space !== undefined) forget(current, key, space)
    },
    async close() {
      isClosed = true
      current?.kill()
      await current?.ended
      await Promise.allSettled(loads)
    },
  }
}

function checkDimensions(known: OpenSpace, { key, dimensions }: VectorSpace): OpenSpace {
  if (known.dimensions === dimensions) return known
  throw new AppError('invalid', `"${key}" holds vectors of ${known.dimensions} dimensions, but ${dimensions} were asked for.`)
}

function searchRequest({ dimensions }: VectorSpace, { vector, k, within }: VectorQuery): VectorRequest {
  checkVector(vector, dimensions, 'The vector that is searched for')
  if (!Number.isSafeInteger(k) || k < 1) throw new AppError('invalid', `k must be a whole number from 1, but is ${k}.`)
  // A copy: of a part of a larger array, the whole would be sent.
  const request = { type: 'vectors-search', vector: vector.slice(), k } as const
  return within === undefined ? request : { ...request, within: Float64Array.from(within) }
}

function hitsOf({ ids, scores }: Readonly<{ ids: Float64Array; scores: Float64Array }>): readonly VectorHit[] {
  return Array.from(ids, (id, place) => ({ id, score: scores[place] ?? 0 }))
}

function unforeseen({ type }: VectorAnswer): never {
  throw new AppError('internal', `The process that finds vectors answered with "${type}".`)
}

function connect(unwatched: VectorChild, watching?: WatchParts): Opened {
  const ended = Promise.withResolvers<void>()
  const asked = new Map<number, PromiseWithResolvers<VectorAnswer>>()
  let lastId = 0
  let death: AppError | undefined
  const child = watchChild(unwatched, { hasWork: () => asked.size > 0 }, watching)

  child.onMessage(({ id, answer }) => {
    const waiting = asked.get(id)
    asked.delete(id)
    if (answer.type === 'failed') waiting?.reject(new AppError(answer.code, answer.message))
    else waiting?.resolve(answer)
  })
  child.onExit((reason) => {
    death ??= new AppError('unavailable', `The process that finds vectors ended (${reason}). Try again.`)
    for (const one of asked.values()) one.reject(death)
    asked.clear()
    ended.resolve()
  })
  return {
    spaces: new Map(),
    ended: ended.promise,
    kill: () => child.kill(),
    async ask(space, request) {
      if (death !== undefined) throw death
      lastId += 1
      const answer = Promise.withResolvers<VectorAnswer>()
      asked.set(lastId, answer)
      child.send({ id: lastId, space, request })
      return await answer.promise
    },
  }
}
