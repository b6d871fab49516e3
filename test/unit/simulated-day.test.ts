import { expect, test } from 'vitest'
import { openSimulatedService } from '../simulated-day.ts'

test('two days of mixed use leave what one has left: memory, handles, timers, series and rows that have an end', async () => {
  await using service = await openSimulatedService()
  const first = await service.liveADay()
  const second = await service.liveADay()
  console.log(JSON.stringify({ first, second }, null, 1))
  expect([...first.failures, ...second.failures]).toEqual([])
}, 120_000)
