import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { createDatasets, type Datasets } from '../../src/datasets/datasets.ts'
import { exportLine } from '../../src/datasets/export-line.ts'
import { readDataset } from '../../src/datasets/read/read-dataset.ts'
import { type ReaderChild, type ReadMessage, readInProcess } from '../../src/datasets/read/read-process.ts'
import type { FromReader, ToReader } from '../../src/datasets/read/read-protocol.ts'
import type { ReadOptions } from '../../src/datasets/read/survey.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import { AppError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { databaseAt } from '../postgres/database-at.ts'

const never = new AbortController().signal

/** Reads in this process. */
async function* readHere(options: ReadOptions): AsyncGenerator<ReadMessage> {
  for await (const message of readDataset(options)) if (message.type !== 'read-failed') yield message
}

type Read = (options: ReadOptions, signal: AbortSignal) => AsyncIterable<ReadMessage>

async function openWorld(read: Read = readHere) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-datasets-'))
  const storage = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) })
  const clock = { ms: Date.UTC(2026, 0, 1) }
  const open = (using = read) => createDatasets({ db: storage.db, now: () => (clock.ms += 1000), read: using })
  const datasets = open()
  onTestFinished(async () => {
    await datasets.close()
    await storage.close()
    await rm(folder, { recursive: true, force: true })
  })
  const optionsOf = async (content: string, options: Partial<ReadOptions> = {}): Promise<ReadOptions> => {
    const path = join(folder, randomUUID())
    await writeFile(path, content)
    return { path, fileName: 'data.jsonl', format: undefined, heldOut: 0.1, seed: 0, exclude: [], ...options }
  }
  const addFile = (options: ReadOptions, name = 'facts', to: Datasets = datasets) =>
    to.add({ name, source: 'upload', origin: {}, createdBy: null, options }, never)
  const add = async (content: string, options: Partial<ReadOptions> = {}, name = 'facts', to: Datasets = datasets) =>
    addFile(await optionsOf(content, options), name, to)
  const countRows = async () => (await storage.db.selectFrom('datasetRows').select('position').execute()).length
  return { ...storage, folder, datasets, open, optionsOf, addFile, add, countRows }
}

const contentOf = (examples: readonly TrainingExample[]) => examples.map((example) => `${exportLine(example)}\n`).join('')
const texts = (count: number) =>
  Array.from(
    { length: count },
    (_, index): TrainingExample => ({ type: 'text', text: `Number ${index * 7919} of ${index ** 3}` }),
  )

async function exported(datasets: Datasets, reference: string): Promise<string> {
  const lines: string[] = []
  for await (const line of datasets.exportLines(await datasets.get(reference), undefined)) lines.push(line)
  return lines.join('')
}

test('a split is written for the trainer, as examples that are those of the split alone', async () => {
  const { datasets, add, folder } = await openWorld()
  const dataset = await add(contentOf(texts(450)), { heldOut: 0.2 })
  expect([dataset.trainRows, dataset.heldOutRows]).toEqual([360, 90])
  const read = async (split: 'train' | 'held-out') => {
    const file = join(folder, 'run', `${split}.jsonl`)
    await datasets.writeExamples('facts', split, file)
    return (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line))
  }
  const [train, held] = [await read('train'), await read('held-out')]
  expect([train.length, held.length]).toEqual([360, 90])
  expect(new Set([...train, ...held].map((one) => JSON.stringify(one)))).toEqual(
    new Set(texts(450).map((one) => JSON.stringify(one))),
  )
  await expect(datasets.writeExamples('other', 'train', join(folder, 'x'))).rejects.toMatchObject({ code: 'not_found' })
})

