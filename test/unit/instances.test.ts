import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { beatMs, goneMs, type Instances, openInstances } from '../../src/instances/instances.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { endedPid } from '../ended-process.ts'
import { createFakeClock } from '../fake-clock.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { refuseWrites } from '../refuse-writes.ts'

/** A database and the processes on it, whose time goes when it is told to. */
async function openWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-instances-'))
  const url = await databaseAt(join(folder, 'simpleia.db'))
  const { db, close } = await openStorage({ url })
  const opened: Instances[] = []
  const errors: string[] = []
  onTestFinished(async () => {
    for (const one of opened) await one.close()
    await close()
    await rm(folder, { recursive: true })
  })
  const list = () => db.selectFrom('instances').selectAll().orderBy('startedAt').execute()
  return {
    db,
    errors,
    list,
    ids: async () => (await list()).map(({ id }) => id),
    async join() {
      const clock = createFakeClock()
      const log = { error: (_details: object, message: string) => void errors.push(message), info: () => {} }
      const instances = await openInstances({ db, url, clock, log })
      opened.push(instances)
      let recoveries = 0
      await instances.recover(async () => {
        recoveries += 1
      })
      return {
        instances,
        recoveries: () => recoveries,
        /** One beat, to its end. */
        async beat() {
          await clock.awaited(beatMs)
          clock.advance(beatMs)
          await clock.awaited(beatMs)
        },
      }
    },
    /** Another process, that does nothing any more. */
    async add(row: Partial<{ id: string; host: string; pid: number; ageMs: number }>) {
      const [own] = await list()
      const { id = 'other', host = 'another-machine', pid = 1, ageMs = 0 } = row
      const seenAt = (own?.seenAt ?? 0) - ageMs
      await db
        .insertInto('instances')
        .values({ id, host: host === 'own' ? (own?.host ?? '') : host, pid, startedAt: seenAt, seenAt })
        .execute()
    },
    age: (id: string, ms: number) =>
      db
        .updateTable('instances')
        .set(({ eb }) => ({ seenAt: eb('seenAt', '-', ms) }))
        .where('id', '=', id)
        .execute(),
  }
}

test('a process is known while it is there, and not when it has left in order', async () => {
  const world = await openWorld()
  const { instances: one } = await world.join()
  const { instances: other } = await world.join()
  expect((await world.ids()).sort()).toEqual([one.id, other.id].sort())
  expect([one.isAlone(), other.isAlone()]).toEqual([true, false])
  await other.close()
  expect(await world.ids()).toEqual([one.id])
})

test('one of this machine whose process has ended is gone at once, and what it left is marked once', async () => {
  const world = await openWorld()
  const first = await world.join()
  await world.add({ host: 'own', pid: endedPid() })
  const second = await world.join()
  expect((await world.ids()).sort()).toEqual([first.instances.id, second.instances.id].sort())
  expect([first.recoveries(), second.recoveries()]).toEqual([1, 1])
  // The first has never known it; the second has marked when it began.
  await first.beat()
  expect(first.recoveries()).toBe(1)
})

test('one that ends while others are there is noticed by them', async () => {
  const world = await openWorld()
  const { beat, recoveries } = await world.join()
  const { instances: other } = await world.join()
  await beat()
  expect(recoveries()).toBe(1)
  await other.close()
  await beat()
  expect(recoveries()).toBe(2)
  await beat()
  expect(recoveries()).toBe(2)
})

test('what the last of the others has left is looked at by the one that remains', async () => {
  const world = await openWorld()
  const { instances, beat } = await world.join()
  let looks = 0
  instances.onLook(async () => {
    looks += 1
  }, 'no look')
  const { instances: other } = await world.join()
  await beat()
  await expect.poll(() => looks).toBeGreaterThan(0)
  // It is the only one now, and has nothing more to look at.
  const seen = looks
  await other.close()
  await beat()
  await expect.poll(() => looks).toBeGreaterThan(seen)
})

test('one of another machine has gone when it was not seen for long, look after look', async () => {
  const world = await openWorld()
  const { instances, beat, recoveries } = await world.join()
  await world.add({ ageMs: goneMs + 60_000 })
  for (const there of [true, true, false]) {
    await beat()
    expect((await world.ids()).includes('other')).toBe(there)
  }
  expect(recoveries()).toBe(2)
  expect(instances.isAlone()).toBe(true)
})

test('one of another machine has gone, too, where it was seen last by a clock that has been put back since', async () => {
  const world = await openWorld()
  const { beat } = await world.join()
  await world.add({ ageMs: -365 * 24 * 3600_000 })
  for (const there of [true, true, false]) {
    await beat()
    expect((await world.ids()).includes('other')).toBe(there)
  }
})

test('when the clock of the database jumps, nobody is taken for gone who is seen again', async () => {
  const world = await openWorld()
  const one = await world.join()
  const other = await world.join()
  for (let round = 0; round < 4; round += 1) {
    await world.age(other.instances.id, 3_600_000)
    await one.beat()
    await other.beat()
  }
  expect(one.recoveries()).toBe(1)
  expect((await world.ids()).sort()).toEqual([one.instances.id, other.instances.id].sort())
})

test('one that was taken for gone by mistake is there again with its next beat', async () => {
  const world = await openWorld()
  const { instances, beat } = await world.join()
  await world.db.deleteFrom('instances').execute()
  await beat()
  expect(await world.ids()).toEqual([instances.id])
})

test('what could not be marked is marked at the next look', async () => {
  const world = await openWorld()
  const { instances, beat } = await world.join()
  let failures = 1
  let marked = 0
  await instances.recover(async () => {
    if (marked > 0 && failures-- > 0) throw new Error('no room')
    marked += 1
  })
  const { instances: other } = await world.join()
  await beat()
  await other.close()
  await beat()
  expect([marked, world.errors.length]).toEqual([1, 1])
  await beat()
  expect(marked).toBe(2)
})

test('others are told at once where there is something to look at, and one look that fails keeps no other from it', async () => {
  const world = await openWorld()
  const one = await world.join()
  const other = await world.join()
  await one.beat()
  let looks = 0
  one.instances.onLook(async () => {
    throw new Error('no room')
  }, 'What others wrote could not be looked at')
  one.instances.onLook(async () => {
    looks += 1
  }, 'no look')
  await other.instances.hint()
  // SQLite carries no hints: there the next beat looks.
  if (!onPostgres) await one.beat()
  await expect.poll(() => looks).toBeGreaterThan(0)
  expect(new Set(world.errors)).toEqual(new Set(['What others wrote could not be looked at']))
})

test('a process that cannot join says so, and leaves without the database', async () => {
  const { db, join } = await openWorld()
  const allow = await refuseWrites(db, { table: 'instances' })
  await expect(join()).rejects.toThrow('no room')
  await allow()
  const { instances } = await join()
  const forbid = await refuseWrites(db, { table: 'instances', event: 'delete' })
  await instances.close()
  await forbid()
})
