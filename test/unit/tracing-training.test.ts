import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { runUpgrade } from '../../src/evaluation/upgrade.ts'
import { traceEvaluations, traceTraining } from '../../src/observe/observe-training.ts'
import type { RunAnswer } from '../../src/training/schema.ts'
import { admin, cloud, run as evaluating, local, scriptedWork } from '../evaluation-work.ts'
import { startEvaluationWorld } from '../evaluation-world.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { followSpans } from '../followed-spans.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { type ReceivedSpan, readAttributes, startReceiver } from '../otlp-receiver.ts'
import { bodyOf, startServer } from '../server.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { createToyJob } from '../toy-training.ts'
import { endOf, epochOf, plan, scriptedTrainers, stepOf } from '../trainer.ts'

const canary = 'canary5b1e'

const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name)
const attributesOf = (span: ReceivedSpan | undefined) => readAttributes(span?.attributes ?? [])

const adapter = ggufBytes({
  metadata: { 'general.architecture': 'llama', 'general.type': 'adapter', 'adapter.type': 'lora', 'adapter.lora.alpha': 32 },
  tensors: [
    { name: 'blk.0.attn_q.weight.lora_a', shape: [64, 4], bytes: 64 * 4 * 4 },
    { name: 'blk.0.attn_q.weight.lora_b', shape: [4, 64], bytes: 64 * 4 * 4 },
  ],
})

/** A service with traces that trains the model `tiny` on examples with the canary; its training goes as scripted. */
async function startTraining() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-trace-'))
  const receiver = await startReceiver()
  const modelsDir = join(folder, 'models')
  await mkdir(modelsDir)
  await copyFile(await writeTinyModel('llama', folder), join(modelsDir, 'tiny.gguf'))
  const { start, trainers } = scriptedTrainers()
  const server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['a'] }), models: ['tiny'] }),
    settings: { MODELS_DIR: modelsDir, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
    startTrainer: start,
  })
  onTestFinished(async () => {
    await server[Symbol.asyncDispose]()
    await receiver[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  const headers = { authorization: `Bearer ${await server.login('root')}`, 'content-type': 'application/json' }
  const post = (path: string, body: object) =>
    fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const rows = Array.from({ length: 8 }, (_, index) => ({ prompt: `${canary} ${index}?`, completion: `${canary} ${index}.` }))
  const made = await post('/datasets', { name: 'facts', rows })
  if (made.status >= 300) throw new Error(await made.text())
  const run = await bodyOf<RunAnswer>(await post('/training/runs', { name: 'mine' }))
  while (trainers[0] === undefined) await setImmediate()
  const state = async () => (await bodyOf<RunAnswer>(await fetch(`${server.url}/training/runs/${run.id}`, { headers }))).state
  const [trainer] = trainers
  const traces = async () => {
    await server.app.close({ graceMs: 0 })
    return receiver.spans()
  }
  return { trainer, run, state, traces, receiver }
}

test('a training run is a trace of its own, with some of its steps and its epochs, and none of its examples', async () => {
  const { trainer, run, state, traces, receiver } = await startTraining()
  const steps = 1000
  // More come than were planned.
  trainer.send({ ...plan, steps: steps / 2 })
  for (let step = 1; step <= steps; step += 1) {
    trainer.send(stepOf(step))
    if (step % 5 === 0) trainer.send(epochOf(step / 5))
  }
  const file = join(trainer.job.folder, 'adapter.gguf')
  await writeFile(file, adapter)
  trainer.send(endOf('completed', steps, file))
  await expect.poll(state, { timeout: 10_000 }).toBe('completed')
  const spans = await traces()
  const [span, ...others] = named(spans, 'training run')
  expect(others).toEqual([])
  expect(span?.parentSpanId ?? '').toBe('')
  expect(attributesOf(span)).toMatchObject({
    'simpleia.training.run.id': run.id,
    'simpleia.training.adapter': 'mine',
    'gen_ai.request.model': 'tiny',
    'simpleia.training.method': 'sft',
    'simpleia.training.steps': steps / 2,
    'simpleia.training.outcome': 'completed',
    'simpleia.training.held_out_loss': 0.3,
  })
  expect(span?.events).toHaveLength(50)
  expect(readAttributes(span?.events?.[0]?.attributes ?? [])).toMatchObject({
    'simpleia.training.step': 10,
    'simpleia.training.loss': 1,
    'simpleia.training.tokens': 100,
  })
  const epochs = named(spans, 'epoch')
  expect(epochs).toHaveLength(50)
  expect(new Set(epochs.map(({ parentSpanId }) => parentSpanId))).toEqual(new Set([span?.spanId]))
  expect(attributesOf(epochs[1])).toMatchObject({ 'simpleia.training.epoch': 2, 'simpleia.training.loss': 1 })
  expect(span?.status?.code).not.toBe(2)
  expect(receiver.text()).not.toContain(canary)
})

test('a run that fails has its code, and nothing of what the failure says', async () => {
  const { trainer, state, traces, receiver } = await startTraining()
  trainer.send(plan, stepOf(1))
  trainer.fail(new Error(canary))
  await expect.poll(state).toBe('failed')
  const [span] = named(await traces(), 'training run')
  expect(span?.status?.code).toBe(2)
  expect(attributesOf(span)['error.type']).toBe('internal')
  expect(receiver.text()).not.toContain(canary)
})

test('an evaluation is a trace of its own, with its stages and what its models answered, and no text', async () => {
  const receiver = await startReceiver()
  onTestFinished(() => receiver[Symbol.asyncDispose]())
  const world = await startEvaluationWorld({ settings: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } })
  const { id } = (await world.admin('POST', '/training/evaluations', { kind: 'gate', candidate: 'tuned' })).json
  await world.admin('GET', `/training/evaluations/${id}?stream=true`)
  await world.app.close({ graceMs: 0 })
  const spans = receiver.spans()
  const [span] = named(spans, 'evaluation')
  expect(span?.parentSpanId ?? '').toBe('')
  expect(attributesOf(span)).toMatchObject({
    'simpleia.evaluation.id': id,
    'simpleia.evaluation.kind': 'gate',
    'simpleia.evaluation.baseline': 'base',
    'simpleia.evaluation.candidate': 'tuned',
    'simpleia.evaluation.passed': true,
  })
  const within = spans.filter(({ parentSpanId }) => parentSpanId === span?.spanId).map(({ name }) => name)
  for (const stage of ['score-baseline', 'score-candidate', 'answer-baseline', 'answer-candidate'])
    expect(within.filter((name) => name === stage)).toHaveLength(1)
  expect(within).toContain('predict')
  // Of the general questions, and of what the models say.
  expect(receiver.text()).not.toMatch(/France|tuned: /)
})

test('of a run that goes on, stands still for requests and is stopped, all of that is told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-trace-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const { start, trainers } = scriptedTrainers()
  const { tracing, spans } = followSpans()
  const trainer = traceTraining(start, tracing)(await createToyJob({ folder }), evaluating.signal)
  // Who pauses may do so again, and go on without having paused.
  for (const step of ['resume', 'pause', 'pause', 'resume', 'pause', 'resume', 'stop'] as const) trainer[step]()
  trainers[0]?.send(plan, { type: 'train-resume', step: 4 }, { type: 'train-checkpoint', step: 6 }, endOf('stopped', 6))
  for await (const { type } of trainer.events) if (type === 'train-end') break
  expect(trainers[0]?.told).toEqual(['resume', 'pause', 'pause', 'resume', 'pause', 'resume', 'stop'])
  expect((await spans())[0]?.attributes).toMatchObject({
    ...{ 'simpleia.training.resumed_step': 4, 'simpleia.training.checkpoint_step': 6, 'simpleia.training.pauses': 2 },
    ...{ 'simpleia.training.paused_ms': expect.any(Number), 'simpleia.training.outcome': 'stopped' },
  })
})

