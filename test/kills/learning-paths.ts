import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sql } from 'kysely'
import { createDatasets, type NewDataset } from '../../src/datasets/datasets.ts'
import type { ReadMessage } from '../../src/datasets/read/read-process.ts'
import type { DatasetReport } from '../../src/datasets/report.ts'
import { createFeedback } from '../../src/feedback/feedback.ts'
import type { RecordedAnswer } from '../../src/predict/predict.ts'
import { createRecorder } from '../../src/predictions/recorder.ts'
import { createMeter } from '../../src/usage/meter.ts'
import { readUsage } from '../../src/usage/usage-days.ts'
import { killedOwner } from './batches.ts'
import type { RowsParts } from './rows-parts.ts'
import type { Left, SavePath } from './save-paths.ts'

const never = new AbortController().signal
const asker = { key: `user:${killedOwner}`, authenticated: true, userId: killedOwner, keyId: undefined }
const target = { provider: 'hf', model: 'model', ranOn: 'local', why: 'default', passedBy: [] } as const

/** What is learned from, and what is counted: datasets, answers with their feedback, quotas. */
export async function openLearningPaths(parts: RowsParts): Promise<readonly SavePath[]> {
  return [await openDatasetPath(parts), openAnswerPath(parts), openUsagePath(parts)]
}

const batches = 4
const rowsPerBatch = 10
const heldOutRows = batches
const trainRows = batches * rowsPerBatch - heldOutRows

async function openDatasetPath({ db, instances, folder, now }: RowsParts): Promise<SavePath> {
  const datasets = createDatasets({ db, instanceId: instances.id, now, read: readInBatches })
  // Resolves when what was cut off has been removed.
  await datasets.close()
  const file = join(folder, 'train.jsonl')
  await mkdir(folder, { recursive: true })
  return {
    name: 'dataset',
    async check({ newest }) {
      const { items } = await datasets.list({ limit: 100 })
      ok(newest.has(undefined) || items.some(({ name }) => newest.has(name)), `none of ${[...newest]} is there`)
      for (const { id, name } of items) {
        const rows = await db.selectFrom('datasetRows').select('example').where('datasetId', '=', id).execute()
        equal(rows.length, trainRows + heldOutRows, `${name} is not whole`)
      }
      const { rows } = await sql<{ left: number }>`select count(*) as left from dataset_rows
        where dataset_id not in (select id from datasets)`.execute(db)
      equal(Number(rows[0]?.left), 0, 'rows of a dataset that is not there')
      const notes = await db.selectFrom('sharedState').select('name').where('name', 'like', 'dataset-import:%').execute()
      deepEqual(notes, [], 'an import that nobody does')
      const lines = (await readFile(file, 'utf8').catch(() => undefined))?.split('\n').slice(0, -1)
      if (lines === undefined) return
      equal(lines.length, trainRows, 'the file of examples is not whole')
      equal(new Set(lines.map((line) => JSON.parse(line).text.split(' ')[0])).size, 1, 'examples of two datasets in one file')
    },
    async save(name) {
      const before = await datasets.list({ limit: 100 })
      const { id } = await datasets.add(datasetOf(name), never)
      await datasets.writeExamples(id, 'train', file)
      for (const one of before.items) await datasets.remove(one.id)
      await datasets.close()
    },
  }
}

const datasetOf = (name: string): NewDataset => ({
  ...{ name, source: 'upload', origin: {}, createdBy: null },
  options: { path: name, fileName: name, format: undefined, heldOut: 0.1, seed: 0, exclude: [] },
})

/** As a process would read a file. */
async function* readInBatches({ path }: NewDataset['options']): AsyncGenerator<ReadMessage> {
  yield { type: 'read-survey', kind: 'text', report }
  for (let batch = 0; batch < batches; batch += 1) {
    await nextTurn()
    const rows = Array.from({ length: rowsPerBatch }, (_, index) => ({
      position: batch * rowsPerBatch + index,
      split: index === 0 ? ('held-out' as const) : ('train' as const),
      conversation: `${batch}-${index}`,
      example: JSON.stringify({ type: 'text', text: `${path} ${batch} ${index}` }),
      flags: [],
    }))
    yield { type: 'read-rows', rows }
  }
  yield { type: 'read-end', sha256: '' }
}

const report: DatasetReport = {
  ...{ container: 'json-lines', encoding: 'utf-8', byteOrderMark: false, crlfLines: 0, emptyLines: 0, records: 40, rows: 40 },
  ...{ formats: [], refused: [], ignoredFields: [], flags: [], excluded: [], excludedRows: 0 },
  split: { seed: 0, heldOut: 0.1, trainRows, heldOutRows, conversations: 40, heldOutConversations: 4, groups: 40 },
}

function openAnswerPath({ db, now, log }: RowsParts): SavePath {
  const recorder = createRecorder({ db, isOn: true, log, count: () => {}, now })
  const feedback = createFeedback({ db, now })
  return {
    name: 'answer and feedback',
    async check({ saved }) {
      const rows = await db.selectFrom('predictions').select(['id', 'prompt', 'choices']).execute()
      for (const { id, prompt, choices } of rows)
        equal(`${JSON.parse(prompt).text} ${JSON.parse(choices)[0].text}`, `${id}? ${id}!`, `the answer ${id} is not whole`)
      const ids = new Set(rows.map(({ id }) => id))
      const rated = await db.selectFrom('feedback').select(['predictionId', 'correction']).execute()
      for (const { predictionId, correction } of rated)
        ok(ids.has(predictionId ?? '') && correction === `${predictionId}.`, `feedback on ${predictionId}`)
      for (const name of saved)
        ok(
          rated.some(({ predictionId }) => predictionId === name),
          `the feedback on ${name} is gone`,
        )
    },
    async save(name) {
      await recorder.record(answerOf(name))
      await feedback.save({ userId: killedOwner, predictionId: name, rating: 'down', correction: `${name}.` })
    },
  }
}

const answerOf = (id: string): RecordedAnswer => ({
  ...{ id, asker, target },
  request: {
    ...{ model: undefined, provider: undefined, prompt: { type: 'text', text: `${id}?` }, maxTokens: 10, choices: 1, stop: [] },
    sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined },
  },
  choices: [{ index: 0, text: `${id}!`, reason: 'stop', ...noMore }],
  ...{ usage: undefined, timings: undefined },
})

const noMore = { reasoning: '', reasoningSignature: undefined, toolCalls: [], tokens: [], stopText: undefined }

const usage = { promptTokens: 2, completionTokens: 3, cachedPromptTokens: 0 }

function openUsagePath({ db, log }: RowsParts): SavePath {
  const meter = createMeter({
    ...{ db, now: () => Date.UTC(2026, 0, 1), defaults: { requestsPerDay: 0, tokensPerDay: 0 } },
    onFailure: log.error,
  })
  return {
    name: 'usage',
    async check({ savedCount, cutCount }: Left) {
      const { requests, promptTokens, completionTokens } = await readUsage(db, `user:${killedOwner}`, '2026-01-01')
      ok(requests >= savedCount && requests <= savedCount + cutCount, `${requests} of ${savedCount} to ${savedCount + cutCount}`)
      equal(promptTokens * 3, completionTokens * 2, 'half of the tokens')
      const counted = promptTokens / 2
      ok(counted >= savedCount && counted <= requests, `the tokens of ${counted} of ${requests} requests`)
    },
    async save() {
      await meter.admit(asker, target)
      await meter.note(asker, target, usage)
    },
  }
}
