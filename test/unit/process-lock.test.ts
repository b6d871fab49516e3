import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { withLock } from '../../src/models/process-lock.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-lock-'))
  path = join(folder, '.setup.lock')
})
afterEach(() => rm(folder, { recursive: true }))

/** The lock of a process, beaten so many seconds ago. */
async function lockOf(pid: number, host: string, secondsAgo = 0): Promise<void> {
  await writeFile(path, `${pid} ${randomUUID()} ${host}`)
  const time = new Date(Date.now() - secondsAgo * 1000)
  await utimes(path, time, time)
}

const noProcess = 2 ** 22

/** Whether the lock could be taken, or had to be waited for. */
async function take(): Promise<'taken' | 'waited'> {
  const onWait = () => {
    throw new Error('waited')
  }
  return withLock({ path, now: Date.now, wait: async () => {}, onWait, host: 'pod-a' }, async () => 'taken' as const).catch(
    () => 'waited' as const,
  )
}

test('the process of another container holds its lock, whatever numbers the processes here have', async () => {
  await lockOf(noProcess, 'pod-b')
  expect(await take()).toBe('waited')
  await lockOf(process.pid, 'pod-b')
  expect(await take()).toBe('waited')
})

test('a lock that another container has not refreshed for half a minute is taken over', async () => {
  await lockOf(process.pid, 'pod-b', 31)
  expect(await take()).toBe('taken')
})

test.each([-400, -1, 1, 400])(
  'a lock is held while it is beaten, though the clock of its holder is %i days ahead',
  async (days) => {
    await lockOf(process.pid, 'pod-b')
    let beats = 0
    const beat = async () => {
      beats += 1
      const time = new Date(Date.now() + days * 24 * 3600_000 + beats * 1000)
      await utimes(path, time, time)
      if (beats === 100) await rm(path)
    }
    const options = { path, now: Date.now, wait: beat, onWait: () => {}, host: 'pod-a' }
    expect(await withLock(options, async () => beats)).toBe(100)
  },
)

test('a lock of nobody is taken over, though the clock was put back since it was beaten', async () => {
  await lockOf(process.pid, 'pod-b', -365 * 24 * 3600)
  expect(await take()).toBe('taken')
})

test('the lock of a process that has ended here is taken over at once', async () => {
  await lockOf(noProcess, 'pod-a')
  expect(await take()).toBe('taken')
})

test('a lock says on which machine it is held', async () => {
  const options = { path, now: Date.now, wait: async () => {}, onWait: () => {} }
  const text = await withLock(options, () => readFile(path, 'utf8'))
  expect(text).toMatch(new RegExp(`^${process.pid} \\S+ ${hostname()}$`))
})
