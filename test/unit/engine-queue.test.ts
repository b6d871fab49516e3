import { expect, test } from 'vitest'
import { createRequestQueue } from '../../src/engine/local/request-queue.ts'

const never = new AbortController().signal

test('places are given in order of arrival, as they become free', async () => {
  const queue = createRequestQueue({ capacity: 1, maxWaiting: 5 })
  const order: string[] = []
  const release = await queue.acquire('ana', 1, never)
  const later = ['first', 'second'].map(async (name) => {
    const done = await queue.acquire('ana', 1, never)
    order.push(name)
    done()
  })
  expect(queue.waiting).toBe(2)
  release()
  await Promise.all(later)
  expect(order).toEqual(['first', 'second'])
  expect(queue.waiting).toBe(0)
})

test('past its limit it is busy at once, and says when to come back', async () => {
  const queue = createRequestQueue({ capacity: 1, maxWaiting: 1 })
  await queue.acquire('ana', 1, never)
  void queue.acquire('ana', 1, never)
  await expect(queue.acquire('ana', 1, never)).rejects.toMatchObject({ code: 'busy', retryAfterSeconds: 1 })
})

test('a user with many requests does not keep another from the next place', async () => {
  const queue = createRequestQueue({ capacity: 1, maxWaiting: 20 })
  const order: string[] = []
  const release = await queue.acquire('greedy', 1, never)
  const ask = async (user: string) => {
    const done = await queue.acquire(user, 1, never)
    order.push(user)
    done()
  }
  const all = [...Array.from({ length: 4 }, () => ask('greedy')), ask('modest'), ask('modest')]
  release()
  await Promise.all(all)
  expect(order).toEqual(['greedy', 'modest', 'greedy', 'modest', 'greedy', 'greedy'])
})

test('who leaves the queue never gets a place, and those behind move up', async () => {
  const queue = createRequestQueue({ capacity: 2, maxWaiting: 5 })
  const release = await queue.acquire('ana', 2, never)
  const leaving = new AbortController()
  const large = queue.acquire('ana', 2, leaving.signal)
  const small = queue.acquire('ben', 1, never)
  leaving.abort()
  await expect(large).rejects.toMatchObject({ code: 'aborted' })
  expect(queue.waiting).toBe(1)
  release()
  await small
})

test('who leaves together with those in front is counted once', async () => {
  const queue = createRequestQueue({ capacity: 2, maxWaiting: 2 })
  const release = await queue.acquire('ana', 1, never)
  const leaving = new AbortController()
  const large = queue.acquire('ana', 2, leaving.signal)
  const small = queue.acquire('ana', 1, leaving.signal)
  leaving.abort()
  await expect(large).rejects.toMatchObject({ code: 'aborted' })
  expect(queue.waiting).toBe(0)
  const admitted = await small
  admitted()
  release()
  await queue.acquire('ana', 2, never)
})

test('who has left already is told so', async () => {
  const queue = createRequestQueue({ capacity: 1, maxWaiting: 2 })
  await expect(queue.acquire('ana', 1, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' })
})

test('giving back twice gives back once', async () => {
  const queue = createRequestQueue({ capacity: 1, maxWaiting: 5 })
  const release = await queue.acquire('ana', 1, never)
  release()
  release()
  await queue.acquire('ana', 1, never)
  await Promise.resolve(queue.acquire('ben', 1, AbortSignal.abort())).catch(() => {})
  const waiting = queue.acquire('ben', 1, never)
  expect(queue.waiting).toBe(1)
  void waiting
})
