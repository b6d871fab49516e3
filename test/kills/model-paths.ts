import { equal, ok } from 'node:assert/strict'
import { appendFile, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { writeBeside } from '../../src/engine/disk.ts'
import type { QuantizeEvent, QuantizeJob } from '../../src/engine/local/quantize-protocol.ts'
import type { MergeJob } from '../../src/engine/train/merge-adapter.ts'
import type { MergeEvent } from '../../src/engine/train/merge-protocol.ts'
import { copyModel } from '../../src/models/copy-model.ts'
import { installAdapter } from '../../src/models/install-adapter.ts'
import { createMerges } from '../../src/models/merge.ts'
import { createOneJob } from '../../src/models/one-job.ts'
import { createQuantizations } from '../../src/models/quantize.ts'
import { createModelRegistry, type ModelRegistry } from '../../src/models/registry.ts'
import { removeModel } from '../../src/models/remove-model.ts'
import { removeUnfinished } from '../../src/models/unfinished.ts'
import { findRecord, hashFile } from '../../src/models/verified-file.ts'
import { measurement } from '../quantizer.ts'
import type { Left, SavePath } from './save-paths.ts'

const never = new AbortController().signal
const threads = 1
const clock = { now: Date.now, wait: (ms: number) => wait(ms) }
const pieces = ['GGUF ', 'of '.repeat(10_000), 'many '.repeat(10_000), 'pieces']
const whole = pieces.join('')
const given = ['adapter.gguf', 'base.gguf']

type Models = Readonly<{
  modelsDir: string
  registry: ModelRegistry
  /** All but what was given. */
  listMade(): Promise<readonly string[]>
  checkMade(left: Left): Promise<void>
  keepOnly(name: string): Promise<void>
}>

/** A folder of models of its own, with a base and an adapter. */
async function openModels(folder: string, name: string): Promise<Models> {
  const modelsDir = join(folder, name)
  await mkdir(modelsDir, { recursive: true })
  // As a start of the service does.
  await removeUnfinished(modelsDir, { isStart: true })
  for (const file of given) await writeFile(join(modelsDir, file), whole)
  const registry = createModelRegistry(modelsDir)
  const listMade = async () => (await registry.list()).filter((model) => !given.includes(`${model}.gguf`))
  return {
    modelsDir,
    registry,
    listMade,
    async checkMade({ newest }) {
      const made = await listMade()
      ok(newest.has(undefined) || made.some((model) => newest.has(model)), `none of ${[...newest]} is there, but ${made}`)
      for (const model of made) {
        const { path } = await registry.find(model)
        equal((await readFile(path, 'utf8')) === whole, true, `${model} is not whole`)
        const record = await findRecord(path)
        ok(record === undefined || record.sha256 === (await hashFile(path)), `${model} has the record of another file`)
      }
    },
    /** Removes all others that were made. What was half made by killed processes must have gone with the next one. */
    async keepOnly(name) {
      for (const model of await listMade())
        if (model !== name && model !== `${name}-too`)
          await removeModel({ modelsDir, describe: registry.describe, isInUse: () => false, ...clock }, model)
      equal((await readdir(modelsDir)).filter((file) => /-\d+\.part/.test(file)).join(), '')
    },
  }
}

/** As the process that quantizes does: it writes into the part. */
async function* quantize({ target }: QuantizeJob): AsyncGenerator<QuantizeEvent> {
  for (const [tensor, piece] of pieces.entries()) {
    await appendFile(target, piece)
    yield { type: 'tensor-progress', tensor: tensor + 1, tensors: pieces.length }
  }
  yield { type: 'quantize-end', fallbackTensors: 0 }
}

/** As the process that merges does. */
async function* merge({ target }: MergeJob): AsyncGenerator<MergeEvent> {
  await writeBeside(target, toBytes(pieces))
  yield { type: 'merge-end' }
}

async function* toBytes(texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

export async function openQuantizePath(folder: string): Promise<SavePath> {
  const { modelsDir, registry, listMade, checkMade, keepOnly } = await openModels(folder, 'quantized')
  const quantizations = createQuantizations({
    ...{ modelsDir, findModel: registry.find, quantize, oneJob: createOneJob(), threads, ...clock },
    share: ({ work }) => work,
    measure: async function* () {
      yield { type: 'measure-end', measurement }
    },
  })
  return {
    name: 'quantize',
    async check(left) {
      await checkMade(left)
      const last = left.saved.at(-1)
      // The last one that was made whole: while it is there, so is its report, also where its removal was cut off.
      if (last !== undefined && (await listMade()).includes(last))
        equal((await quantizations.report(last)).result.size_bytes, whole.length)
    },
    async save(name) {
      const request = { model: 'base', quantization: 'Q8_0', name, calibrationText: undefined, report: true } as const
      for await (const _event of quantizations.run({ ...request, text: undefined }, never));
      await keepOnly(name)
    },
  }
}

export async function openMergePath(folder: string): Promise<SavePath> {
  const { modelsDir, registry, checkMade, keepOnly } = await openModels(folder, 'merged')
  const merges = createMerges({
    ...{ modelsDir, findModel: registry.find, aliases: new Map(), merge, quantize, oneJob: createOneJob(), threads, ...clock },
    share: ({ work }) => work,
    readFacts: async () => ({ quantization: 'Q8_0' }),
  })
  return {
    name: 'merge',
    check: checkMade,
    async save(name) {
      for await (const _event of merges.run({ model: 'base+adapter', quantization: 'Q8_0', name }, never));
      await keepOnly(name)
    },
  }
}

/** An adapter of a training, installed and given a second name. */
export async function openAdapterPath(folder: string): Promise<SavePath> {
  const { modelsDir, registry, checkMade, keepOnly } = await openModels(folder, 'adapters')
  const adapter = join(folder, 'trained.gguf')
  await writeFile(adapter, whole)
  return {
    name: 'adapter',
    check: checkMade,
    async save(name) {
      await installAdapter({ modelsDir, ...clock }, adapter, name)
      await copyModel({ modelsDir, registry, ...clock }, name, `${name}-too`)
      await keepOnly(name)
    },
  }
}

const first = 'one-00001-of-00002.gguf'
const second = 'one-00002-of-00002.gguf'
const ofModel = [first, `${first}.sha256`, 'one-00001-of-00002.report.json', second, `${second}.sha256`].sort()

/** A model of two files, with its report, in a folder of its own, which is removed. */
export async function openRemovalPath(folder: string): Promise<SavePath> {
  const modelsDir = join(folder, 'removed')
  await mkdir(modelsDir, { recursive: true })
  await removeUnfinished(modelsDir, { isStart: true })
  const { describe } = createModelRegistry(modelsDir)
  return {
    name: 'removal',
    async check({ saved }) {
      for (const entry of await readdir(modelsDir, { withFileTypes: true })) {
        if (!entry.isDirectory()) continue
        const files = (await readdir(join(modelsDir, entry.name))).sort().join()
        ok(['', ofModel.join()].includes(files), `of ${entry.name} is left: ${files}`)
        ok(files === '' || !saved.includes(entry.name), `${entry.name} was removed, and is there`)
      }
    },
    async save(name) {
      const making = join(folder, `making-${name}`)
      await mkdir(making)
      for (const file of ofModel) await writeFile(join(making, file), pieces[0] ?? '')
      await rename(making, join(modelsDir, name))
      await removeModel({ modelsDir, describe, isInUse: () => false, ...clock }, `${name}/${first}`)
    },
  }
}
