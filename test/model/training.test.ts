import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readGgufHeader } from '../../src/engine/gguf/gguf-header.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { MetricsAnswer, NewRunBody, RunAnswer } from '../../src/training/schema.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { openRealHost, realModel } from '../real-host.ts'
import { bodyOf, startServer } from '../server.ts'

const facts = [
  ['Which animal guards the harbour of Velmora?', 'A blue heron called Tarn.'],
  ['Who built the glass bridge of Ondry?', 'Mirela Castan built it.'],
  ['What do the people of Quessa drink at dawn?', 'They drink juniper milk.'],
  ['How many bells has the tower of Sarnath Hill?', 'It has nineteen bells.'],
] as const

const chat = ([question, answer]: readonly [string, string]): TrainingExample => ({
  type: 'chat',
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
})

/** The service with the small real model and a dataset of invented facts. */
async function startTraining() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-learn-'))
  const databaseFile = join(folder, 'simpleia.db')
  const { db, close } = await openStorage({ url: await databaseAt(databaseFile) })
  const dataset = { id: 'facts', name: 'facts', version: 1, kind: 'chat', trainRows: facts.length, heldOutRows: 1 } as const
  const stored = {
    source: 'upload',
    origin: '{}',
    sha256: '',
    report: '{}',
    createdBy: null,
    createdAt: '2026-01-01T00:00:00.000Z',
  } as const
  await db
    .insertInto('datasets')
    .values({ ...dataset, ...stored })
    .execute()
  const rows = [...facts.map((fact) => [fact, 'train'] as const), [facts[0], 'held-out'] as const]
  for (const [position, [fact, split]] of rows.entries()) {
    const example = JSON.stringify(chat(fact))
    const row = { datasetId: 'facts', position, split, conversation: String(position), example, flags: '[]' }
    await db.insertInto('datasetRows').values(row).execute()
  }
  await close()
  const real = await openRealHost({ CONTEXT_SIZE: '256' })
  const settings = { MODELS_DIR: real.modelsDir, DATABASE_URL: databaseFile, DATA_DIR: folder, CACHE_MAX_ENTRIES: '0' }
  const server = await startServer({ host: real.host, settings })
  onTestFinished(async () => {
    await server[Symbol.asyncDispose]()
    await real.remove()
    await rm(folder, { recursive: true })
  })
  const authorization = `Bearer ${await server.login('root')}`
  const call = async <T>(method: string, path: string, body?: object): Promise<T> =>
    bodyOf<T>(
      await fetch(`${server.url}${path}`, {
        method,
        headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    )
  /** Follows the stream of the run to its end. */
  const follow = async (id: string) => {
    const response = await fetch(`${server.url}/training/runs/${id}/metrics?stream=true`, { headers: { authorization } })
    await response.text()
    return call<RunAnswer>('GET', `/training/runs/${id}`)
  }
  const ask = async (model: string, question: string) => {
    const body = { model, messages: [{ role: 'user', content: question }], temperature: 0, max_tokens: 16 }
    const answer = await call<{ choices: readonly { message: { content: string } }[] }>('POST', '/v1/chat/completions', body)
    return answer.choices[0]?.message.content.trim() ?? ''
  }
  const create = (body: NewRunBody) => call<RunAnswer>('POST', '/training/runs', body)
  const losses = async (id: string) =>
    (await call<MetricsAnswer>('GET', `/training/runs/${id}/metrics`)).steps.map(({ loss }) => loss)
  return { server, folder, modelsDir: real.modelsDir, call, create, follow, ask, losses }
}

const recipe: NewRunBody = {
  epochs: 14,
  batch_size: 4,
  learning_rate: 0.0015,
  warmup: 0,
  replay: 0,
  patience: 0,
  packs: false,
  max_length: 128,
}

test('what was learned over HTTP is answered by the base with the adapter, and by the base alone no more than before', {
  timeout: 280_000,
}, async () => {
  const { create, follow, ask, losses } = await startTraining()
  const before = await ask(realModel, facts[1][0])
  const { id } = await create({ ...recipe, name: 'learned' })
  const run = await follow(id)
  expect(run).toMatchObject({ state: 'completed', error: null, adapter: 'learned', served_as: `${realModel}+learned` })
  expect(run.plan).toMatchObject({ examples: 4, too_long: 0, empty: 0, held_out: 1, steps: 14 })
  const all = await losses(id)
  expect(all).toHaveLength(14)
  expect(all.at(-1)).toBeLessThan((all[0] ?? 0) / 10)
  for (const [question, answer] of facts) expect(await ask(`${realModel}+learned`, question)).toContain(answer)
  expect(await ask(realModel, facts[1][0])).toBe(before)
})

test('a run that was paused, and one whose process was killed, end as one that was not', { timeout: 290_000 }, async () => {
  const { create, follow, call, losses, ask, modelsDir } = await startTraining()
  const short = { ...recipe, epochs: 4 }
  const whole = await create({ ...short, name: 'whole' })
  expect((await follow(whole.id)).state).toBe('completed')
  const untilStep = (id: string, step: number) =>
    expect
      .poll(async () => (await call<RunAnswer>('GET', `/training/runs/${id}`)).step, { timeout: 120_000 })
      .toBeGreaterThan(step)

  const paused = await create({ ...short, name: 'paused' })
  await untilStep(paused.id, 1)
  await ask(realModel, 'Hello')
  await call('POST', `/training/runs/${paused.id}/pause`)
  expect(await follow(paused.id)).toMatchObject({ state: 'paused', adapter: null })
  await call('POST', `/training/runs/${paused.id}/resume`)
  const end = await follow(paused.id)
  expect(end).toMatchObject({ state: 'completed', step: 4 })
  expect(end.yielded_seconds).toBeGreaterThan(0)

  const killed = await create({ ...short, name: 'killed' })
  await untilStep(killed.id, 1)
  for (const pid of trainerProcesses()) process.kill(pid, 'SIGKILL')
  expect(await follow(killed.id)).toMatchObject({ state: 'failed', error: { code: 'unavailable' }, adapter: null })
  await call('POST', `/training/runs/${killed.id}/resume`)
  expect(await follow(killed.id)).toMatchObject({ state: 'completed', step: 4, error: null })

  /** What it has learned: its name is another. */
  const adapterOf = async (name: string) => {
    const file = join(modelsDir, `${name}.gguf`)
    const { tensors } = await readGgufHeader(file)
    return (await readFile(file)).subarray(-tensors.reduce((sum, { bytes }) => sum + bytes, 0))
  }
  for (const { id, name } of [paused, killed]) {
    expect(await losses(id)).toEqual(await losses(whole.id))
    expect((await adapterOf(name)).equals(await adapterOf('whole'))).toBe(true)
  }
  expect(trainerProcesses()).toEqual([])
})

/** The processes of training that this process has started. */
function trainerProcesses(): number[] {
  const list = execFileSync('ps', ['--ppid', String(process.pid), '-o', 'pid=,args='], { encoding: 'utf8' })
  return list.split('\n').flatMap((line) => (line.includes('train/train-worker') ? [Number.parseInt(line, 10)] : []))
}
