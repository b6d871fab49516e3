import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { PullEvent } from '../../src/models/download-events.ts'
import { createPulls } from '../../src/models/pulls.ts'
import { completed, endOfFailure, openSharedJobs } from '../../src/models/shared-jobs.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { patient } from '../conversations-world.ts'
import { endedPid } from '../ended-process.ts'
import { createGate, startHub } from '../hub.ts'
import { loneInstance } from '../lone-instance.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { scriptedQuantizers } from '../quantizer.ts'
import { bodyOf, startServer } from '../server.ts'
import { type ParsedEvent, readEvents } from '../sse-parser.ts'
import { scriptedHost } from './cli-world.ts'

const file = 'Some-Model-Q4_K_M.gguf'
const repository = 'owner/Some-Model-GGUF'
const content = randomBytes(300_000)

type Json = Readonly<Record<string, unknown>>
type Pulls = Readonly<{ pulls: readonly (Json & { id: string })[]; ended: readonly Json[] }>
type Jobs = Readonly<{ items: readonly (Json & { id: string })[] }>

/** Two services on one database, each with models of its own unless they share them; pulls wait for the gate, and quantizations hang. */
async function openReplicas({ sharesModels = false } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-jobs-'))
  const gate = createGate()
  const hub = await startHub({ repositories: { [repository]: { [file]: content } }, fault: gate.fault })
  const quantizers = scriptedQuantizers(() => [{ type: 'tensor-progress', tensor: 2, tensors: 9 } as const])
  const start = async (name: string) => {
    const modelsDir = join(folder, sharesModels ? 'shared' : name)
    await mkdir(modelsDir, { recursive: true })
    await writeFile(join(modelsDir, 'big-f16.gguf'), 'GGUF')
    const settings = {
      DATABASE_URL: join(folder, 'simpleia.db'),
      MODELS_DIR: modelsDir,
      SECRET_KEY: 'the same in all replicas, at least 32 characters',
      HF_ENDPOINT: hub.endpoint,
    }
    return startServer({ host: scriptedHost(['big-f16']).host, settings, spawnQuantizer: quantizers.spawn })
  }
  const first = await start('first')
  const authorization = `Bearer ${await first.login('root')}`
  const second = await start('second')
  const storage = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) })
  onTestFinished(async () => {
    await first[Symbol.asyncDispose]()
    await second[Symbol.asyncDispose]()
    await storage.close()
    await rm(folder, { recursive: true })
  })
  const askOf = (url: string) => (method: string, path: string, body?: object, signal?: AbortSignal) =>
    fetch(url + path, {
      method,
      headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
  const [one, other] = [askOf(first.url), askOf(second.url)]
  const pulls = async (ask = other) => bodyOf<Pulls>(await ask('GET', '/models/pulls'))
  const jobs = async (ask = other) => bodyOf<Jobs>(await ask('GET', '/models/jobs'))
  return { folder, gate, one, other, pulls, jobs, db: storage.db, first }
}

async function collect(response: Response): Promise<readonly ParsedEvent[]> {
  const events: ParsedEvent[] = []
  for await (const event of readEvents(response)) events.push(event)
  return events
}

const dataOf = (event: ParsedEvent | undefined): Json => JSON.parse(event?.data ?? '{}')

test('a pull of one replica is listed, followed and seen to end through another', async () => {
  const { gate, one, other, pulls } = await openReplicas()
  const pulling = one('POST', '/models/pull', { name: repository, stream: false })
  await expect
    .poll(() => pulls(), patient)
    .toMatchObject({ pulls: [{ name: repository, stage: { type: 'download-start', file } }] })
  const [{ id } = { id: '' }] = (await pulls()).pulls
  expect(await bodyOf(await other('GET', `/models/pulls/${id}`))).toMatchObject({ id, name: repository })
  const events = readEvents(await other('GET', `/models/pulls/${id}?stream=true`))
  // Only who has begun to follow sees more than the end.
  expect(dataOf((await events.next()).value)).toEqual({ id, type: 'download-start', file, total_bytes: content.length })
  gate.open()
  expect(await bodyOf(await pulling)).toEqual({ name: 'Some-Model-Q4_K_M' })
  expect((await Array.fromAsync(events)).at(-1)).toEqual({ event: 'done', data: '{"name":"Some-Model-Q4_K_M"}' })
  const ended = { id, outcome: 'completed', model: 'Some-Model-Q4_K_M', error: null }
  for (const ask of [one, other]) {
    expect(await pulls(ask)).toMatchObject({ pulls: [], ended: [ended] })
    expect(await bodyOf(await ask('GET', `/models/pulls/${id}`))).toMatchObject(ended)
  }
})

// With SQLite one looks every few seconds whether something is asked of one.
test.runIf(onPostgres)('a pull is stopped through another replica, and whoever follows it anywhere is told', async () => {
  const { folder, gate, one, other, pulls } = await openReplicas()
  const pulling = one('POST', '/models/pull', { name: repository }).then(collect)
  await expect.poll(gate.isReached, patient).toBe(true)
  const [{ id } = { id: '' }] = (await pulls()).pulls
  const following = collect(await other('GET', `/models/pulls/${id}?stream=true`))
  expect((await other('DELETE', `/models/pulls/${id}`)).status).toBe(204)
  for (const events of [await pulling, await following])
    expect(events.at(-1)).toMatchObject({ event: 'error', data: expect.stringContaining('"aborted"') })
  expect(await pulls(one)).toMatchObject({ pulls: [], ended: [{ id, outcome: 'cancelled', error: { code: 'aborted' } }] })
  expect((await other('DELETE', `/models/pulls/${id}`)).status).toBe(404)
  // What has arrived is kept where it was pulled.
  expect(await readdir(join(folder, 'first'))).toContain(`${file}.part`)
})

test.runIf(onPostgres)(
  'a quantization is listed, followed and stopped through another replica; whoever asked for it is told',
  async () => {
    const { folder, one, other, jobs } = await openReplicas()
    const body = { model: 'big-f16', quantization: 'Q8_0', report: false }
    const making = one('POST', '/models/quantize', body).then(collect)
    const progress = { stage: 'tensor', done: 2, total: 9 }
    const running = { kind: 'quantization', model: 'big-f16', quantization: 'Q8_0', state: 'running', progress }
    await expect.poll(() => jobs(), patient).toMatchObject({ items: [running] })
    const [{ id } = { id: '' }] = (await jobs()).items
    expect(await bodyOf(await other('GET', `/models/jobs/${id}`))).toMatchObject(running)
    const following = collect(await other('GET', `/models/jobs/${id}?stream=true`))
    expect((await other('DELETE', `/models/jobs/${id}`)).status).toBe(204)
    expect((await making).at(-1)).toMatchObject({ event: 'error', data: expect.stringContaining('"aborted"') })
    const events = await following
    expect(dataOf(events[0])).toEqual(progress)
    expect(events.at(-1)?.event).toBe('done')
    expect(dataOf(events.at(-1))).toMatchObject({ id, state: 'cancelled', progress: null, error: { code: 'aborted' } })
    expect((await other('DELETE', `/models/jobs/${id}`)).status).toBe(409)
    expect((await other('GET', '/models/jobs/nothing')).status).toBe(404)
    expect(await readdir(join(folder, 'first'))).toEqual(['big-f16.gguf'])
  },
)

test('a quantization into the name that another replica makes a model of is refused', async () => {
  const { one, other, jobs, folder } = await openReplicas({ sharesModels: true })
  const body = { model: 'big-f16', quantization: 'Q8_0', report: false }
  const leaving = new AbortController()
  const making = one('POST', '/models/quantize', body, leaving.signal).then(collect)
  await expect.poll(() => jobs(), patient).toMatchObject({ items: [{ state: 'running', progress: { done: 2 } }] })
  const second = await other('POST', '/models/quantize', body)
  expect([second.status, await bodyOf(second)]).toMatchObject([
    409,
    { error: { code: 'conflict', message: expect.stringContaining('"big-q8_0"') } },
  ])
  leaving.abort()
  await making.catch(() => {})
  await expect.poll(() => readdir(join(folder, 'shared')), patient).toEqual(['big-f16.gguf'])
})

test.runIf(onPostgres)('what a replica that was killed left is told as broken off, once, and what others do stays', async () => {
  const { one, other, pulls, db, gate } = await openReplicas()
  const leaving = new AbortController()
  const left = one('POST', '/models/pull', { name: repository }, leaving.signal).catch(() => undefined)
  await expect.poll(gate.isReached, patient).toBe(true)
  const { host = '' } = (await db.selectFrom('instances').select('host').executeTakeFirst()) ?? {}
  await db.insertInto('instances').values({ id: 'dead', host, pid: endedPid(), startedAt: 0, seenAt: 0 }).execute()
  const dead = { state: 'running', instanceId: 'dead', createdAt: new Date().toISOString(), progress: null } as const
  const empty = { quantization: null, model: null, errorCode: null, errorMessage: null, endedAt: null, wish: null }
  for (const kind of ['pull', 'merge'] as const)
    await db
      .insertInto('modelJobs')
      .values({ ...dead, ...empty, id: `dead-${kind}`, kind, name: kind })
      .execute()
  const following = collect(await other('GET', '/models/pulls/dead-pull?stream=true'))
  // Noticed at the next beat of those that are there.
  const events = await following
  expect(events.at(-1)).toMatchObject({ event: 'error', data: expect.stringContaining('The service ended while it ran.') })
  expect(await pulls()).toMatchObject({ pulls: [{ name: repository }], ended: [{ id: 'dead-pull', outcome: 'interrupted' }] })
  const { endedAt } = await db.selectFrom('modelJobs').select('endedAt').where('id', '=', 'dead-pull').executeTakeFirstOrThrow()
  expect(await bodyOf(await one('GET', '/models/jobs/dead-merge'))).toMatchObject({ state: 'interrupted', ended_at: endedAt })
  leaving.abort()
  await left
})

test('what the end of the service broke off says so', async () => {
  const { db, first, gate, one, pulls } = await openReplicas()
  const pulling = one('POST', '/models/pull', { name: repository }).then(collect)
  await expect.poll(gate.isReached, patient).toBe(true)
  await first.app.close({ graceMs: 0 })
  expect((await pulling).at(-1)?.event).toBe('error')
  expect(await pulls()).toMatchObject({ pulls: [], ended: [{ name: repository, outcome: 'interrupted' }] })
  expect(await db.selectFrom('modelJobs').select(['state', 'progress']).execute()).toEqual([
    { state: 'interrupted', progress: null },
  ])
})

/** Work of a process on a database of its own, at a time that the test says. */
async function openJobs() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-jobs-'))
  const storage = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) })
  onTestFinished(async () => {
    await storage.close()
    await rm(folder, { recursive: true })
  })
  let ms = Date.UTC(2026, 0, 1)
  const instances = loneInstance()
  const { id: instanceId } = instances
  await storage.db.insertInto('instances').values({ id: instanceId, host: 'this', pid: 1, startedAt: 0, seenAt: 0 }).execute()
  const failures: object[] = []
  const log = { error: (details: object) => void failures.push(details) }
  const open = () => openSharedJobs({ db: storage.db, instances, now: () => ms, log, isEnding: () => false, everyMs: 1 })
  const pass = (more: number) => {
    ms += more
  }
  return { db: storage.db, instanceId, failures, open, pass }
}

