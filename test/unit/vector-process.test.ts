import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createVectorIndex, spawnVectorIndex, type VectorChild } from '../../src/engine/local/vector-process.ts'
import type { FromVectorWorker, ToVectorWorker } from '../../src/engine/local/vector-protocol.ts'
import { createVectorSpaces } from '../../src/engine/local/vector-spaces.ts'
import type { ReadVectors, VectorBatch } from '../../src/engine/vector-index.ts'
import { contractDimensions, testVectorIndex } from '../vector-index-contract.ts'
import { bruteForce, clustered, findDifference } from './vector-world.ts'

const never = new AbortController().signal
const dimensions = 16
const space = { key: 'letters', dimensions }
const all = clustered(400, dimensions, 1)
const vectorOf = (id: number) => all[id] ?? new Float32Array(dimensions)
const batchOf = (ids: readonly number[]): VectorBatch => ({ ids, vectors: ids.map(vectorOf) })
const search = (id: number, k = 1) => ({ vector: vectorOf(id), k })

/** A child whose work is done in this process, and which can be told to stop answering, or to die. */
function createChild() {
  const got: ToVectorWorker[] = []
  let onMessage = (_message: FromVectorWorker) => {}
  let onExit = (_reason: string) => {}
  let isMute = false
  const spaces = createVectorSpaces({
    send(message) {
      if (!isMute) queueMicrotask(() => onMessage(message))
    },
    pause: () => setImmediate(),
    now: () => 0,
  })
  const child: VectorChild = {
    send(message) {
      got.push(message)
      spaces.receive(message)
    },
    kill: () => queueMicrotask(() => onExit('SIGKILL')),
    onMessage(listener) {
      onMessage = listener
    },
    onExit(listener) {
      onExit = listener
    },
  }
  const count = (type: ToVectorWorker['request']['type']) => got.filter(({ request }) => request.type === type).length
  function mute(): void {
    isMute = true
  }
  return { child, count, mute, die: (reason: string) => onExit(reason) }
}

/** A database, and an index that reads it. The test decides when a read goes on where it passes `pause`. */
function createWorld({ pause = async (_piece: number) => {}, maxWaiting = 100 } = {}) {
  const rows = new Map<number, Float32Array>()
  const children: Array<ReturnType<typeof createChild>> = []
  let reads = 0
  const readVectors: ReadVectors = async function* () {
    reads += 1
    const ids = [...rows.keys()]
    for (let start = 0; start < ids.length; start += 100) {
      await pause(start / 100)
      yield batchOf(ids.slice(start, start + 100))
    }
  }
  const spawn = () => {
    const created = createChild()
    children.push(created)
    return created.child
  }
  const insert = (ids: readonly number[]) => ids.forEach((id) => void rows.set(id, vectorOf(id)))
  return { index: createVectorIndex({ spawn, readVectors, maxWaiting }), rows, children, insert, reads: () => reads }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, place) => from + place)

testVectorIndex(async ({ maxWaiting } = { maxWaiting: 100 }) => {
  const rows = new Map<string, Map<number, Float32Array>>()
  const rowsOf = (key: string) => rows.get(key) ?? new Map<number, Float32Array>()
  const readVectors: ReadVectors = async function* ({ key }) {
    yield { ids: [...rowsOf(key).keys()], vectors: [...rowsOf(key).values()] }
  }
  const index = createVectorIndex({ spawn: () => createChild().child, readVectors, maxWaiting })
  return {
    index,
    space: { key: 'one', dimensions: contractDimensions },
    other: { key: 'two', dimensions: contractDimensions },
    async write({ key }, vectors) {
      rows.set(key, new Map([...rowsOf(key), ...vectors]))
    },
    async erase({ key }, ids) {
      for (const id of ids) rows.get(key)?.delete(id)
    },
    close: index.close,
  }
})

