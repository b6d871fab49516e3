import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createMeter, type MeterOptions } from '../../src/usage/meter.ts'
import { readUsage } from '../../src/usage/usage-days.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'

const local = { provider: 'hf', model: 'm', ranOn: 'local' } as const
const cloud = { provider: 'claude', model: 'm', ranOn: 'cloud' } as const
const anonymous = { key: 'address:1', authenticated: false, userId: undefined, keyId: undefined }
const ana = { key: 'user:ana', authenticated: true, userId: 'ana', keyId: undefined }
const usage = (promptTokens: number, completionTokens: number) => ({ promptTokens, completionTokens, cachedPromptTokens: 0 })
const noDefaults = { requestsPerDay: 0, tokensPerDay: 0 }

async function openWorld(options: Partial<MeterOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-usage-'))
  const path = await databaseAt(join(folder, 'simpleia.db'))
  const clock = { ms: Date.UTC(2026, 0, 1, 23, 0) }
  let storage = await openStorage({ url: path })
  const time = new Date(0).toISOString()
  const user = { id: 'ana', username: 'ana', usernameKey: 'ana', passwordHash: '', role: 'user' } as const
  await storage.db
    .insertInto('users')
    .values({ ...user, tokenGeneration: 0, createdAt: time, updatedAt: time })
    .execute()
  onTestFinished(async () => {
    await storage.close()
    await rm(folder, { recursive: true })
  })
  const failures: unknown[] = []
  const meterOf = () =>
    createMeter({
      db: storage.db,
      now: () => clock.ms,
      defaults: noDefaults,
      onFailure: (error) => void failures.push(error),
      ...options,
    })
  return {
    path,
    clock,
    failures,
    db: () => storage.db,
    meter: meterOf(),
    async restart() {
      await storage.close()
      storage = await openStorage({ url: path })
      return meterOf()
    },
  }
}

const refusal = (work: Promise<unknown>) => work.then(() => undefined).catch((error: unknown) => error)

test('of twenty at the same time five are let in, where five are allowed', async () => {
  const { meter } = await openWorld({ defaults: { requestsPerDay: 5, tokensPerDay: 0 } })
  const refused = await Promise.all(Array.from({ length: 20 }, () => refusal(meter.admit(ana, local))))
  expect(refused.filter((error) => error === undefined)).toHaveLength(5)
  for (const error of refused.filter((one) => one !== undefined)) {
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({
      code: 'quota_exceeded',
      retryAfterSeconds: 3600,
      message: 'You have used your 5 requests of today (used: 5). The next day begins at 00:00 UTC, in 3600 s.',
    })
  }
})

test('the next day begins with nothing used, at midnight in UTC', async () => {
  const { meter, clock } = await openWorld({ defaults: { requestsPerDay: 1, tokensPerDay: 0 } })
  await meter.admit(ana, local)
  clock.ms += 3_599_999
  expect(await refusal(meter.admit(ana, local))).toMatchObject({ retryAfterSeconds: 1 })
  clock.ms += 1
  expect(await refusal(meter.admit(ana, local))).toBeUndefined()
})

test('a restart forgets nothing', async () => {
  const world = await openWorld({ defaults: { requestsPerDay: 2, tokensPerDay: 10 } })
  await world.meter.admit(ana, local)
  await world.meter.note(ana, local, usage(4, 6))
  const meter = await world.restart()
  expect(await refusal(meter.admit(ana, local))).toMatchObject({
    message: expect.stringContaining('10 tokens of today (used: 10)'),
  })
  expect(await meter.stateOf(ana)).toMatchObject([{ used: { requests: 1, promptTokens: 4, completionTokens: 6 } }])
})

test('a request that comes below the limit of tokens may pass it, the next one is refused', async () => {
  const { meter } = await openWorld({ defaults: { requestsPerDay: 0, tokensPerDay: 10 } })
  await meter.admit(ana, local)
  await meter.note(ana, local, usage(5, 4))
  await meter.admit(ana, local)
  await meter.note(ana, local, usage(500, 100))
  expect(await refusal(meter.admit(ana, local))).toMatchObject({
    code: 'quota_exceeded',
    message: expect.stringContaining('609'),
  })
})

test('what a key refuses is not counted for its user', async () => {
  const world = await openWorld()
  const key = { id: 'k', userId: 'ana', name: 'k', secretHash: '', lastFour: '', scopes: '[]', createdAt: '', requestsPerDay: 1 }
  await world.db().insertInto('apiKeys').values(key).execute()
  const withKey = { ...ana, keyId: 'k' }
  await world.meter.admit(withKey, local)
  expect(await refusal(world.meter.admit(withKey, local))).toMatchObject({
    message: expect.stringMatching(/^This API key has used/),
  })
  await world.meter.admit(ana, local)
  const counted = (await world.meter.stateOf(withKey)).map(({ name, used }) => [name, used.requests])
  expect(counted).toEqual([
    ['user:ana', 2],
    ['key:k', 1],
  ])
})

test('a quota of the user stands before that of all users, and 0 lifts it', async () => {
  const world = await openWorld({ defaults: { requestsPerDay: 1, tokensPerDay: 0 } })
  for (const [requestsPerDay, letIn] of [
    [3, 3],
    [0, 10],
    [null, 0],
  ] as const) {
    await world.db().updateTable('users').set({ requestsPerDay }).execute()
    const refused = await Promise.all(Array.from({ length: 10 }, () => refusal(world.meter.admit(ana, local))))
    expect(refused.filter((error) => error === undefined)).toHaveLength(letIn)
  }
})

