import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openReEmbedding } from '../kills/re-embedding-world.ts'
import { databaseAt } from '../postgres/database-at.ts'

const passageCount = 1000
const seenAfter = { timeout: 50_000, interval: 200 } as const

test('a re-embedding whose replica is killed is gone on with by another one, where it was', { timeout: 90_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-re-embedding-'))
  const url = await databaseAt(join(folder, 'simpleia.db'))
  const { db, owner, next, collections, passages, close } = await openReEmbedding(url)
  onTestFinished(async () => {
    await close()
    await rm(folder, { recursive: true })
  })
  const user = { id: owner, username: owner, usernameKey: owner, passwordHash: '', role: 'user', tokenGeneration: 0 } as const
  await db
    .insertInto('users')
    .values({ ...user, createdAt: '', updatedAt: '' })
    .execute()
  const collection = await collections.open(owner, 'default', 'words')
  const items = Array.from({ length: passageCount }, (_, index) => ({ itemId: `item ${index}`, text: `text number${index}` }))
  await passages.add(collection, items, new AbortController().signal)
  const vectorsOf = async (model: string) =>
    (await db.selectFrom('vectors').select('passageId').where('model', '=', model).execute()).length

  const child = spawn(process.execPath, ['test/kills/re-embedding.ts', url], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  const least = randomInt(1, passageCount / 2)
  await expect.poll(() => vectorsOf('next'), { timeout: 30_000, interval: 5 }).toBeGreaterThanOrEqual(least)
  child.kill('SIGKILL')
  expect((await ended)[1]).toBe('SIGKILL')
  const left = await vectorsOf('next')
  expect(left, `killed after ${least}`).toBeLessThan(passageCount)
  expect(await collections.getOwn(owner, 'default')).toMatchObject({ model: 'words', nextModel: 'next' })
  expect(await vectorsOf('words')).toBe(passageCount)

  await expect.poll(() => collections.getOwn(owner, 'default'), seenAfter).toMatchObject({ model: 'next', nextModel: undefined })
  await expect.poll(() => vectorsOf('words'), seenAfter).toBe(0)
  expect(await vectorsOf('next')).toBe(passageCount)
  const filled = next.requests.filter(({ purpose }) => purpose === 'document').flatMap(({ texts }) => texts)
  // Besides, it has measured the new vectors on a sample.
  expect(filled.length).toBeLessThanOrEqual(passageCount - left + 100)
})