test('the first search reads the space, later ones and changes do not', async () => {
  const { index, insert, rows, reads, children } = createWorld()
  insert(range(0, 250))
  await index.add(space, batchOf([3]))
  await index.remove(space, [3])
  expect(children).toHaveLength(0)
  const hits = await Promise.all([index.search(space, search(7, 20), never), index.search(space, search(8, 20), never)])
  expect(findDifference(hits[0], bruteForce(rows, search(7, 20)))).toBeUndefined()
  expect(findDifference(hits[1], bruteForce(rows, search(8, 20)))).toBeUndefined()
  insert(range(250, 300))
  await index.add(space, batchOf(range(250, 300)))
  await index.remove(space, [8, 999])
  rows.delete(8)
  expect(findDifference(await index.search(space, search(8, 20), never), bruteForce(rows, search(8, 20)))).toBeUndefined()
  expect(await index.search(space, { ...search(260), within: [1, 260] }, never)).toMatchObject([{ id: 260 }])
  expect(await index.statistics(space, never)).toMatchObject({ vectors: 299, dimensions, method: 'exact' })
  expect(reads()).toBe(1)
  await index.close()
  await expect(index.search(space, search(1), never)).rejects.toMatchObject({ code: 'unavailable' })
})

test('what changes during the load holds after it, and is seen by the search that waits for the load', async () => {
  const reading = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const { index, insert } = createWorld({
    async pause(piece) {
      if (piece !== 1) return
      reading.resolve()
      await goOn.promise
    },
  })
  insert(range(0, 300))
  const found = index.search(space, search(5, 2), never)
  await reading.promise
  const changes = [index.remove(space, [5]), index.add(space, batchOf([350])), index.remove(space, [350, 299])]
  changes.push(index.add(space, { ids: [350], vectors: [vectorOf(5)] }))
  const later = index.search(space, search(5), never)
  // Time enough for a change that would not wait.
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
  goOn.resolve()
  await found
  await Promise.all(changes)
  await later
  expect(await index.search(space, search(5), never)).toMatchObject([{ id: 350, score: expect.closeTo(1, 6) }])
  expect(await index.statistics(space, never)).toMatchObject({ vectors: 299 })
  await index.close()
})

test('a process that dies fails its searches, and the next one reads again, with what changed meanwhile', async () => {
  const { index, insert, children, reads } = createWorld()
  insert(range(0, 100))
  await index.search(space, search(1), never)
  children[0]?.mute()
  const lost = index.search(space, search(1), never)
  const change = index.add(space, batchOf([100]))
  insert([100])
  await expect.poll(() => children[0]?.count('vectors-search')).toBe(2)
  children[0]?.die('SIGSEGV')
  await expect(lost).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('SIGSEGV') })
  await change
  await index.add(space, batchOf([101]))
  expect(await index.search(space, search(100), never)).toMatchObject([{ id: 100 }])
  expect(await index.statistics(space, never)).toMatchObject({ vectors: 101 })
  expect([children.length, reads()]).toEqual([2, 2])
  await index.close()
})

test('a load that the process does not survive fails, and so does one that the database breaks off', async () => {
  let breaks = false
  const reading = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const { index, insert, children } = createWorld({
    async pause(piece) {
      if (breaks) throw new Error('The disk is gone.')
      if (piece === 1 && children.length === 1) {
        reading.resolve()
        await goOn.promise
      }
    },
  })
  insert(range(0, 200))
  const lost = index.search(space, search(1), never)
  await reading.promise
  children[0]?.die('SIGKILL')
  goOn.resolve()
  await expect(lost).rejects.toMatchObject({ code: 'unavailable' })
  breaks = true
  await expect(index.search(space, search(1), never)).rejects.toThrow('The disk is gone.')
  breaks = false
  expect(await index.search(space, search(1), never)).toMatchObject([{ id: 1 }])
  await index.close()
})

test('who leaves hears it at once, and the load goes on for the next', async () => {
  const reading = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const { index, insert, reads } = createWorld({
    async pause() {
      reading.resolve()
      await goOn.promise
    },
  })
  insert(range(0, 50))
  const leaving = new AbortController()
  const left = index.search(space, search(1), leaving.signal)
  await reading.promise
  leaving.abort()
  await expect(left).rejects.toMatchObject({ code: 'aborted' })
  goOn.resolve()
  expect(await index.search(space, search(1), never)).toMatchObject([{ id: 1 }])
  expect(reads()).toBe(1)
  await index.close()
})

