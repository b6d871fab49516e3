import { expect, test } from 'vitest'
import { killAtRandom, usualKills } from '../kills/kill-at-random.ts'

test(`a training that is killed at ${usualKills} random moments goes on from its last checkpoint and ends with the same bytes`, {
  timeout: 600_000,
}, async () => {
  const killed = await killAtRandom({ program: 'trainings' })
  expect([...killed.keys()]).toEqual(['training'])
})
