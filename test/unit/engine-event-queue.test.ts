import { expect, test } from 'vitest'
import { createEventQueue } from '../../src/engine/local/event-queue.ts'

test('gives events in order, those from before the reading and those that come later', async () => {
  const queue = createEventQueue<number>(new AbortController().signal)
  queue.push(1)
  queue.push(2)
  const seen: number[] = []
  for await (const event of queue) {
    seen.push(event)
    if (event === 2) setImmediate(() => queue.push(3))
    if (event === 3) break
  }
  expect(seen).toEqual([1, 2, 3])
})

test('gives nothing more after an abort, however much has come', async () => {
  const leaving = new AbortController()
  const queue = createEventQueue<number>(leaving.signal)
  for (const event of [1, 2, 3]) queue.push(event)
  const events = queue[Symbol.asyncIterator]()
  expect(await events.next()).toEqual({ done: false, value: 1 })
  leaving.abort()
  await expect(events.next()).rejects.toMatchObject({ code: 'aborted' })
})

test('an abort ends a reading that waits', async () => {
  const leaving = new AbortController()
  const next = createEventQueue<number>(leaving.signal)[Symbol.asyncIterator]().next()
  leaving.abort()
  await expect(next).rejects.toMatchObject({ code: 'aborted' })
})
