import { writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'vitest'
import type { MeasureEvent, QuantizeEvent, QuantizeJob } from '../../src/engine/local/quantize-protocol.ts'
import type { MergeJob } from '../../src/engine/train/merge-adapter.ts'
import type { MergeEvent } from '../../src/engine/train/merge-protocol.ts'
import { copyModel } from '../../src/models/copy-model.ts'
import { installAdapter } from '../../src/models/install-adapter.ts'
import type { ShareMaking } from '../../src/models/making-jobs.ts'
import { createMerges } from '../../src/models/merge.ts'
import { createOneJob } from '../../src/models/one-job.ts'
import { createPull } from '../../src/models/pull.ts'
import { createQuantizations } from '../../src/models/quantize.ts'
import { type QuantizeReport, saveReport, toRow } from '../../src/models/quantize-report.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { removeModel } from '../../src/models/remove-model.ts'
import { removeUnfinished } from '../../src/models/unfinished.ts'
import { saveRecord } from '../../src/models/verified-file.ts'
import { everyFailure, isPartOf, type State } from '../every-failure.ts'
import { type Fault, onceBroken } from '../failing-disk.ts'
import { startHub } from '../hub.ts'
import { openEgress } from '../open-egress.ts'
import { measurement } from '../quantizer.ts'

const never = new AbortController().signal
const clock = { now: Date.now, wait: async () => {} }
const record = { sha256: 'a'.repeat(64), origin: undefined }

/** A folder of models, which are no more than their names, as a start of the service finds it. */
async function openModels(folder: string) {
  const modelsDir = join(folder, 'models')
  await mkdir(modelsDir, { recursive: true })
  await removeUnfinished(modelsDir, { isStart: true })
  const registry = createModelRegistry(modelsDir)
  return { folder, modelsDir, registry, list: registry.list, at: (name: string) => join(modelsDir, name) }
}

type Models = Awaited<ReturnType<typeof openModels>>

/** Nothing can be taken back any more. */
const isBroken = ({ code, lasts }: Fault) => code === 'EIO' && lasts

/** What is known of a file that has not come does no harm. */
const ofNothing = /\.sha256$/

const read = ({ list }: Models) => list()

async function addModel({ at }: Models, name: string): Promise<void> {
  await mkdir(join(at(name), '..'), { recursive: true })
  await writeFile(at(name), 'GGUF and more')
  await saveRecord(at(name), record)
}

async function* quantize({ target }: QuantizeJob): AsyncGenerator<QuantizeEvent> {
  writeFileSync(target, 'GGUF made')
  yield { type: 'quantize-end', fallbackTensors: 0 }
}

async function* merge({ target }: MergeJob): AsyncGenerator<MergeEvent> {
  writeFileSync(target, 'GGUF merged')
  yield { type: 'merge-end' }
}

async function* measure(): AsyncGenerator<MeasureEvent> {}

const row = toRow('big', 1, measurement.original)

const reportFrom = (day: number): QuantizeReport => ({
  created_at: `2026-01-0${day}T00:00:00.000Z`,
  importance_matrix: false,
  fallback_tensors: 0,
  text: { given: false, chunks: 1, scored_tokens: 1 },
  original: row,
  result: { ...row, kl_divergence: 0, kl_divergence_error: 0, top_agreement: 1 },
})

/** The last event. */
async function lastOf<T>(events: AsyncIterable<T>): Promise<T | undefined> {
  let last: T | undefined
  for await (const event of events) last = event
  return last
}

const unshared: ShareMaking = ({ work }) => work

const makingIn = ({ modelsDir, registry }: Models) => ({
  modelsDir,
  findModel: registry.find,
  quantize,
  oneJob: createOneJob(),
  threads: 1,
  ...clock,
})

test('an adapter is installed whole or not at all', async () => {
  await everyFailure({
    open: openModels,
    prepare: ({ folder }) => writeFile(join(folder, 'adapter.gguf'), 'GGUF adapter'),
    save: ({ folder, modelsDir }) => installAdapter({ modelsDir, ...clock }, join(folder, 'adapter.gguf'), 'polite'),
    read,
    keeps: ofNothing,
    varies: /sha256$/,
    repeats: true,
  })
})

const named = ['one.gguf']
const split = ['one-00001-of-00002.gguf', 'one-00002-of-00002.gguf']

test.each([[named], [split]])('a model gets a second name with all of its files, or keeps the one: %s', async (names) => {
  await everyFailure({
    open: openModels,
    prepare: async (world) => {
      for (const name of names) await addModel(world, name)
    },
    save: (world) => copyModel({ ...world, ...clock }, names[0] ?? '', 'folder/other'),
    read,
    keeps: ofNothing,
    varies: /sha256$/,
    // No list shows a model without its first file, and the next copy goes on.
    isFine: (found, { after, fault }) => isBroken(fault) && isPartOf(found, after),
  })
})

const checkpoint = ['config.json', '1_Pooling/config.json', 'model.onnx']

test.each([
  ['of one file', named, 'one'],
  ['of several', split, 'one-00001-of-00002'],
  ['in a folder', ['folder/one.gguf'], 'folder/one'],
  ['made of a checkpoint', checkpoint.map((name) => `.checkpoints/owner/one/${name}`), 'one'],
])('a model %s is removed with all that belongs to it, or can be again', async (_, names, name) => {
  await everyFailure({
    open: openModels,
    prepare: async (world) => {
      for (const file of names) await addModel(world, file)
      for (const besides of ['.part', '.part.json']) await writeFile(`${world.at(names[0] ?? '')}${besides}`, '{}')
    },
    save: ({ modelsDir, registry }) =>
      removeModel({ modelsDir, describe: registry.describe, isInUse: () => false, ...clock }, name),
    read,
  })
})

test('a model is quantized, or it is as if nothing had been asked for', async () => {
  await everyFailure({
    open: openModels,
    prepare: (world) => addModel(world, 'big-f16.gguf'),
    save: (world) => {
      const request = { model: 'big-f16', quantization: 'Q8_0', name: undefined, calibrationText: undefined } as const
      const quantizations = createQuantizations({ ...makingIn(world), measure, share: unshared })
      return lastOf(quantizations.run({ ...request, report: false, text: undefined }, never))
    },
    read,
  })
})

test('the report of a quantization is kept whole, or the one before it stays', async () => {
  await everyFailure({
    open: openModels,
    prepare: ({ at }) => saveReport(at('big-q8_0.gguf'), reportFrom(1)),
    save: ({ at }) => saveReport(at('big-q8_0.gguf'), reportFrom(2)),
    repeats: true,
  })
})

test('an adapter is merged into its base, or it is as if nothing had been asked for', async () => {
  await everyFailure({
    open: openModels,
    prepare: async (world) => {
      for (const name of ['big-f16.gguf', 'mine.gguf']) await addModel(world, name)
    },
    save: (world) => {
      const readFacts = async () => ({ quantization: 'F16' })
      const merges = createMerges({ ...makingIn(world), aliases: new Map(), readFacts, merge, share: unshared })
      return lastOf(merges.run({ model: 'big-f16+mine', quantization: undefined, name: undefined }, never))
    },
    read,
    keeps: ofNothing,
    varies: /sha256$/,
  })
})

const parts = /\.part(\.json(\.new)?)?$/
const withoutParts = (files: State['files']) => Object.fromEntries(Object.entries(files).filter(([name]) => !parts.test(name)))

const content = Buffer.alloc(40_000, 'bytes of a model ')
const short = content.subarray(0, 1000)

test.each([
  ['of one file', { 'one-Q4_K_M.gguf': content }, undefined],
  ['of several', { 'one-Q4_K_M-00001-of-00002.gguf': short, 'one-Q4_K_M-00002-of-00002.gguf': short.subarray(7) }, [onceBroken]],
  ['that is a checkpoint', { 'config.json': Buffer.from('{"model_type":"bert"}'), 'model.safetensors': short }, [onceBroken]],
])('a model %s is pulled whole or not at all, and what has come is gone on with', async (_, files, on) => {
  const hub = await startHub({ repositories: { 'owner/one': files } })
  const { egress } = openEgress()
  await everyFailure(
    {
      open: openModels,
      save: async ({ modelsDir }) => {
        const limits = { segmentBytes: 32 * 1024, parallel: 2, stallMs: 20_000 }
        const lavish = { freeBytes: async () => 1e12, memoryBudget: () => 1e12 }
        const here = { egress, modelsDir, endpoint: hub.endpoint, token: undefined, localOnly: false, ...lavish }
        return lastOf(createPull({ ...here, now: Date.now, wait: async () => {}, limits })('owner/one', never))
      },
      read,
      keeps: parts,
      varies: /sha256$/,
      // Some of the files, each with the right bytes: a split model of which one is missing is none.
      isFine: ({ files, ...found }, { after }) => isPartOf({ ...found, files: withoutParts(files) }, after),
      repeats: true,
    },
    on,
  )
})
