import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { createRandom } from '../../src/engine/local/random.ts'
import { createCheckpoints } from '../../src/engine/train/checkpoint.ts'
import type { TrainEvent, TrainJob } from '../../src/engine/train/protocol.ts'
import { train } from '../../src/engine/train/train.ts'
import { runTraining, spawnTrainer } from '../../src/engine/train/train-process.ts'
import { adaptableModules } from '../../src/engine/train/trainable.ts'
import { times } from '../case-count.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { adapterDigest, createToyJob, toyParts, trainToy } from '../toy-training.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-killed-'))
afterAll(() => rm(folder, { recursive: true }))
const ownFolder = () => mkdtemp(join(folder, 'run-'))

const options = (signal: AbortSignal) => ({ spawn: () => spawnTrainer((text) => void process.stderr.write(text)), signal })

/** Reads events until there were so many, then ends the process at once. False: the run came to its end before. */
async function runAndKill(job: TrainJob, events: number): Promise<boolean> {
  const kill = new AbortController()
  let seen = 0
  try {
    for await (const event of runTraining(job, options(kill.signal)).events) {
      if (event.type === 'train-end') return false
      seen += 1
      if (seen === events) kill.abort()
    }
  } catch {
    return true
  }
  return false
}

async function tinyJob(path: string): Promise<TrainJob> {
  const job = await createToyJob({ folder: await ownFolder() })
  const parameters = { ...job.parameters, epochs: 10, dropout: 0.1, rank: 4, modules: adaptableModules, maxLength: 256 }
  return { ...job, modelPath: path, parameters }
}

/** Each costs most of a second, as llama.cpp and ONNX Runtime are loaded; a toy is killed more often in kills-trainings.test.ts. */
const kills = times(20, 3)

test(`a training whose process is killed ${kills} times ends with the same bytes as one that was not`, {
  timeout: 120_000,
}, async () => {
  const path = await writeTinyModel('qwen3', folder)
  const whole = await tinyJob(path)
  expect(await runAndKill(whole, Number.POSITIVE_INFINITY)).toBe(false)
  const killed = await tinyJob(path)
  const random = createRandom(5)
  for (let kill = 0; kill < kills; kill += 1) expect(await runAndKill(killed, 1 + Math.floor(random() * 7))).toBe(true)
  expect(await runAndKill(killed, Number.POSITIVE_INFINITY)).toBe(false)
  expect(await adapterDigest(killed.folder)).toBe(await adapterDigest(whole.folder))
})

/** Stops a toy at its so many-th step, in a folder where the whole run is known. */
async function stoppedToy(steps: number): Promise<{ job: TrainJob; digest: string }> {
  const whole = await createToyJob({ folder: await ownFolder() })
  await trainToy(whole)
  const job = await createToyJob({ folder: await ownFolder() })
  let seen = 0
  const parts = toyParts(({ type }) => {
    if (type === 'train-step') seen += 1
  })
  await train(job, { ...parts, control: { ...parts.control, isStopped: () => seen >= steps } })
  return { job, digest: await adapterDigest(whole.folder) }
}

const firstOf = (events: readonly TrainEvent[]) => events[0]

test.each(['cut short', 'changed', 'emptied'])(
  'a newest checkpoint that was %s is noticed, and the one before taken',
  async (how) => {
    const { job, digest } = await stoppedToy(4)
    // The first was written at the end of an epoch, after three steps.
    const newest = join(job.folder, 'checkpoint-1.bin')
    const bytes = await readFile(newest)
    const damaged = Buffer.from(bytes)
    damaged[bytes.length >> 1] = (damaged[bytes.length >> 1] ?? 0) ^ 1
    await writeFile(newest, { 'cut short': bytes.subarray(0, -9), changed: damaged }[how] ?? '')
    const events = await trainToy(job)
    expect(firstOf(events)).toEqual({ type: 'train-resume', step: 3 })
    expect(await adapterDigest(job.folder)).toBe(digest)
  },
)

test('a checkpoint of more bytes than a buffer holds can be looked at', async () => {
  const own = await ownFolder()
  const file = join(own, 'checkpoint-0.bin')
  const prefix = Buffer.alloc(20)
  prefix.write('SIACKPT1')
  prefix.writeBigUInt64LE(3n * 1024n ** 3n, 8)
  await writeFile(file, prefix)
  // Sparse: it takes no room.
  await truncate(file, 3 * 1024 ** 3)
  expect(await createCheckpoints({ folder: own, fingerprint: 'other' }).find()).toBeUndefined()
})

test('a checkpoint of other parameters or other examples is not gone on from', async () => {
  const { job } = await stoppedToy(4)
  expect(firstOf(await trainToy({ ...job, parameters: { ...job.parameters, learningRate: 0.01 } }))?.type).toBe('train-plan')
  const { job: other } = await stoppedToy(4)
  await writeFile(other.trainFile, `${JSON.stringify({ type: 'text', text: 'Other words.' })}\n`)
  expect(firstOf(await trainToy(other))?.type).toBe('train-plan')
})

test.skipIf(process.platform !== 'linux')(
  'a full disk ends the training, and what was written before is gone on from',
  async () => {
    const { job, digest } = await stoppedToy(4)
    const full = join(job.folder, 'checkpoint-0.bin.part')
    // What is written there finds no space.
    await symlink('/dev/full', full)
    await expect(trainToy(job)).rejects.toMatchObject({ code: 'storage_full' })
    expect(await readdir(job.folder)).not.toContain('checkpoint-0.bin.part')
    expect(firstOf(await trainToy(job))).toEqual({ type: 'train-resume', step: 4 })
    expect(await adapterDigest(job.folder)).toBe(digest)
  },
)

test.skipIf(process.platform !== 'linux')('a training that stands still ends with its parent', { timeout: 30_000 }, async () => {
  const job = await tinyJob(await writeTinyModel('qwen3', folder))
  const file = join(job.folder, 'job.json')
  await writeFile(file, JSON.stringify({ ...job, parameters: { ...job.parameters, epochs: 1000 } }))
  const parent = spawn(process.execPath, ['test/train-parent.ts', file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [first] = await once(parent.stdout, 'data')
  const pid = Number(String(first))
  expect(stateOf(pid)).toMatch(/^T/)
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  await expect.poll(() => stateOf(pid), { timeout: 5000 }).toMatch(/^Z?$/)
})

const stateOf = (pid: number) => String(spawnSync('ps', ['-o', 'stat=', '-p', String(pid)]).stdout).trim()
