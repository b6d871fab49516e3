import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { createLedger } from '../../src/egress/ledger.ts'
import { createEgress } from '../../src/engine/cloud/egress.ts'
import { AppError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { startEvaluationWorld } from '../evaluation-world.ts'
import { place } from '../every-failure.ts'
import { type Fault, failAt, full, onceBroken } from '../failing-disk.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { endOf, plan, stepOf } from '../trainer.ts'
import { openTrainingWorld } from '../training-world.ts'

beforeAll(() => void vi.stubEnv('TMPDIR', place))

/** A statement that fails in PostgreSQL takes its transaction with it, however often others fail. */
const faults: readonly Fault[] = onPostgres ? [full] : [onceBroken, full]

/** Each operation that changes something fails once, on a disk of each kind, until none is left; gives how many did. */
async function everyOperation(work: (failing: Readonly<{ at: number; fault: Fault; label: string }>) => Promise<boolean>) {
  let failures = 0
  for (const fault of faults)
    for (let at = 1; await work({ at, fault, label: `operation ${at}, ${fault.code}` }); at += 1) failures += 1
  return failures
}

function checkError(error: unknown): undefined {
  if (!(error instanceof AppError)) throw error
  expect(['storage_full', 'unavailable']).toContain(error.code)
}

type World = Awaited<ReturnType<typeof openTrainingWorld>>

/** When the queue looks again, where the database refused. */
const retryMs = 60_000
const told = new WeakSet<object>()

/** Lets the processes train, until the run has come to rest. */
async function drive(world: World, id: string): Promise<string> {
  for (;;) {
    await setImmediate()
    const state = await world.stateOf(id)
    const waits = world.clock.waits().includes(retryMs)
    if (['completed', 'failed', 'interrupted'].includes(state) || waits) return state
    const trainer = world.trainers.at(-1)
    if (trainer !== undefined && !told.has(trainer)) {
      told.add(trainer)
      try {
        const file = await world.adapterOf(trainer)
        trainer.send(plan, stepOf(1), { type: 'train-checkpoint', step: 1 }, endOf('completed', 1, file))
      } catch {
        trainer.fail(new AppError('storage_full', 'The disk is full.'))
      }
    }
  }
}

test('a training run comes to an end that is told, and to its adapter when it is tried again', async () => {
  const world = await openTrainingWorld()
  const failures = await everyOperation(async ({ at, fault, label }) => {
    let id: string | undefined
    const { isMet, error } = await failAt({ folder: world.trainingDir, at, fault }, async () => {
      id = (await world.create()).row.id
      await drive(world, id)
    })
    if (error !== undefined) checkError(error)
    id ??= (await world.create()).row.id
    let state = await drive(world, id)
    for (let tries = 0; tries < 3 && state !== 'completed'; tries += 1) {
      if (state === 'failed' || state === 'interrupted') await world.runs().resume(id)
      world.clock.advance(retryMs)
      state = await drive(world, id)
    }
    expect(state, label).toBe('completed')
    expect(await world.models(), label).toContain(`${(await world.runs().get(id)).row.name}.gguf`)
    return isMet
  })
  expect(failures).toBeGreaterThan(10)
  await world.restart()
  expect(await world.folders()).toEqual([])
})

test('an evaluation ends, and its end is kept when there is room again', async () => {
  const { admin, folder } = await startEvaluationWorld()
  await admin('POST', '/predict', { prompt: 'What was asked' })
  const path = '/training/evaluations'
  let last: unknown
  const failures = await everyOperation(async ({ at, fault, label }) => {
    let id: unknown
    const { isMet } = await failAt({ folder, at, fault }, async () => {
      const { status, json } = await admin('POST', path, { kind: 'upgrade', a: 'base', b: 'tuned', conversations: 1 })
      if (status !== 201) return expect([503, 507], label).toContain(status)
      id = json.id
      await admin('GET', `${path}/${id}?stream=true`)
    })
    if (id === undefined) return isMet
    // It has ended, and whoever wants it to end has it looked at.
    expect((await admin('POST', `${path}/${id}/cancel`)).status, label).toBe(409)
    const { state, error } = (await admin('GET', `${path}/${id}`)).json
    if (state === 'failed') expect(['storage_full', 'unavailable'], label).toContain(error.code)
    else expect(state, label).toBe('completed')
    last = state
    return isMet
  })
  expect(failures).toBeGreaterThan(5)
  expect(last).toBe('completed')
})

test('nothing leaves that the ledger of what leaves does not know', async () => {
  const folder = await mkdtemp(join(place, 'simpleia-ledger-'))
  const { db, close } = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) })
  onTestFinished(async () => {
    await close()
    await rm(folder, { recursive: true })
  })
  const ledger = createLedger({ db })
  const failures = await everyOperation(async ({ at, fault, label }) => {
    let sent = 0
    const answers = async () => {
      sent += 1
      return new Response('yes')
    }
    const egress = createEgress({ localOnly: false, fetch: answers, now: () => 0, record: ledger.record })
    const before = (await ledger.sum({})).requests
    const { isMet, error } = await failAt({ folder, at, fault }, async () => {
      const errand = egress.begin({ purpose: 'model-download', model: 'one' })
      try {
        await (await errand.fetch('https://hub.test/one')).text()
      } finally {
        await errand.end()
      }
    })
    if (error !== undefined) checkError(error)
    expect((await ledger.sum({})).requests - before, label).toBe(sent)
    expect(sent, label).toBe(error === undefined ? 1 : 0)
    return isMet
  })
  expect(failures).toBeGreaterThan(1)
})
