import { join } from 'node:path'
import { expect, test } from 'vitest'
import { killAtRandom, usualKills } from '../kills/kill-at-random.ts'
import { databaseAt } from '../postgres/database-at.ts'

test(`kill -9 at ${usualKills} random moments leaves the whole old or the whole new state of everything in the database`, {
  timeout: 600_000,
}, async () => {
  const killed = await killAtRandom({
    program: 'rows',
    parametersIn: async (folder) => [await databaseAt(join(folder, 'simpleia.db'))],
  })
  expect([...killed.keys()].sort()).toEqual([
    'answer and feedback',
    'collection',
    'conversation',
    'dataset',
    're-embedding',
    'selection',
    'snapshot',
    'usage',
  ])
})