test('a space that is dropped, even while it is loaded, is read again', async () => {
  const reading = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const { index, insert, rows, reads } = createWorld({
    async pause(piece) {
      if (piece !== 1 || reads() > 1) return
      reading.resolve()
      await goOn.promise
    },
  })
  insert(range(0, 300))
  const found = index.search(space, search(299), never)
  await reading.promise
  await index.drop(space)
  rows.clear()
  insert([1, 2])
  goOn.resolve()
  expect((await found).map(({ id }) => id)).toEqual([expect.toBeOneOf([1, 2])])
  expect(reads()).toBe(2)
  await index.drop(space)
  await index.drop({ key: 'unknown', dimensions })
  rows.clear()
  expect(await index.search(space, search(1), never)).toEqual([])
  await index.close()
})

test('spaces know nothing of each other', async () => {
  const { index, insert } = createWorld()
  const other = { key: 'digits', dimensions }
  insert(range(0, 10))
  await Promise.all([index.search(space, search(1), never), index.search(other, search(1), never)])
  await index.remove(space, range(0, 10))
  expect(await index.search(space, search(1), never)).toEqual([])
  expect(await index.search(other, search(1), never)).toMatchObject([{ id: 1 }])
  await index.close()
})

test('what does not fit is refused with both sizes, and changes nothing', async () => {
  const { index, insert } = createWorld()
  insert([1, 2])
  await index.search(space, search(1), never)
  const short = Float32Array.of(1, 0, 0)
  const both = { code: 'invalid', message: expect.stringMatching(/16.*3/) }
  await expect(index.search(space, { vector: short, k: 1 }, never)).rejects.toMatchObject(both)
  await expect(index.add(space, { ids: [7, 8], vectors: [vectorOf(7), short] })).rejects.toMatchObject(both)
  await expect(index.search({ ...space, dimensions: 3 }, { vector: short, k: 1 }, never)).rejects.toMatchObject(both)
  for (const part of [0, Number.NaN, Number.POSITIVE_INFINITY, 1]) {
    const vector = new Float32Array(dimensions).fill(part)
    await expect(index.search(space, { vector, k: 1 }, never)).rejects.toMatchObject({ code: 'invalid' })
    await expect(index.add(space, { ids: [7], vectors: [vector] })).rejects.toMatchObject({ code: 'invalid' })
  }
  for (const id of [-1, 1.5, 2 ** 53, Number.NaN])
    await expect(index.add(space, { ids: [id], vectors: [vectorOf(1)] })).rejects.toMatchObject({ code: 'invalid' })
  await expect(index.add(space, { ids: [7, 8], vectors: [vectorOf(1)] })).rejects.toMatchObject({ code: 'invalid' })
  for (const k of [0, -1, 1.5, Number.NaN])
    await expect(index.search(space, search(1, k), never)).rejects.toMatchObject({ code: 'invalid' })
  expect(await index.statistics(space, never)).toMatchObject({ vectors: 2 })
  await index.close()
})

test('too many searches at once are refused', async () => {
  const goOn = Promise.withResolvers<void>()
  const { index, insert } = createWorld({ pause: () => goOn.promise, maxWaiting: 2 })
  insert([1])
  const waiting = [index.search(space, search(1), never), index.statistics(space, never)]
  await expect(index.search(space, search(1), never)).rejects.toMatchObject({ code: 'busy', retryAfterSeconds: 1 })
  goOn.resolve()
  await Promise.all(waiting)
  expect(await index.search(space, search(1), never)).toHaveLength(1)
  await index.close()
})

test('the real process answers as the model does, and comes back after it was killed', async () => {
  const rows = new Map(range(0, 300).map((id) => [id, vectorOf(id)]))
  const children: VectorChild[] = []
  const index = createVectorIndex({
    spawn() {
      const child = spawnVectorIndex((text) => process.stderr.write(text))
      children.push(child)
      return child
    },
    async *readVectors() {
      yield batchOf([...rows.keys()])
    },
    maxWaiting: 10,
  })
  const query = { ...search(301, 15), within: range(100, 400) }
  expect(findDifference(await index.search(space, query, never), bruteForce(rows, query))).toBeUndefined()
  await index.add(space, batchOf([301]))
  expect(await index.search(space, query, never)).toHaveLength(15)
  expect((await index.search(space, query, never))[0]).toMatchObject({ id: 301 })
  const gone = Promise.withResolvers<string>()
  children[0]?.onExit(gone.resolve)
  children[0]?.kill()
  expect(await gone.promise).toBe('SIGKILL')
  expect(findDifference(await index.search(space, query, never), bruteForce(rows, query))).toBeUndefined()
  expect(children).toHaveLength(2)
  await index.close()
})
