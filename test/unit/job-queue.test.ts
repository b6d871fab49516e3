import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { openBossQueue } from '../../src/jobs/boss-queue.ts'
import { type JobQueue, openLocalQueue, type Work } from '../../src/jobs/job-queue.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'

const patient = { timeout: 20_000 } as const

/** Gives what opens queues on one database: in PostgreSQL those of many processes, else each by itself. */
async function openWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-jobs-'))
  const url = await databaseAt(join(folder, 'simpleia.db'))
  const opened: JobQueue[] = []
  onTestFinished(async () => {
    for (const queue of opened) await queue.close()
    await rm(folder, { recursive: true })
  })
  const errors: string[] = []
  return {
    errors,
    open(work: Work): JobQueue {
      const log = { error: (_details: object, message: string) => void errors.push(message) }
      const queue = onPostgres
        ? openBossQueue({ url, name: 'tests', log })(work)
        : openLocalQueue({ wait: (_ms, signal) => wait(1, undefined, { signal }) })(work)
      opened.push(queue)
      return queue
    },
  }
}

test('each key is worked on once, one after the other, however often it is added meanwhile', async () => {
  const { open, errors } = await openWorld()
  const done: string[] = []
  let [running, most] = [0, 0]
  const queue = open(async (key) => {
    running += 1
    most = Math.max(most, running)
    await wait(5)
    running -= 1
    done.push(key)
    return 'done'
  })
  for (const key of ['a', 'b', 'a', 'b', 'a']) await queue.add(key)
  await expect.poll(() => done.length, patient).toBe(2)
  await queue.idle()
  expect([done.sort(), most, errors]).toEqual([['a', 'b'], 1, []])
})

test('what something stood in the way of is done again; what fails is not', async () => {
  const { open } = await openWorld()
  const tries = new Map<string, number>()
  const queue = open(async (key) => {
    const count = (tries.get(key) ?? 0) + 1
    tries.set(key, count)
    if (key === 'fails') throw new Error('no')
    return count < 2 ? 'again' : 'done'
  })
  await queue.add('fails')
  await queue.add('later')
  await expect.poll(() => tries.get('later'), patient).toBe(2)
  expect(tries.get('fails')).toBe(1)
})

test('work that is dropped is told, and its key can be added again', async () => {
  const { open } = await openWorld()
  const seen: string[] = []
  const queue = open(async (key, signal) => {
    seen.push(`${key} begins`)
    if (seen.length === 1) await new Promise((resolve) => signal.addEventListener('abort', resolve))
    seen.push(signal.aborted ? `${key} was dropped` : `${key} ends`)
    return 'done'
  })
  await queue.add('a')
  await expect.poll(() => seen.length, patient).toBe(1)
  queue.drop('a')
  await queue.idle()
  await expect
    .poll(async () => {
      await queue.add('a')
      return seen.at(-1)
    }, patient)
    .toBe('a ends')
  expect(seen.slice(0, 2)).toEqual(['a begins', 'a was dropped'])
})

test.runIf(onPostgres)('what a process does not end, another one takes up', async () => {
  const { open } = await openWorld()
  let isBegun = false
  const first = open(async (_key, signal) => {
    isBegun = true
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    return 'done'
  })
  await first.add('a')
  await expect.poll(() => isBegun, patient).toBe(true)
  const done: string[] = []
  const second = open(async (key) => {
    done.push(key)
    return 'done'
  })
  // Something else makes it open its side.
  await second.add('b')
  await expect.poll(() => done, patient).toEqual(['b'])
  await first.close()
  await expect.poll(() => done, patient).toEqual(['b', 'a'])
})

test.skipIf(onPostgres)('what is dropped before its turn is not begun, and a pause ends with its queue', async () => {
  const { open } = await openWorld()
  const begun: string[] = []
  const held = Promise.withResolvers<void>()
  const queue = open(async (key) => {
    begun.push(key)
    await held.promise
    return 'done'
  })
  for (const key of ['a', 'b', 'c']) await queue.add(key)
  queue.drop('b')
  held.resolve()
  await queue.idle()
  expect(begun).toEqual(['a', 'c'])
  const pausing = openLocalQueue({ wait: (_ms, signal) => wait(60_000, undefined, { signal }) })(async () => 'again')
  await pausing.add('a')
  await pausing.idle()
  await pausing.close()
})

test('a queue whose database cannot be reached says so with each work that it is given, and closes', async () => {
  const log = { error: () => {} }
  const queue = openBossQueue({ url: 'postgres://nobody@127.0.0.1:9/none', name: 'tests', log })(async () => 'done')
  for (const key of ['a', 'b']) await expect(queue.add(key)).rejects.toThrow('ECONNREFUSED')
  queue.drop('a')
  await queue.idle()
  const [late] = await Promise.allSettled([queue.add('c'), queue.close()])
  expect(late).toMatchObject({ status: 'rejected', reason: expect.objectContaining({ code: 'ECONNREFUSED' }) })
})
