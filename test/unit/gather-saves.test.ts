import { expect, onTestFinished, test, vi } from 'vitest'
import { gatherSaves } from '../../src/storage/gather-saves.ts'

function createWorld(save: (value: number) => Promise<unknown> = async () => {}) {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const saved: number[] = []
  const failures: unknown[] = []
  const saves = gatherSaves<number>({
    save: (value) => {
      saved.push(value)
      return save(value)
    },
    everyMs: 1000,
    onError: (error) => failures.push(error),
  })
  return { saves, saved, failures }
}

test('the first is saved at once, and then the newest once a second', async () => {
  const { saves, saved } = createWorld()
  for (let value = 1; value <= 100; value += 1) saves.put(value)
  await vi.advanceTimersByTimeAsync(999)
  expect(saved).toEqual([1])
  await vi.advanceTimersByTimeAsync(1)
  expect(saved).toEqual([1, 100])
  await vi.advanceTimersByTimeAsync(5000)
  expect(saved).toEqual([1, 100])
  saves.put(101)
  await vi.advanceTimersByTimeAsync(0)
  expect(saved).toEqual([1, 100, 101])
})

test('a save that fails is told, and the next one is tried; saves never overtake one another', async () => {
  const held = Promise.withResolvers<void>()
  const { saves, saved, failures } = createWorld(async (value) => {
    if (value === 1) await held.promise
    if (value === 1) throw new Error('no room')
  })
  saves.put(1)
  await vi.advanceTimersByTimeAsync(0)
  saves.put(2)
  await vi.advanceTimersByTimeAsync(2000)
  expect(saved).toEqual([1])
  held.resolve()
  await vi.advanceTimersByTimeAsync(0)
  expect([saved, failures]).toEqual([[1, 2], [new Error('no room')]])
})

test('after its end nothing more is saved, and what was under way has ended', async () => {
  const held = Promise.withResolvers<void>()
  const { saves, saved } = createWorld(() => held.promise)
  saves.put(1)
  await vi.advanceTimersByTimeAsync(0)
  saves.put(2)
  let isClosed = false
  const closing = saves.close().then(() => {
    isClosed = true
  })
  await vi.advanceTimersByTimeAsync(5000)
  expect(isClosed).toBe(false)
  held.resolve()
  await closing
  expect(saved).toEqual([1])
})
