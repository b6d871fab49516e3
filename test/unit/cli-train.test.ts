import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { followTraining } from '../../src/cli/train-follow.ts'
import type { TrainingEvent } from '../../src/client/training.ts'
import { AppError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { RunAnswer } from '../../src/training/schema.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { startServer } from '../server.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { endOf, epochOf, plan, type ScriptedTrainer, scriptedTrainers, stepOf } from '../trainer.ts'
import { addDataset } from '../training-world.ts'
import { createCli } from './cli-world.ts'

const password = 'Secret-pass-123456'

/** A command line whose service has the model `tiny` and the dataset `facts`; its training goes as scripted. */
async function createTrainingCli(onStart: (trainer: ScriptedTrainer) => void, variables: Record<string, string> = {}) {
  const alone = await createCli(variables)
  const [modelsDir, databaseFile] = [join(alone.home, 'models'), join(alone.home, 'simpleia.db')]
  await mkdir(modelsDir)
  await rename(await writeTinyModel('llama', modelsDir), join(modelsDir, 'tiny.gguf'))
  const storage = await openStorage({ url: await databaseAt(databaseFile) })
  await addDataset(storage.db)
  await storage.close()
  const { start, trainers } = scriptedTrainers(onStart)
  const server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['a'] }), models: ['tiny'] }),
    settings: { MODELS_DIR: modelsDir, DATABASE_URL: databaseFile },
    startTrainer: start,
  })
  onTestFinished(async () => {
    for (const trainer of trainers) trainer.fail(new AppError('aborted', 'The test is over.'))
    await server[Symbol.asyncDispose]()
  })
  const run = (line: string, input?: string) => alone.run(`${line} --port ${server.port}`, input)
  await run('login ana --register', `${password}\n`)
  return { run, trainers, file: join(alone.home, 'adapter.gguf') }
}

/** A process that trains two steps, and says whatever comes then. */
const trains =
  (...end: Parameters<ScriptedTrainer['send']>) =>
  (trainer: ScriptedTrainer) =>
    trainer.send(plan, stepOf(1), stepOf(2), epochOf(1, { step: 2 }), ...end)

test('trainer trains on the newest dataset, tells how it goes, and what answers with what was learned', async () => {
  const { run, trainers, file } = await createTrainingCli(trains())
  await writeFile(file, 'GGUF')
  const running = run('trainer --epochs 2 --learning-rate 0.001 --modules attn_q,ffn_up --no-packing')
  while (trainers.length === 0) await setImmediate()
  trainers[0]?.send(endOf('completed', 2, file))
  const { code, notes } = await running
  expect(code).toBe(0)
  expect(notes).toMatch(/Run facts-1 \(.+\): tiny learns from facts:1\.\n/)
  expect(notes).toMatch(/4 examples \(1 left out\), 1 held out; 10 steps in all, 400 tokens an epoch; about 1 min 0 s and/)
  expect(notes).toMatch(/Epoch 1 at step 2: loss 2\.0000, held-out loss 3\.0000\n/)
  expect(notes).toMatch(/Done after .* answers as tiny\+facts-1\.\nCompare it .* train evaluate facts-1\n$/)
  expect((await run('train evaluate facts-1')).notes).toContain('tiny+facts-1')
  expect(trainers[0]?.job.parameters).toMatchObject({
    epochs: 2,
    learningRate: 0.001,
    modules: ['attn_q', 'ffn_up'],
    packs: false,
  })
  expect((await run('train')).output).toMatch(/facts-1\tcompleted\ttiny\tfacts:1\t2\/10\t5\.0000\n$/)
  expect((await run('train show facts-1')).output).toMatch(/answers as +tiny\+facts-1\n.*batch_size=4/s)
})

test('a run that fails is told with its reason in the language of the person, and is no success', async () => {
  const fails = (trainer: ScriptedTrainer) => trainer.fail(new AppError('unprocessable', 'At step 3 the loss is NaN.'))
  const { run } = await createTrainingCli(fails, { LANG: 'es_ES.UTF-8' })
  const { code, notes } = await run('train start --name mio')
  expect(code).toBe(1)
  expect(notes).toMatch(/El entrenamiento está fallido\.\nPor qué: At step 3 the loss is NaN\.\n$/)
})

test('a run can be started without waiting, looked at, paused, resumed, cancelled and deleted', async () => {
  const { run, trainers } = await createTrainingCli(trains())
  const started = await run('train start --dataset facts:1 --method sft --name mine --detach --json')
  const { id } = JSON.parse(started.output)
  expect(JSON.parse((await run(`train show ${id} --json`)).output)).toMatchObject({ name: 'mine', parameters: { method: 'sft' } })
  while (trainers.length === 0) await setImmediate()
  const pausing = run('train pause mine')
  while (!trainers[0]?.told.includes('stop')) await setImmediate()
  trainers[0].send(endOf('stopped', 2))
  expect((await pausing).notes).toMatch(/paused/)
  expect(await run('train watch mine')).toMatchObject({ code: 1, notes: expect.stringMatching(/train resume mine\n$/) })
  expect((await run('train resume mine')).notes).toMatch(/waiting|running/)
  while (trainers.length < 2) await setImmediate()
  expect((await run('train delete mine')).notes).toMatch(/Cancel it first/)
  expect((await run('train cancel mine')).notes).toMatch(/cancelled/)
  expect((await run('train delete mine')).notes).toMatch(/mine is deleted/)
  expect(await run('train show mine')).toMatchObject({ code: 1, notes: expect.stringMatching(/no training run "mine"/) })
  expect((await run('train list')).notes).toMatch(/no training runs/)
})

test('flags that make no sense are told by their names', async () => {
  const { run, trainers } = await createTrainingCli(trains())
  expect((await run('train start --rank many')).notes).toMatch(/--rank must be a number, but is "many"/)
  expect((await run('train start --method rl')).notes).toMatch(/--method must be one of sft, dpo, but is "rl"/)
  expect((await run('train start --modules attn_q,x')).notes).toMatch(/--modules must be one of attn_q.*"x"/)
  expect((await run('train start --rank 9999')).notes).toMatch(/rank/)
  expect(trainers).toEqual([])
})

test('who has seen enough leaves, and is told how to look again; on a terminal the steps stay on one line', async () => {
  const { run } = await createTrainingCli(() => {})
  const started: RunAnswer = JSON.parse((await run('train start --name mine --detach --json')).output)
  const notes = Object.assign(new PassThrough(), { isTTY: true })
  const terminal = { input: new PassThrough(), output: new PassThrough(), notes }
  const leaving = new AbortController()
  const client = {
    async *watchTraining(): AsyncGenerator<TrainingEvent> {
      const numbers = { epoch: 1, learning_rate: 1, gradient_norm: 1, tokens: 100, ms: 50 }
      for (const step of [1, 2]) yield { type: 'step', step: { step, loss: 3 - step, ...numbers } }
      leaving.abort()
      throw new AppError('aborted', 'The request was stopped.')
    },
  }
  await followTraining(client, started, { terminal, language: 'en' }, leaving.signal)
  notes.end()
  expect(await text(notes)).toBe(
    '  Step 1/?, loss 2.0000, 2000 tokens/s\r\u001b[K  Step 2/?, loss 1.0000, 2000 tokens/s\r\u001b[K' +
      'The run goes on. Look again with: ./run_llm.sh train watch mine\n',
  )
})
