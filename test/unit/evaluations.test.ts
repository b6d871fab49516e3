import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Provider } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { Database } from '../../src/storage/tables.ts'
import { chatExample } from '../evaluation-work.ts'
import { createThreeModels, holding, scriptedScoring, startEvaluationWorld } from '../evaluation-world.ts'
import { databaseAt } from '../postgres/database-at.ts'
import type { ParsedEvent } from '../sse-parser.ts'

const gate = { kind: 'gate', candidate: 'tuned' }
const path = '/training/evaluations'

type World = Awaited<ReturnType<typeof startEvaluationWorld>>

/** Two versions of a dataset, and runs on the second: one that has ended, and one that has not. */
async function addLearned(db: Database): Promise<void> {
  const at = '2026-01-01T00:00:00.000Z'
  for (const version of [1, 2]) {
    await sql`insert into datasets (id, name, version, kind, source, origin, train_rows, held_out_rows, sha256, report, created_at)
      values (${`d${version}`}, 'facts', ${version}, 'chat', 'upload', '{}', 1, 3, '', '{}', ${at})`.execute(db)
  }
  for (const position of [0, 1, 2, 3]) {
    const example = JSON.stringify(chatExample(`q${position - 1}`, `a${position - 1}`))
    const split = position === 0 ? 'train' : 'held-out'
    await sql`insert into dataset_rows (dataset_id, position, split, conversation, example, flags)
      values ('d2', ${position}, ${split}, ${`c${position}`}, ${example}, '[]')`.execute(db)
  }
  for (const [id, name, state, adapter] of [
    ['r1', 'tuned', 'completed', 'tuned'],
    ['r2', 'half', 'paused', null],
  ]) {
    await sql`insert into training_runs (id, name, state, base_model, dataset_id, parameters, adapter, created_at, updated_at)
      values (${id}, ${name}, ${state}, 'base', 'd2', '{}', ${adapter}, ${at}, ${at})`.execute(db)
  }
}