test('the ceiling of a provider holds for all callers together, and for nothing on this machine', async () => {
  const world = await openWorld({
    ceilings: () => new Map([['claude', 5]]),
    costOf: ({ provider }, { promptTokens }) => (provider === 'claude' ? promptTokens * 1_000_000 : undefined),
  })
  const { meter } = world
  await meter.admit(anonymous, cloud)
  await meter.note(anonymous, cloud, usage(2, 0))
  await meter.admit(ana, cloud)
  await meter.note(ana, cloud, usage(3, 0))
  expect(await refusal(meter.admit(ana, cloud))).toMatchObject({
    code: 'quota_exceeded',
    message: expect.stringContaining('The provider "claude" has used its 5.00 USD of today (used: 5.00 USD).'),
  })
  expect(await refusal(meter.admit(anonymous, cloud))).toMatchObject({ code: 'quota_exceeded' })
  await meter.admit(ana, local)
  expect(await readUsage(world.db(), 'user:ana', '2026-01-01')).toMatchObject({ requests: 2, costMicros: 3_000_000 })
})

test('costs are rounded up to a millionth of a dollar', async () => {
  const world = await openWorld({ costOf: () => 0.2 })
  await world.meter.note(ana, cloud, usage(1, 0))
  expect(await readUsage(world.db(), 'user:ana', '2026-01-01')).toMatchObject({ costMicros: 1 })
})

test('where a limit on costs holds, a model without a price is not asked', async () => {
  const { meter } = await openWorld({ ceilings: () => new Map([['claude', 5]]) })
  expect(await refusal(meter.admit(anonymous, cloud))).toMatchObject({
    code: 'forbidden',
    message: expect.stringContaining('price'),
  })
  expect(await refusal(meter.admit(anonymous, { ...cloud, provider: 'openai' }))).toBeUndefined()
})

test('a request that goes from one provider to the next counts once for who asks, and for each provider that is asked', async () => {
  const world = await openWorld({ defaults: { requestsPerDay: 1, tokensPerDay: 0 } })
  await world.meter.admit(ana, cloud)
  await world.meter.admit(ana, { ...cloud, provider: 'openai' }, true)
  await world.meter.admit(ana, local, true)
  const requestsOf = async (subject: string) => (await readUsage(world.db(), subject, '2026-01-01')).requests
  expect(await Promise.all(['user:ana', 'provider:claude', 'provider:openai', 'provider:hf'].map(requestsOf))).toEqual([
    1, 1, 1, 0,
  ])
  expect(await refusal(world.meter.admit(ana, local))).toMatchObject({ code: 'quota_exceeded' })
})

test('who has spent a limit on costs may ask what costs nothing', async () => {
  const world = await openWorld({ costOf: ({ ranOn }) => (ranOn === 'cloud' ? 1_000_000 : undefined) })
  await world.db().updateTable('users').set({ costMicrosPerDay: 1_000_000 }).execute()
  await world.meter.admit(ana, cloud)
  await world.meter.note(ana, cloud, usage(1, 1))
  expect(await refusal(world.meter.admit(ana, cloud))).toMatchObject({ code: 'quota_exceeded' })
  expect(await refusal(world.meter.admit(ana, local))).toBeUndefined()
})

test('limits on costs hold for a provider at an address of this machine that has a price or a ceiling', async () => {
  const gateway = { provider: 'gateway', model: 'priced', ranOn: 'local' } as const
  const world = await openWorld({
    ceilings: () => new Map([['gateway', 1]]),
    costOf: ({ model }, { promptTokens }) => (model === 'priced' ? promptTokens * 1_000_000 : undefined),
  })
  await world.meter.admit(anonymous, gateway)
  await world.meter.note(anonymous, gateway, usage(1, 0))
  expect(await refusal(world.meter.admit(anonymous, gateway))).toMatchObject({
    code: 'quota_exceeded',
    message: expect.stringContaining('The provider "gateway" has used its 1.00 USD'),
  })
  expect(await refusal(world.meter.admit(anonymous, { ...gateway, model: 'other' }))).toMatchObject({ code: 'forbidden' })
  await world.db().updateTable('users').set({ costMicrosPerDay: 1_000_000 }).execute()
  const withoutCeiling = { ...gateway, provider: 'other' }
  await world.meter.admit(ana, withoutCeiling)
  await world.meter.note(ana, withoutCeiling, usage(1, 0))
  expect(await refusal(world.meter.admit(ana, withoutCeiling))).toMatchObject({ code: 'quota_exceeded' })
  expect(await refusal(world.meter.admit(ana, { ...withoutCeiling, model: 'free' }))).toBeUndefined()
})

test.skipIf(onPostgres)('after it has counted, whatever else is written waits for the disk again', async () => {
  const world = await openWorld({ defaults: { requestsPerDay: 1, tokensPerDay: 0 } })
  const synchronous = async () =>
    (await sql<{ synchronous: number }>`pragma synchronous`.execute(world.db())).rows[0]?.synchronous
  await world.meter.admit(ana, local)
  expect(await synchronous()).toBe(2)
  await refusal(world.meter.admit(ana, local))
  expect(await synchronous()).toBe(2)
})

test('the anonymous leave nothing behind', async () => {
  const world = await openWorld()
  await world.meter.admit(anonymous, local)
  await world.meter.note(anonymous, local, usage(1, 1))
  expect(await world.db().selectFrom('usageDays').selectAll().execute()).toEqual([])
})

test('what cannot be counted at the end of an answer is told, and stops nobody', async () => {
  const world = await openWorld()
  await world.db().schema.dropTable('usage_days').execute()
  await world.meter.note(ana, local, usage(1, 1))
  await world.meter.admit(ana, local)
  expect(world.failures).toHaveLength(2)
})