test('an export that is imported again is the same dataset', async () => {
  const { datasets, add } = await openWorld()
  const word = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter((one) => one.trim() !== '' && one.isWellFormed() && !one.includes('\0'))
  const chat = fc.tuple(word, word, fc.boolean()).map(
    ([question, answer, isHeavy]): TrainingExample => ({
      type: 'chat',
      messages: [
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ],
      ...(isHeavy ? { weight: 2 } : {}),
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(chat, { minLength: 1, maxLength: 30 }), fc.nat(1000), async (examples, seed) => {
      const first = await add(contentOf(examples), { seed })
      const second = await add(await exported(datasets, first.id), { seed })
      expect(second).toMatchObject({ sha256: first.sha256, version: first.version + 1, trainRows: first.trainRows })
      const rowsOf = async (id: string) => (await datasets.listRows(await datasets.get(id), { limit: 200 })).rows
      const [one, other] = [await rowsOf(first.id), await rowsOf(second.id)]
      expect(other.map((row) => ({ ...row, datasetId: '' }))).toEqual(one.map((row) => ({ ...row, datasetId: '' })))
    }),
    { numRuns: 25 },
  )
})

test('the sha256 changes with any row, and with their order', async () => {
  const { add } = await openWorld()
  const all = texts(20)
  const sums = []
  for (const examples of [all, all.with(7, { type: 'text', text: 'x' }), all.toReversed(), all.slice(1), all])
    sums.push((await add(contentOf(examples))).sha256)
  expect(new Set(sums).size).toBe(4)
  expect(sums[4]).toBe(sums[0])
})

test('names have versions, and each is found by its id, its name or both', async () => {
  const { datasets, add } = await openWorld()
  const [first, second] = [await add(contentOf(texts(1))), await add(contentOf(texts(2)))]
  expect([first.version, second.version]).toEqual([1, 2])
  expect((await datasets.get(first.id)).id).toBe(first.id)
  expect((await datasets.get('facts')).id).toBe(second.id)
  expect((await datasets.get('facts:1')).id).toBe(first.id)
  for (const missing of ['facts:3', 'fact', '', 'facts:'])
    await expect(datasets.get(missing)).rejects.toMatchObject({ code: 'not_found' })
})

test('a dataset that a training run has learned from stays; another one goes with all of its rows', async () => {
  const { datasets, add, db, countRows } = await openWorld()
  const kept = await add(contentOf(texts(300)))
  await add(contentOf(texts(700)))
  const time = new Date(0).toISOString()
  const run = {
    id: 'r',
    name: 'first',
    state: 'completed' as const,
    baseModel: 'm',
    datasetId: kept.id,
    parameters: '{}',
    createdAt: time,
    updatedAt: time,
  }
  await db
    .insertInto('trainingRuns')
    .values({
      ...run,
      replayDatasetId: null,
      plan: null,
      step: 0,
      checkpointStep: 0,
      trainedMs: 0,
      yieldedMs: 0,
      residentBytes: null,
      queuedAt: time,
      bestStep: null,
      heldOutLoss: null,
      adapter: null,
      errorCode: null,
      errorMessage: null,
      createdBy: null,
      startedAt: null,
      endedAt: null,
    })
    .execute()
  await expect(datasets.remove('facts:1')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('first') })
  await datasets.remove('facts:2')
  await datasets.close()
  expect(await countRows()).toBe(300)
  expect(await exported(datasets, 'facts')).toBe(contentOf(texts(300)))
})

test('where reading fails after rows were stored, nothing is there, and the next file is read', async () => {
  let fails = true
  const { datasets, add, countRows } = await openWorld(async function* (options) {
    for await (const message of readHere(options)) {
      if (message.type === 'read-end' && fails) throw new AppError('unprocessable', 'broken')
      yield message
    }
  })
  await expect(add(contentOf(texts(500)))).rejects.toMatchObject({ code: 'unprocessable' })
  expect([(await datasets.list({ limit: 10 })).items, await countRows()]).toEqual([[], 0])
  fails = false
  expect((await add(contentOf(texts(3)))).version).toBe(1)
})

test('what a killed service has left is removed at the next start, and nothing else', async () => {
  const { add, open, db, countRows, datasets } = await openWorld()
  await add(contentOf(texts(5)))
  const row = { split: 'train', conversation: 'c', example: '{}', flags: '[]' } as const
  for (const datasetId of ['0-left', 'z-left'])
    await db
      .insertInto('datasetRows')
      .values(Array.from({ length: 450 }, (_, position) => ({ ...row, datasetId, position })))
      .execute()
  await open().close()
  expect(await countRows()).toBe(5)
  expect(await exported(datasets, 'facts')).toBe(contentOf(texts(5)))
})

test('others get their turn while a large file is stored, and past five files it is busy', async () => {
  const gate = Promise.withResolvers<void>()
  const { optionsOf, addFile, db } = await openWorld(async function* (options) {
    for await (const message of readHere(options)) {
      if (message.type === 'read-end') await gate.promise
      yield message
    }
  })
  const file = await optionsOf(contentOf(texts(500)))
  const adding = Array.from({ length: 5 }, () => addFile(file))
  // A query is answered in the middle of it.
  expect(await db.selectFrom('datasets').select('id').execute()).toEqual([])
  await expect(addFile(file)).rejects.toMatchObject({ code: 'busy' })
  gate.resolve()
  expect((await Promise.all(adding)).map(({ version }) => version).sort()).toEqual([1, 2, 3, 4, 5])
})

