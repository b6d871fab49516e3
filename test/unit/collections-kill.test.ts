import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { createReEmbedding } from '../../src/embed/re-embed.ts'
import { openSnapshotFiles } from '../../src/embed/snapshot-files.ts'
import { createSnapshots } from '../../src/embed/snapshots.ts'
import { createReadVectors, toVector } from '../../src/embed/vector-rows.ts'
import { openLocalQueue } from '../../src/jobs/job-queue.ts'
import { batchSize, killedModels } from '../collections-killed.ts'
import { ana, type CollectionsWorld, checkWords, never, openCollections } from '../collections-world.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'

const kills = onPostgres ? 12 : 50
/** PostgreSQL answers from elsewhere, so that many turns of the event loop go by with nothing to do. */
const mostTurns = onPostgres ? 40_000 : 400
const mostLines = onPostgres ? 40 : 12

/** Runs the process until it kills itself after some turns of its event loop, or is killed after some lines. */
async function runUntilKilled(folder: string, round: number): Promise<readonly string[]> {
  const killsItself = round % 2 === 0
  const turns = killsItself ? randomInt(1, mostTurns) : 0
  let linesLeft = killsItself ? Number.POSITIVE_INFINITY : randomInt(1, mostLines)
  const url = await databaseAt(join(folder, 'simpleia.db'))
  const child = spawn(process.execPath, ['test/unit/collections-process.ts', folder, url, String(round), String(turns)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let complaint = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    linesLeft -= 1
    if (linesLeft <= 0) child.kill('SIGKILL')
  })
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  const [, signal] = await once(child, 'close')
  expect({ signal, complaint }).toEqual({ signal: 'SIGKILL', complaint: '' })
  return output.split('\n').slice(0, -1)
}

/** Each batch is there whole, in one state, with the vectors of its texts. */
async function checkCollection({ db, collections }: CollectionsWorld, name: string): Promise<Set<string>> {
  const models = killedModels()
  const collection = await collections.getOwn(ana, name)
  const passages = await db.selectFrom('passages').selectAll().where('collectionId', '=', collection.id).orderBy('id').execute()
  const batches = Map.groupBy(passages, ({ itemId, documentId }) => documentId ?? itemId.split('/')[0] ?? '')
  for (const [batch, rows] of batches) {
    const [first] = rows
    const size = first?.documentId === null ? batchSize : 5
    const states = new Set(rows.map(({ metadata }) => metadata))
    expect({ batch, size: rows.length, states: states.size }).toEqual({ batch, size, states: 1 })
  }
  const current = await models.find(collection.model)
  expect(current).toBeDefined()
  const vectors = await db
    .selectFrom('vectors')
    .innerJoin('passages', 'passages.id', 'vectors.passageId')
    .select(['passages.text', 'vectors.vector', 'vectors.model'])
    .where('passages.collectionId', '=', collection.id)
    .execute()
  expect(vectors.filter(({ model }) => model === collection.model)).toHaveLength(passages.length)
  const byModel = Map.groupBy(vectors, ({ model }) => model)
  for (const [model, rows] of byModel) {
    const texts = rows.map(({ text }) => text)
    const right = await (await models.find(model))?.encode({ texts, truncate: false }, never)
    expect(rows.every(({ vector }, index) => toVector(vector).every((value, at) => value === right?.vectors[index]?.[at]))).toBe(
      true,
    )
  }
  return new Set(batches.keys())
}

async function checkDatabase({ db }: CollectionsWorld): Promise<void> {
  if (!onPostgres) {
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(db)
    expect(Object.values(rows[0] ?? {})).toEqual(['ok'])
  }
  await checkWords(db)
}

function openSnapshots(world: CollectionsWorld, files: Awaited<ReturnType<typeof openSnapshotFiles>>) {
  return createSnapshots({ ...world, files, readSnapshot: world.storage.readSnapshot })
}

test(`kill -9 at ${kills} random moments of add, save and re-embed leaves the whole old or the whole new state`, {
  timeout: 240_000,
}, async () => {
  const first = await openCollections({ models: killedModels() })
  const { folder } = first
  await first.close()
  const lines: string[] = []
  for (let round = 0; round < kills; round += 1) {
    const said = await runUntilKilled(folder, round)
    lines.push(...said)
    const world = await openCollections({ folder, models: killedModels() })
    await checkDatabase(world)
    if ((await world.collections.find(ana, 'default')) === undefined) {
      await world.close()
      continue
    }
    const batches = await checkCollection(world, 'default')
    for (const line of said) if (line.startsWith('added')) expect([...batches]).toContain(line.slice('added '.length))
    const files = await openSnapshotFiles(join(folder, 'snapshots'))
    const names = (await files.list(ana)).map(({ name }) => name)
    if (lines.some((line) => line.startsWith('saved'))) expect(names).toEqual(['copy'])
    expect(await readdir(join(folder, 'snapshots', ana)).catch(() => [])).toEqual(names.map((name) => `${name}.snapshot`))
    if (names.length > 0 && round % 5 === 0) {
      await openSnapshots(world, files).load(ana, 'copy', 'look')
      await checkCollection(world, 'look')
      await world.collections.remove(ana, 'look')
    }
    // What was added is kept in bounds, so that the last rounds are no slower than the first.
    const collection = await world.collections.getOwn(ana, 'default')
    const items = await world.db
      .selectFrom('passages')
      .select('itemId')
      .where('collectionId', '=', collection.id)
      .where('documentId', 'is', null)
      .execute()
    if (items.length > 2000)
      await world.passages.removeItems(
        collection,
        items.map(({ itemId }) => itemId),
      )
    await world.close()
  }
  const least = onPostgres ? { added: 5, replaced: 5, saved: 5, moved: 0 } : { added: 6, replaced: 6, saved: 6, moved: 6 }
  for (const [kind, count] of Object.entries(least))
    expect(lines.filter((line) => line.startsWith(kind)).length, kind).toBeGreaterThanOrEqual(count)
  const world = await openCollections({ folder, models: killedModels() })
  const reEmbedding = createReEmbedding({
    ...world,
    readVectors: createReadVectors(world.db),
    instanceId: 'one',
    openQueue: openLocalQueue({ wait: async () => {} }),
  })
  await reEmbedding.idle()
  expect(await world.collections.getOwn(ana, 'default')).toMatchObject({ nextModel: undefined })
  const stale = await world.db.selectFrom('vectors').select('model').distinct().execute()
  expect(stale.length).toBeLessThanOrEqual(1)
  await reEmbedding.close()
  await world.close()
})