const pull = { kind: 'pull', name: repository, quantization: null } as const

test('of those that have ended the last twenty of a kind are kept, for a day', async () => {
  const { open, pass, db } = await openJobs()
  const jobs = await open()
  const merge = jobs.begin({ kind: 'merge', name: 'a+b', quantization: null }, () => {})
  await merge.end(completed('a-b'))
  for (let count = 1; count <= 25; count += 1) {
    pass(1000)
    await jobs.begin(pull, () => {}).end(completed(`model-${count}`))
  }
  expect((await jobs.list(['pull'])).map(({ model }) => model)).toEqual(
    Array.from({ length: 20 }, (_, index) => `model-${25 - index}`),
  )
  expect(await jobs.list(['merge', 'quantization'])).toMatchObject([{ state: 'completed', model: 'a-b' }])
  pass(24 * 3600 * 1000)
  expect(await jobs.list(['pull'])).toEqual([])
  await jobs.begin(pull, () => {}).end(endOfFailure(new Error('x')))
  expect(await jobs.list(['pull'])).toMatchObject([{ state: 'failed', errorCode: 'internal' }])
  expect(await db.selectFrom('modelJobs').selectAll().where('kind', '=', 'pull').execute()).toHaveLength(1)
})

test('what a killed process left is told at the next start; what could not be written down is written later', async () => {
  const { open, db, instanceId, failures } = await openJobs()
  const before = await open()
  const left = before.begin(pull, () => {})
  await left.noted
  await db.updateTable('modelJobs').set({ instanceId: 'gone' }).execute()
  const jobs = await open()
  expect(await jobs.list(['pull'])).toMatchObject([{ id: left.id, state: 'interrupted', errorCode: 'aborted' }])
  await db.schema.alterTable('model_jobs').renameTo('model_jobs_away').execute()
  const lost = jobs.begin(pull, () => {})
  lost.tell({ done: 1 })
  await lost.end(completed('late'))
  expect(failures.length).toBeGreaterThan(0)
  await db.schema.alterTable('model_jobs_away').renameTo('model_jobs').execute()
  await jobs.look()
  expect(await jobs.find(lost.id)).toMatchObject({ state: 'completed', model: 'late', instanceId, progress: null })
})

