import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { MetricsAnswer, RunAnswer, RunsPage } from '../../src/training/schema.ts'
import { checkName } from '../../src/training-part.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { chatModel, ggufBytes } from '../gguf-bytes.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { bodyOf, startServer } from '../server.ts'
import { parseEventStream } from '../sse-parser.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { endOf, epochOf, plan, type ScriptedTrainer, scriptedTrainers, stepOf } from '../trainer.ts'
import { addDataset } from '../training-world.ts'

const adapter = ggufBytes({
  metadata: { 'general.architecture': 'llama', 'general.type': 'adapter', 'adapter.type': 'lora', 'adapter.lora.alpha': 32 },
  tensors: [
    { name: 'blk.0.attn_q.weight.lora_a', shape: [64, 4], bytes: 64 * 4 * 4 },
    { name: 'blk.0.attn_q.weight.lora_b', shape: [4, 64], bytes: 64 * 4 * 4 },
  ],
})

const shared = await mkdtemp(join(tmpdir(), 'simpleia-train-'))
afterAll(() => rm(shared, { recursive: true }))
const tinyModel = writeTinyModel('llama', shared)

/** A service with the model `tiny` and the dataset `facts`, whose training goes as scripted. */
async function startTraining(onStart: (trainer: ScriptedTrainer) => void = () => {}, settings: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-train-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const [modelsDir, databaseFile] = [join(folder, 'models'), join(folder, 'simpleia.db')]
  await mkdir(modelsDir)
  await copyFile(await tinyModel, join(modelsDir, 'tiny.gguf'))
  const storage = await openStorage({ url: await databaseAt(databaseFile) })
  await addDataset(storage.db)
  await storage.close()
  const { start, trainers } = scriptedTrainers(onStart)
  const engine = { answer: () => ({ pieces: ['a'] }), models: ['tiny'] }
  const server = await startServer({
    host: createFakeEngine(engine),
    settings: { MODELS_DIR: modelsDir, DATABASE_URL: databaseFile, THREADS: '2', ...settings },
    startTrainer: start,
  })
  onTestFinished(async () => {
    for (const trainer of trainers) trainer.fail(new AppError('aborted', 'The test is over.'))
    await server[Symbol.asyncDispose]()
  })
  const authorization = `Bearer ${await server.login('root')}`
  const call = (method: string, path: string, body?: object, headers: Record<string, string> = {}) =>
    fetch(`${server.url}${path}`, {
      method,
      headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const start1 = async (body: object = {}) => bodyOf<RunAnswer>(await call('POST', '/training/runs', body))
  const run = async (id: string) => bodyOf<RunAnswer>(await call('GET', `/training/runs/${id}`))
  const trainer = async (count = 1) => {
    while (trainers.length < count) await setImmediate()
    const last = trainers[count - 1]
    if (last === undefined) throw new Error('There is no such process.')
    return last
  }
  const finish = async (one: ScriptedTrainer) => {
    const file = join(one.job.folder, 'adapter.gguf')
    await writeFile(file, adapter)
    one.send(endOf('completed', 2, file))
  }
  return { server, call, create: start1, run, trainer, finish, trainers, modelsDir, folder }
}

test.skipIf(process.platform !== 'linux')('a run is refused where its adapter could not be written', async () => {
  // Not even root writes there.
  await expect(checkName('/sys', 'mine')).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('/sys') })
})