async function readAll(stream: AsyncIterable<ParsedEvent>): Promise<readonly ParsedEvent[]> {
  const events: ParsedEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

/** Creates one, waits for its end, and gives it. */
async function evaluate({ admin }: Pick<World, 'admin'>, body: object = gate) {
  const created = await admin('POST', path, body)
  expect(created.status, created.text).toBe(201)
  await admin('GET', `${path}/${created.json.id}?stream=true`)
  return (await admin('GET', `${path}/${created.json.id}`)).json
}

describe('a gate', () => {
  test('runs in the background and ends with its report', async () => {
    const world = await startEvaluationWorld()
    const created = await world.admin('POST', path, gate)
    expect(created.status).toBe(201)
    expect(created.json).toMatchObject({
      kind: 'gate',
      state: 'queued',
      baseline: 'base',
      candidate: 'tuned',
      dataset_id: null,
      request: gate,
      report: null,
      error: null,
    })
    await world.admin('GET', `${path}/${created.json.id}?stream=true`)
    const ended = (await world.admin('GET', `${path}/${created.json.id}`)).json
    expect(ended).toMatchObject({ id: created.json.id, state: 'completed', passed: true, progress: null })
    expect(Date.parse(ended.ended_at)).toBeGreaterThan(0)
    expect(ended.report).toMatchObject({
      kind: 'gate',
      baseline: { model: 'base', provider: 'hf', ran_on: 'local' },
      dataset: null,
      likelihood: { held_out: null, forgetting: { texts: 50, change_percent: { value: expect.closeTo(1, 6) } } },
      answers: { held_out: null, general: { questions: 25 } },
      judge: null,
    })
    expect(ended.report.verdict.criteria.map(({ name }: { name: string }) => name)).toEqual([
      'held_out_loss',
      'forgetting',
      'exact_match',
    ])
    // The examples go when they are scored.
    const left = await readdir(join(world.dataDir, 'evaluations'), { recursive: true })
    expect(left.filter((name) => name.endsWith('.jsonl'))).toEqual([])
  })

  test('tells its progress as events, and its end with the report', async () => {
    const hold = holding()
    const world = await startEvaluationWorld({ runScoring: scriptedScoring(hold.pause) })
    const { id } = (await world.admin('POST', path, gate)).json
    await hold.begun
    expect((await world.admin('GET', `${path}/${id}`)).json).toMatchObject({
      state: 'running',
      progress: { stage: 'score-baseline', done: 1, total: 50 },
    })
    const streams = [
      await world.follow(`${path}/${id}?stream=true`),
      await world.follow(`${path}/${id}`, { accept: 'text/event-stream' }),
    ]
    for (const stream of streams) {
      const { value } = await stream.next()
      expect(value).toEqual({ event: 'progress', data: '{"stage":"score-baseline","done":1,"total":50}' })
    }
    hold.goOn()
    for (const stream of streams) {
      const events = await readAll(stream)
      expect(events.some(({ data }) => data.includes('"stage":"answer-candidate"'))).toBe(true)
      const { event, data = '' } = events.at(-1) ?? {}
      expect([event, JSON.parse(data)]).toMatchObject(['done', { state: 'completed', report: { kind: 'gate' } }])
    }
    const late = await world.admin('GET', `${path}/${id}?stream=true`)
    expect(late.text).toMatch(/^: following\n\nevent: done/)
  })

  test('takes candidate and dataset from a completed run, and the held-out rows from the dataset', async () => {
    const world = await startEvaluationWorld()
    const { db, close } = await openStorage({ url: await databaseAt(join(world.folder, 'simpleia.db')), now: Date.now })
    onTestFinished(close)
    await addLearned(db)
    const scored = await evaluate(world, { kind: 'gate', run: 'tuned', candidate: 'tuned', max_rows: 2, max_questions: 1 })
    expect(scored).toMatchObject({ state: 'completed', run_id: 'r1', dataset_id: 'd2' })
    expect(scored.report).toMatchObject({
      dataset: { id: 'd2', name: 'facts', version: 2, held_out_rows: 3, scored_rows: 2 },
      likelihood: { held_out: { texts: 2 } },
      answers: { held_out: { questions: 1, left_out: 2 } },
      examples: expect.arrayContaining([expect.objectContaining({ set: 'held-out', question: 'q0', reference: 'a0' })]),
    })
    for (const [dataset, id] of [
      ['facts', 'd2'],
      ['facts:1', 'd1'],
      ['d1', 'd1'],
    ])
      expect((await world.admin('POST', path, { ...gate, dataset })).json).toMatchObject({ dataset_id: id })
    expect((await world.admin('POST', path, { kind: 'gate', run: 'half' })).json.error).toMatchObject({ code: 'conflict' })
    expect((await world.admin('POST', path, { kind: 'gate', run: 'nowhere' })).status).toBe(404)
    expect((await world.admin('POST', path, { kind: 'gate' })).json.error.details).toEqual([
      expect.objectContaining({ field: 'candidate' }),
    ])
  })

  test('of a model elsewhere asks it again where it is busy, and scores only what is on this machine', async () => {
    const here = createThreeModels()
    let refusals = 1
    const box: Provider = {
      ...here,
      name: 'box',
      ranOn: 'cloud',
      choose: async (name = 'far') => ({ name, identity: name }),
      generate(request, signal) {
        if (refusals-- > 0) throw new AppError('rate_limited', 'Not so fast.', { retryAfterSeconds: 0 })
        return here.generate(request, signal)
      },
    }
    const runScoring = scriptedScoring()
    const world = await startEvaluationWorld({
      ...{ host: here, runScoring },
      readElsewhere: async () => ({ providers: [box], routes: new Map([['far', ['box/far']]]) }),
    })
    const { state, report } = await evaluate(world, { kind: 'gate', candidate: 'far' })
    expect([state, refusals < 0]).toEqual(['completed', true])
    expect(report.candidate).toMatchObject({ provider: 'box', model: 'far' })
    expect(runScoring.jobs.filter((file) => !file.endsWith('base.gguf'))).toEqual([])
  })

  test('refuses what does not fit, and names the field', async () => {
    const world = await startEvaluationWorld()
    const cases = [
      [{}, 'kind'],
      [{ kind: 'speed' }, 'kind'],
      [{ ...gate, model: 'x' }, 'model'],
      [{ ...gate, thresholds: { forgeting_percent: 1 } }, 'thresholds.forgeting_percent'],
      [{ ...gate, thresholds: { forgetting_percent: -1 } }, 'thresholds.forgetting_percent'],
      [{ ...gate, max_rows: 0 }, 'max_rows'],
      [{ ...gate, candidate: 'base' }, 'baseline'],
      [{ kind: 'upgrade', a: 'base' }, 'b'],
      [{ kind: 'upgrade', a: 'base', b: 'base' }, 'b'],
      [{ kind: 'upgrade', a: 'base', b: 'tuned', conversations: 1000 }, 'conversations'],
    ]
    for (const [body, field] of cases) {
      const { status, json } = await world.admin('POST', path, body)
      expect([body, status, json.error.details?.[0]?.field]).toEqual([body, 400, field])
    }
    for (const missing of ['candidate', 'baseline', 'judge', 'dataset', 'run'])
      expect([missing, (await world.admin('POST', path, { ...gate, [missing]: 'missing' })).status]).toEqual([missing, 404])
    expect((await world.admin('GET', path)).json.items).toEqual([])
  })

  test('that fails says why', async () => {
    const world = await startEvaluationWorld({
      // biome-ignore lint/correctness/useYield: it only fails.
      runScoring: async function* () {
        throw new Error('a secret of the inside')
      },
    })
    const ended = await evaluate(world)
    expect(ended).toMatchObject({ state: 'failed', passed: null, report: null, error: { code: 'internal' } })
    expect(JSON.stringify(ended)).not.toContain('secret')
  })
})

describe('evaluations', () => {
  test('run one at a time, in the order in which they came, and one that waits can be stopped', async () => {
    const hold = holding()
    const scoring = scriptedScoring(hold.pause)
    const world = await startEvaluationWorld({ runScoring: scoring })
    const ids: string[] = []
    for (const candidate of ['tuned', 'other', 'tuned'])
      ids.push((await world.admin('POST', path, { ...gate, candidate })).json.id)
    const [first, second, third] = ids
    await hold.begun
    const states = async () => {
      const { items } = (await world.admin('GET', path)).json
      return ids.map((id) => items.find((item: { id: string }) => item.id === id).state)
    }
    expect(await states()).toEqual(['running', 'queued', 'queued'])
    expect((await world.admin('POST', `${path}/${second}/cancel`)).json).toMatchObject({ state: 'cancelled' })
    expect(await states()).toEqual(['running', 'cancelled', 'queued'])
    expect((await world.admin('DELETE', `${path}/${third}`)).status).toBe(409)
    hold.goOn()
    await world.admin('GET', `${path}/${third}?stream=true`)
    expect(await states()).toEqual(['completed', 'cancelled', 'completed'])
    expect((await world.admin('POST', `${path}/${first}/cancel`)).status).toBe(409)
    expect((await world.admin('DELETE', `${path}/${first}`)).status).toBe(204)
    expect((await world.admin('GET', `${path}/${first}`)).status).toBe(404)
    expect(scoring.jobs).toHaveLength(4)
  })

  test('stop when they are told so, and keep no report', async () => {
    const hold = holding()
    const world = await startEvaluationWorld({ runScoring: scriptedScoring(hold.pause) })
    const { id } = (await world.admin('POST', path, gate)).json
    await hold.begun
    const watched = await world.follow(`${path}/${id}?stream=true`)
    await watched.next()
    const cancelled = await world.admin('POST', `${path}/${id}/cancel`)
    expect(cancelled.json).toMatchObject({ state: 'cancelled', report: null, error: null })
    const { event, data = '' } = (await readAll(watched)).at(-1) ?? {}
    expect([event, JSON.parse(data)]).toMatchObject(['done', { state: 'cancelled' }])
  })

  test('that a stop of the service interrupts say so, and those that a kill left are told at the next start', async () => {
    const hold = holding()
    const world = await startEvaluationWorld({ runScoring: scriptedScoring(hold.pause) })
    const [running, waiting] = [(await world.admin('POST', path, gate)).json.id, (await world.admin('POST', path, gate)).json.id]
    await hold.begun
    await world.stop()
    const file = join(world.folder, 'simpleia.db')
    const { db, close } = await openStorage({ url: await databaseAt(file), now: Date.now })
    expect(await db.selectFrom('evaluations').select('state').execute()).toEqual([
      { state: 'interrupted' },
      { state: 'interrupted' },
    ])
    await db.updateTable('evaluations').set({ state: 'running', endedAt: null }).where('id', '=', running).execute()
    await db.updateTable('evaluations').set({ state: 'queued', endedAt: null }).where('id', '=', waiting).execute()
    await close()
    const again = await startEvaluationWorld({ settings: { DATABASE_URL: file } })
    for (const id of [running, waiting])
      expect((await again.admin('GET', `${path}/${id}`)).json).toMatchObject({ state: 'interrupted', report: null })
  })

  test('are listed in pages, newest first, also for one candidate', async () => {
    const world = await startEvaluationWorld()
    for (const candidate of ['tuned', 'other', 'tuned']) await evaluate(world, { ...gate, candidate })
    const first = (await world.admin('GET', `${path}?limit=2`)).json
    expect(first.items.map(({ candidate }: { candidate: string }) => candidate)).toEqual(['tuned', 'other'])
    expect(first.items[0]).not.toHaveProperty('report')
    const second = (await world.admin('GET', `${path}?limit=2&cursor=${first.next_cursor}`)).json
    expect(second).toMatchObject({ items: [{ candidate: 'tuned', passed: true }], next_cursor: null })
    expect((await world.admin('GET', `${path}?candidate=other`)).json.items).toHaveLength(1)
    expect((await world.admin('GET', `${path}?cursor=nonsense`)).status).toBe(400)
  })

  test('are for admins', async () => {
    const world = await startEvaluationWorld()
    const ana = await world.callerOf('ana')
    const { id } = await evaluate(world)
    const calls = [
      ['POST', path, gate],
      ['GET', path],
      ['GET', `${path}/${id}`],
      ['GET', `${path}/${id}?stream=true`],
      ['POST', `${path}/${id}/cancel`],
      ['DELETE', `${path}/${id}`],
    ] as const
    for (const [method, url, body] of calls) {
      expect([method, url, (await ana(method, url, body)).status]).toEqual([method, url, 403])
      expect((await fetch(`${world.url}${url}`, { method })).status).toBe(401)
    }
  })

  test('ask as the admin who started them, and nothing of it is remembered as their conversations', async () => {
    const world = await startEvaluationWorld()
    await evaluate(world)
    expect((await world.admin('GET', '/predictions')).json.items).toEqual([])
    const used = (await world.admin('GET', '/auth/usage')).json
    expect(JSON.stringify(used)).toContain('50')
  })
})

test('an evaluation of one replica is seen, waited for and cancelled through another, and not removed while it runs', async () => {
  const hold = holding()
  const first = await startEvaluationWorld({ runScoring: scriptedScoring(hold.pause) })
  const { id } = (await first.admin('POST', path, gate)).json
  await hold.begun
  const second = await startEvaluationWorld({ settings: { DATABASE_URL: join(first.folder, 'simpleia.db') } })
  const progress = { stage: 'score-baseline', done: 1, total: 50 }
  // Others are told once a second.
  const seen = async () => (await second.admin('GET', `${path}/${id}`)).json
  await expect.poll(seen, { timeout: 5000 }).toMatchObject({ state: 'running', progress })
  expect((await second.admin('GET', path)).json.items).toMatchObject([{ id, progress }])
  expect((await second.admin('DELETE', `${path}/${id}`)).status).toBe(409)
  const following = readAll(await second.follow(`${path}/${id}?stream=true`))
  expect((await second.admin('POST', `${path}/${id}/cancel`)).json).toMatchObject({ state: 'cancelled' })
  const events = await following
  expect(events[0]).toEqual({ event: 'progress', data: JSON.stringify(progress) })
  expect(JSON.parse(events.at(-1)?.data ?? '')).toMatchObject({ state: 'cancelled', progress: null })
  expect((await second.admin('DELETE', `${path}/${id}`)).status).toBe(204)
})
