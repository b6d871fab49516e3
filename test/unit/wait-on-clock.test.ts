import { expect, test } from 'vitest'
import { waitOn } from '../../src/engine/cloud/clock.ts'
import { createFakeClock } from '../fake-clock.ts'

test('a wait is over when the clock says so, and leaves nothing behind when it is given up', async () => {
  const clock = createFakeClock()
  const over = waitOn(clock, 1000, new AbortController().signal)
  clock.advance(1000)
  await expect(over).resolves.toBeUndefined()

  const stopping = new AbortController()
  const given = waitOn(clock, 1000, stopping.signal)
  expect(clock.waits()).toEqual([1000])
  stopping.abort()
  await expect(given).rejects.toThrow('aborted')
  expect(clock.waits()).toEqual([])
  await expect(waitOn(clock, 1000, stopping.signal)).rejects.toThrow('aborted')
})