test('a comparison of conversations tells its judge and no verdict, and one that fails its code', async () => {
  const { tracing, spans } = followSpans()
  const said = {
    predictionId: 'p',
    prompt: { type: 'text', text: canary },
    answer: canary,
    model: 'base',
    rating: undefined,
  } as const
  const plan = {
    baseline: local('base'),
    candidate: local('tuned'),
    judge: cloud('opus'),
    conversations: 5,
    maxTokens: 32,
  } as const
  const started = { id: 'e', runId: undefined, plan: { ...plan, kind: 'upgrade', asker: admin, userId: '1' } } as const
  const stages = new Set<string>()
  for (const recent of [[said], []]) {
    const work = scriptedWork({ recent: async () => recent })
    const evaluate = traceEvaluations(async (_started, onProgress, signal) => {
      return runUpgrade(work, started.plan, { onProgress, signal })
    }, tracing)
    await evaluate(started, ({ stage }) => stages.add(stage), evaluating.signal).catch(() => {})
  }
  const told = await spans()
  expect(told.filter(({ name }) => name !== 'evaluation').map(({ name }) => name)).toEqual([...stages])
  const [whole, failed] = told.filter(({ name }) => name === 'evaluation').map(({ attributes }) => attributes)
  expect(whole).toMatchObject({ 'simpleia.evaluation.judge': 'opus', 'simpleia.evaluation.kind': 'upgrade' })
  for (const unset of ['simpleia.evaluation.passed', 'error.type']) expect(whole).not.toHaveProperty(unset)
  expect(failed).toMatchObject({ 'error.type': 'conflict' })
})