test('who waits for the pull of another process into the same folder sees how far that is', async () => {
  const { open, db } = await openJobs()
  const jobs = await open()
  await db.insertInto('instances').values({ id: 'two', host: 'that', pid: 1, startedAt: 0, seenAt: 0 }).execute()
  const theirs = (await open()).begin({ ...pull, name: `hf:${repository}` }, () => {})
  const progress = { type: 'download-progress', receivedBytes: 7, totalBytes: 9, bytesPerSecond: 1, secondsLeft: 2 } as const
  theirs.tell({ progress })
  await theirs.noted
  const ended = Promise.withResolvers<void>()
  const pulls = createPulls({
    shared: jobs,
    convert: async function* () {},
    pull: async function* () {
      yield { type: 'download-wait' }
      await ended.promise
      yield { type: 'model-ready', file, name: 'some-model' }
    },
  })
  const watched = pulls.watch(pulls.start(repository).id, new AbortController().signal)
  expect((await watched.next()).value).toEqual({ type: 'download-wait' })
  expect((await watched.next()).value).toEqual(progress)
  ended.resolve()
  const rest: PullEvent[] = []
  for await (const event of watched) rest.push(event)
  expect(rest).toEqual([{ type: 'model-ready', file, name: 'some-model' }])
  await theirs.end(completed('some-model'))
})
