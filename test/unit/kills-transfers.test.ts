import { join } from 'node:path'
import { expect, test } from 'vitest'
import { killAtRandom, usualKills } from '../kills/kill-at-random.ts'
import { databaseAt } from '../postgres/database-at.ts'

test(`kill -9 at ${usualKills} random moments of a backup, a restore and a move leaves the old or the new, or what is ended anew`, {
  timeout: 600_000,
}, async () => {
  const killed = await killAtRandom({
    program: 'transfers',
    parametersIn: (folder) =>
      Promise.all(['source.db', 'restored/data/simpleia.db', 'moved.db'].map((name) => databaseAt(join(folder, name)))),
  })
  expect([...killed.keys()]).toEqual(['backup', 'restore', 'move'])
})