describe('POST /training/runs', () => {
  test('says what is missing where there is no dataset, or nothing is named and no model of this machine is selected', async () => {
    const { call } = await startTraining()
    expect((await call('DELETE', '/datasets/facts')).status).toBeLessThan(300)
    const refused = await bodyOf(await call('POST', '/training/runs', { name: 'mine' }))
    expect(refused.error).toMatchObject({ code: 'not_found', message: expect.stringContaining('There is no dataset yet.') })
    await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: [] }), models: [] }) })
    const headers = { authorization: `Bearer ${await server.login('root')}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ name: 'mine' })
    const unnamed = await bodyOf(await fetch(`${server.url}/training/runs`, { method: 'POST', headers, body }))
    expect(unnamed.error).toMatchObject({ message: expect.stringContaining('No model of this machine is selected.') })
  })

  test('fills in the settings and the usual values, and answers with the run', async () => {
    const { call, trainer } = await startTraining(undefined, {
      NUM_TRAIN_EPOCHS: '7',
      TRAIN_BATCH_SIZE: '2',
      LEARNING_RATE: '0.001',
    })
    const response = await call('POST', '/training/runs', {})
    expect(response.status).toBe(201)
    expect(await bodyOf<RunAnswer>(response)).toMatchObject({
      name: 'facts-1',
      state: 'queued',
      model: 'tiny',
      dataset: { name: 'facts', version: 1 },
      parameters: { method: 'sft', epochs: 7, batch_size: 2, learning_rate: 0.001, rank: 16, alpha: 32, schedule: 'cosine' },
      plan: null,
      step: 0,
    })
    expect((await trainer()).job).toMatchObject({ threads: 2, device: 'cpu', memoryBytes: expect.any(Number) })
  })

  test('passes on every parameter', async () => {
    const { create, trainer } = await startTraining()
    const parameters = {
      epochs: 1,
      batch_size: 2,
      accumulation: 3,
      learning_rate: 0.01,
      schedule: 'linear',
      warmup: 0.2,
      rank: 8,
      alpha: 9,
      modules: ['attn_q'],
      dropout: 0.1,
      max_length: 99,
      packs: false,
      max_gradient_norm: 2,
      weight_decay: 0.01,
      seed: 5,
      patience: 4,
      replay: 0,
    }
    expect(
      (await create({ name: 'mine', model: 'tiny', dataset: 'facts:1', method: 'sft', ...parameters })).parameters,
    ).toMatchObject(parameters)
    const { job } = await trainer()
    expect(job.replayFile).toBeUndefined()
    expect(job.parameters).toMatchObject({
      batchSize: 2,
      accumulation: 3,
      learningRate: 0.01,
      maxLength: 99,
      packs: false,
      maxGradientNorm: 2,
      weightDecay: 0.01,
      beta: 0.1,
    })
  })

  test('refuses what is wrong with the name of the field, before anything is there', async () => {
    const { call, trainers, modelsDir } = await startTraining()
    const split = { ...chatModel.metadata, 'split.count': 2 }
    await writeFile(join(modelsDir, 'half-00001-of-00002.gguf'), ggufBytes({ ...chatModel, metadata: split }))
    await writeFile(join(modelsDir, 'half-00002-of-00002.gguf'), ggufBytes({ ...chatModel, metadata: split }))
    await writeFile(join(modelsDir, 'other.gguf'), ggufBytes(chatModel))
    const wrong: ReadonlyArray<readonly [object, number, RegExp]> = [
      [{ epoch: 3 }, 400, /epoch/],
      [{ learning_rate: 0 }, 400, /learning_rate/],
      [{ name: '../out' }, 400, /name/],
      [{ name: 'a+b' }, 400, /name/],
      [{ name: 'tiny' }, 409, /already/],
      [{ beta: 0.2 }, 400, /beta/],
      [{ replay: 0, replay_dataset: 'facts' }, 400, /replay_dataset/],
      [{ modules: ['attn_z'] }, 400, /modules/],
      [{ model: 'tiny+x' }, 400, /by itself/],
      [{ model: 'nowhere' }, 404, /nowhere/],
      [{ model: 'other' }, 400, /layer_norm_rms_epsilon/],
      [{ model: 'half-00001-of-00002' }, 400, /split into 2 files/],
      [{ dataset: 'nowhere' }, 404, /nowhere/],
      [{ method: 'dpo' }, 400, /pairs/],
    ]
    for (const [body, status, message] of wrong) {
      const response = await call('POST', '/training/runs', body)
      expect({ body, status: response.status, text: await response.text() }).toEqual({
        body,
        status,
        text: expect.stringMatching(message),
      })
    }
    expect((await bodyOf<RunsPage>(await call('GET', '/training/runs'))).items).toEqual([])
    expect(trainers).toEqual([])
  })

  test('with plan_only checks the run and says what it would be, and begins nothing', async () => {
    const { call, trainers } = await startTraining()
    const body = { plan_only: true, epochs: 5, batch_size: 3, rank: 2, modules: ['attn_q', 'ffn_up'] }
    const response = await call('POST', '/training/runs', body)
    expect(response.status).toBe(200)
    expect(await bodyOf(response)).toMatchObject({
      name: 'facts-1',
      model: 'tiny',
      dataset: { name: 'facts' },
      parameters: { epochs: 5 },
      most_steps: 10,
      // Of two layers: 2 × (64 + 64) and 2 × (64 + 128).
      trainable_parameters: 4 * (64 + 64 + 64 + 32),
      disk_bytes: expect.any(Number),
      tokens: expect.any(Number),
      memory_bytes: expect.any(Number),
      seconds: expect.any(Number),
      seconds_by: 'parameters',
      not_estimated: null,
    })
    expect((await call('POST', '/training/runs', { ...body, method: 'dpo' })).status).toBe(400)
    expect((await bodyOf<RunsPage>(await call('GET', '/training/runs'))).items).toEqual([])
    expect(trainers).toEqual([])
  })

  test('is for admins, as all of training', async () => {
    const { server, create, trainer } = await startTraining()
    const { id } = await create()
    await trainer()
    const ana = `Bearer ${await server.login('ana')}`
    const paths = ['GET /training/runs', 'POST /training/runs', 'GET /training/latest', `GET /training/runs/${id}`]
    const more = ['GET metrics', 'POST pause', 'POST cancel', 'POST resume'].map((one) =>
      one.replace(' ', ` /training/runs/${id}/`),
    )
    for (const line of [...paths, ...more, `DELETE /training/runs/${id}`]) {
      const [method = '', path = ''] = line.split(' ')
      for (const headers of [{}, { authorization: ana }])
        expect([line, (await fetch(`${server.url}${path}`, { method, headers })).status]).toEqual([
          line,
          expect.toBeOneOf([401, 403]),
        ])
    }
  })
})

describe('a run that has ended', () => {
  test('answers as BASE+NAME without a reload, and is told as the latest', async () => {
    const { create, trainer, finish, call, modelsDir } = await startTraining()
    const { id } = await create({ name: 'learned' })
    const one = await trainer()
    one.send(plan, stepOf(1), stepOf(2), epochOf(1, { step: 2 }))
    await finish(one)
    await expect.poll(async () => (await bodyOf<RunAnswer>(await call('GET', `/training/runs/${id}`))).state).toBe('completed')
    expect(await bodyOf(await call('GET', '/training/latest'))).toMatchObject({
      run: { id },
      completed: {
        id,
        adapter: 'learned',
        served_as: 'tiny+learned',
        plan: { steps: 10, too_long: 1, trainable_parameters: 1000 },
      },
    })
    expect((await readdir(modelsDir)).sort()).toEqual(['learned.gguf', 'learned.gguf.sha256', 'tiny.gguf'])
    expect((await call('DELETE', `/training/runs/${id}`)).status).toBe(204)
    expect((await readdir(modelsDir)).includes('learned.gguf')).toBe(true)
    expect((await call('GET', `/training/runs/${id}`)).status).toBe(404)
  })

  test('is found by its state, a page at a time', async () => {
    const { create, call, trainer } = await startTraining()
    for (const name of ['a', 'b', 'c']) await create({ name })
    await trainer()
    const names = async (query: string) => {
      const { items, next_cursor } = await bodyOf<RunsPage>(await call('GET', `/training/runs?${query}`))
      return [items.map(({ name }) => name).sort(), next_cursor] as const
    }
    expect(await names('state=queued')).toEqual([['b', 'c'], null])
    const [first, cursor] = await names('limit=2')
    const [second, end] = await names(`limit=2&cursor=${cursor}`)
    expect([[...first, ...second].sort(), end]).toEqual([['a', 'b', 'c'], null])
    expect((await call('GET', '/training/runs?cursor=x')).status).toBe(400)
  })
})

describe('GET /training/runs/{id}/metrics', () => {
  test('gives all steps and epochs, or every so-manieth with the last', async () => {
    const { create, trainer, call, run } = await startTraining()
    const { id } = await create()
    const one = await trainer()
    one.send(...Array.from({ length: 25 }, (_, index) => stepOf(index + 1)), epochOf(1, { step: 25 }))
    await expect.poll(async () => (await run(id)).step).toBe(25)
    const metrics = async (query = '') => bodyOf<MetricsAnswer>(await call('GET', `/training/runs/${id}/metrics${query}`))
    const all = await metrics()
    expect([all.every, all.steps.length, all.epochs.length]).toEqual([1, 25, 1])
    expect(all.steps[1]).toEqual({ step: 2, epoch: 1, loss: 5, learning_rate: 1e-4, gradient_norm: 1, tokens: 100, ms: 50 })
    expect((await metrics('?every=10')).steps.map(({ step }) => step)).toEqual([10, 20, 25])
    const thin = await metrics('?max_points=4')
    expect(thin.steps.length).toBeLessThanOrEqual(4)
    expect(thin.steps.at(-1)?.step).toBe(25)
    expect(await run(id)).toMatchObject({
      loss: 0.4,
      epoch: 5,
      tokens_per_second: 2000,
      state: 'running',
      resident_bytes: 1e8 + 25,
    })
  })

  test('streams the past and what comes, and ends with the run', async () => {
    const { create, trainer, call, finish } = await startTraining()
    const { id } = await create()
    const one = await trainer()
    one.send(plan, stepOf(1))
    const response = await call('GET', `/training/runs/${id}/metrics`, undefined, { accept: 'text/event-stream' })
    expect(response.headers.get('content-type')).toMatch(/event-stream/)
    one.send(stepOf(2), epochOf(1, { step: 2 }))
    await finish(one)
    const events = parseEventStream(await response.text())
    const bodies = events.map(({ event, data }) => [event, JSON.parse(data)] as const)
    expect(bodies.filter(([event]) => event !== 'run').map(([event, { step }]) => [event, step])).toEqual([
      ['step', 1],
      ['step', 2],
      ['epoch', 2],
      ['done', 2],
    ])
    expect(bodies.at(-1)?.[1]).toMatchObject({ state: 'completed', served_as: 'tiny+facts-1' })
    const again = await call('GET', `/training/runs/${id}/metrics?stream=true`)
    expect(parseEventStream(await again.text()).map(({ event }) => event)).toEqual(['run', 'step', 'step', 'epoch', 'done'])
  })
})

test('a request that is being answered has training stand still, and the numbers tell it', async () => {
  const { create, trainer, server, call } = await startTraining()
  await create()
  const one = await trainer()
  one.send(stepOf(1))
  expect((await server.predict({ prompt: 'x', model: 'tiny' })).status).toBe(200)
  expect(one.told[0]).toBe('pause')
  await expect.poll(() => one.isStill()).toBe(false)
  const text = await (await call('GET', '/metrics')).text()
  expect(text).toMatch(/simpleia_training_runs\{state="running"\} 1\n/)
  expect(text).toMatch(/simpleia_training_step 1\n/)
  expect(text).toMatch(/simpleia_training_yielding 0\n/)
})

test('the end of the service interrupts the run with a checkpoint, and ends the streams of those who watch', async () => {
  const { create, trainer, server, call } = await startTraining()
  const { id } = await create()
  const one = await trainer()
  one.send(stepOf(1))
  const response = await call('GET', `/training/runs/${id}/metrics?stream=true`)
  const closing = server.app.close({ graceMs: 0 })
  while (!one.told.includes('stop')) await setImmediate()
  one.send({ type: 'train-checkpoint', step: 1 }, endOf('stopped', 1))
  await closing
  const last = parseEventStream(await response.text()).at(-1)
  expect([last?.event, JSON.parse(last?.data ?? '{}')]).toMatchObject(['done', { state: 'interrupted', checkpoint_step: 1 }])
})
