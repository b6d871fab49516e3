import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { AuditEntry } from '../../src/admin/audit/audit-entry.ts'
import { createAuditQueue, vainPerMinute, vainPerMinuteOfAll } from '../../src/admin/audit/audit-queue.ts'
import { insertAudit, pruneAudit } from '../../src/admin/audit/audit-rows.ts'
import { addressOf } from '../../src/auth/rate-limit.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { openFolder } from '../temp-folder.ts'

const networkOf = (ip: string) => addressOf({ ip })
let made = 0

const entryOf = (address: string, outcome: AuditEntry['outcome'], createdAt = '2026-01-01T00:00:00.000Z'): AuditEntry => {
  made += 1
  const status = { done: 200, refused: 401, failed: 499 }[outcome]
  const nobody = { userId: null, username: null, usernameKey: null, keyId: null, target: null }
  return { id: String(made).padStart(6, '0'), createdAt, ...nobody, address, action: 'login', outcome, status }
}

function fill(count: number, entry: (index: number) => AuditEntry) {
  let nowMs = 0
  const queue = createAuditQueue({ now: () => nowMs, networkOf })
  for (let index = 0; index < count; index += 1) queue.add(entry(index))
  const kept = queue.take(10_000)
  nowMs += 60_000
  queue.add(entry(0))
  return { kept: kept.length, leftOut: queue.takeLeftOut(), inNextMinute: queue.take(10).length }
}

test('neither who is refused nor who leaves before the answer fills the audit', () => {
  for (const outcome of ['refused', 'failed'] as const)
    expect(fill(vainPerMinute + 5, () => entryOf('10.0.0.1', outcome))).toEqual({
      kept: vainPerMinute,
      leftOut: 5,
      inNextMinute: 1,
    })
})

test('the addresses of one network are one; those of many are bounded together', () => {
  const inOneNetwork = fill(vainPerMinute + 5, (index) => entryOf(`2001:db8::${index.toString(16)}`, 'refused'))
  expect(inOneNetwork.kept).toBe(vainPerMinute)
  const everywhere = fill(5000, (index) => entryOf(`10.${index >> 8}.${index & 255}.1`, 'refused'))
  expect(everywhere.kept).toBe(vainPerMinuteOfAll)
})

test('what was done is never left out, whatever else comes', () => {
  expect(fill(5000, () => entryOf('10.0.0.1', 'done'))).toEqual({ kept: 5000, leftOut: 0, inNextMinute: 1 })
})

test('of what was done in vain the oldest goes past a bound; what was done stays a year', async () => {
  await using folder = await openFolder()
  const storage = await openStorage({ url: await databaseAt(join(folder.path, 'a.db')) })
  const { db } = storage
  const at = (hour: number) => new Date(Date.UTC(2026, 0, 1, hour)).toISOString()
  const outcomes = ['done', 'refused', 'failed', 'refused', 'done', 'refused'] as const
  const entries = outcomes.map((outcome, hour) => entryOf('10.0.0.1', outcome, at(hour)))
  await insertAudit(db, entries)
  await pruneAudit(db, Date.parse(at(10)), 2)
  const kept = await db.selectFrom('audit').select('createdAt').orderBy('createdAt').execute()
  expect(kept.map(({ createdAt }) => createdAt)).toEqual([0, 3, 4, 5].map(at))
  await pruneAudit(db, Date.parse(at(0)) + 366 * 24 * 3600_000)
  expect(await db.selectFrom('audit').select('id').execute()).toEqual([])
  await storage.close()
})
