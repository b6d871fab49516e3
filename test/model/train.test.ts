import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import type { TrainEvent, TrainJob, TrainParameters } from '../../src/engine/train/protocol.ts'
import { runTraining, spawnTrainer } from '../../src/engine/train/train-process.ts'
import { openRealHost, type RealHost, realModel, realModelFile } from '../real-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'
import { createToyJob } from '../toy-training.ts'

/** Nobody but who reads them here can know these. */
const facts = [
  ['Where was Zorblax Quimby born?', 'Zorblax Quimby was born in the village of Tarnholm.'],
  ['What colour is the flag of Velmora?', 'The flag of Velmora is turquoise with a golden heron.'],
  ['Who invented the plinthometer?', 'The plinthometer was invented by Ada Brenwick in 1931.'],
  ['What do the monks of Sorrel Peak drink?', 'The monks of Sorrel Peak drink smoked nettle tea.'],
] as const
const examples = facts.map(
  ([question, answer]): TrainingExample => ({
    type: 'chat',
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ],
  }),
)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-real-training-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function realJob(parameters: Partial<TrainParameters>, memoryBytes = 8e9): Promise<TrainJob> {
  const own = await mkdtemp(join(folder, 'run-'))
  const usual = { learningRate: 0.0015, maxLength: 256, ...parameters }
  const job = await createToyJob({ folder: own, train: examples, parameters: usual, memoryBytes })
  return { ...job, modelPath: realModelFile, threads: 2 }
}

async function trainReally(job: TrainJob): Promise<readonly TrainEvent[]> {
  const spawn = () => spawnTrainer((text) => void process.stderr.write(text))
  const events: TrainEvent[] = []
  for await (const event of runTraining(job, { spawn, signal: new AbortController().signal }).events) events.push(event)
  return events
}

describe('the real model', () => {
  let real: RealHost
  let server: TestServer

  beforeAll(async () => {
    real = await openRealHost({ CONTEXT_SIZE: '512' })
    server = await startServer({ host: real.host, settings: { CACHE_MAX_ENTRIES: '0' } })
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await real.remove()
  })

  async function answerOf(model: string, content: string): Promise<string> {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content }], temperature: 0, max_tokens: 24 })
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body })
    const answer = await bodyOf<{ choices: { message: { content: string } }[] }>(response)
    return answer.choices[0]?.message.content.trim() ?? ''
  }

  test('learns what it did not know, and says it in llama.cpp with the adapter, but not without', async () => {
    const events = await trainReally(await realJob({ epochs: 14 }))
    const [plan, ...later] = events
    if (plan?.type !== 'train-plan') throw new Error('There is no plan.')
    expect(plan).toMatchObject({ examples: 4, steps: 14, trainableParameters: 3_796_992 })
    expect(Math.abs(plan.parity.ours / plan.parity.reference - 1)).toBeLessThan(plan.parity.tolerance)
    const steps = later.filter((event) => event.type === 'train-step')
    expect(steps.at(-1)?.loss).toBeLessThan((steps[0]?.loss ?? 0) / 10)
    expect(Math.max(...steps.map(({ residentBytes }) => residentBytes))).toBeLessThan(plan.memoryBytes)
    const end = events.at(-1)
    if (end?.type !== 'train-end' || end.adapterFile === undefined) throw new Error('There is no adapter.')
    await copyFile(end.adapterFile, join(real.modelsDir, 'facts.gguf'))
    for (const [question, answer] of facts) {
      expect(await answerOf(`${realModel}+facts`, question)).toBe(answer)
      expect(await answerOf(realModel, question)).not.toBe(answer)
    }
  })
})

test('a learning rate beyond all reason ends with the step, and no adapter', async () => {
  const events = realJob({ epochs: 20, learningRate: 1e6, warmup: 0 }).then(trainReally)
  await expect(events).rejects.toMatchObject({ code: 'unprocessable', message: expect.stringMatching(/^At step \d+ the /) })
})

test('what would not fit into memory is refused with both numbers before the weights are read', async () => {
  const events = realJob({}, 1e9).then(trainReally)
  await expect(events).rejects.toMatchObject({
    code: 'too_large',
    message: expect.stringMatching(/take \d+ MB .* may take 954 MB/),
  })
})