test('what a process is about to write stays when another one begins, and goes when it has died', async () => {
  const world = await openWorld()
  const { db, open, optionsOf, addFile, countRows } = world
  await db.insertInto('instances').values({ id: 'one', host: 'here', pid: 1, startedAt: 0, seenAt: 0 }).execute()
  async function* whileAnotherBegins(options: ReadOptions): AsyncGenerator<ReadMessage> {
    for await (const message of readHere(options)) {
      if (message.type === 'read-end') await open().close()
      yield message
    }
  }
  const one = createDatasets({ db, instanceId: 'one', now: Date.now, read: whileAnotherBegins })
  expect(await addFile(await optionsOf(contentOf(texts(30))), 'facts', one)).toMatchObject({ trainRows: 27, heldOutRows: 3 })
  expect(await countRows()).toBe(30)
  await db.deleteFrom('datasets').execute()
  await db.insertInto('sharedState').values({ name: 'dataset-import:left', version: 0, value: 'gone' }).execute()
  await open().close()
  expect([await countRows(), await db.selectFrom('sharedState').select('name').execute()]).toEqual([0, []])
})

test('a dataset of which rows are gone when it is to be there is none', async () => {
  const { db, optionsOf, addFile, countRows } = await openWorld()
  async function* whileRowsGo(options: ReadOptions): AsyncGenerator<ReadMessage> {
    for await (const message of readHere(options)) {
      if (message.type === 'read-end') await db.deleteFrom('datasetRows').where('position', '=', 3).execute()
      yield message
    }
  }
  const one = createDatasets({ db, now: Date.now, read: whileRowsGo })
  const adding = addFile(await optionsOf(contentOf(texts(30))), 'facts', one)
  await expect(adding).rejects.toMatchObject({ code: 'unavailable' })
  expect(await countRows()).toBe(0)
})

/** A process that answers as the script says; `hang` never does, `die` ends. */
function scripted(script: (message: ToReader) => FromReader | 'hang' | 'die') {
  const state = { killed: false }
  let answer: (message: FromReader) => void = () => {}
  let exit: (reason: string) => void = () => {}
  const child: ReaderChild = {
    send(message) {
      const outcome = script(message)
      if (outcome === 'die') queueMicrotask(() => exit('SIGABRT'))
      else if (outcome !== 'hang') queueMicrotask(() => answer(outcome))
    },
    kill() {
      state.killed = true
      queueMicrotask(() => exit('SIGKILL'))
    },
    onMessage: (listener) => {
      answer = listener
    },
    onExit: (listener) => {
      exit = listener
    },
  }
  return { spawn: () => child, state }
}

const options: ReadOptions = { path: 'x', fileName: 'x', format: undefined, heldOut: 0, seed: 0, exclude: [] }

async function outcomeOf(script: (message: ToReader) => FromReader | 'hang' | 'die', signal = never, timeMs = 60_000) {
  const { spawn, state } = scripted(script)
  const types: string[] = []
  try {
    for await (const { type } of readInProcess(spawn, options, signal, { timeMs })) types.push(type)
    return { types, ...state }
  } catch (error) {
    return { code: error instanceof AppError ? error.code : error, ...state }
  }
}

test('a process that dies, hangs, refuses or is left ends with its file', async () => {
  const end: FromReader = { type: 'read-end', sha256: '' }
  expect(await outcomeOf(({ type }) => (type === 'read-start' ? { type: 'read-rows', rows: [] } : end))).toEqual({
    types: ['read-rows', 'read-end'],
    killed: true,
  })
  expect(await outcomeOf(() => 'die')).toEqual({ code: 'unprocessable', killed: true })
  expect(await outcomeOf(({ type }) => (type === 'read-start' ? { type: 'read-rows', rows: [] } : 'die'))).toEqual({
    code: 'unprocessable',
    killed: true,
  })
  expect(await outcomeOf(() => 'hang', never, 1)).toEqual({ code: 'unprocessable', killed: true })
  expect(await outcomeOf(() => ({ type: 'read-failed', code: 'too_large', message: '' }))).toEqual({
    code: 'too_large',
    killed: true,
  })
  const leaving = new AbortController()
  const left = outcomeOf(() => {
    queueMicrotask(() => leaving.abort())
    return 'hang'
  }, leaving.signal)
  expect(await left).toEqual({ code: 'aborted', killed: true })
  expect(await outcomeOf(() => 'hang', leaving.signal)).toEqual({ code: 'aborted', killed: false })
})
