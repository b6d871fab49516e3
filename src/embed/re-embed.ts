import type { ReadVectors, VectorIndex, VectorSpace } from '../engine/vector-index.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection, Owner } from './collection.ts'
import { getOwn, toCollection } from './collections.ts'
import { dimensionsOf, type EmbeddingModels, getModel } from './embedding-models.ts'
import { fillVectors, type Move, MoveEnded, switchModel } from './re-embed-work.ts'
import { measureRecall } from './recall-check.ts'
import { spaceOf } from './vector-rows.ts'
import { sweepVectors } from './vector-sweep.ts'

export type ReEmbedProgress = Readonly<{
  model: string
  state: 'running' | 'waiting' | 'failed'
  /** Passages that have their new vector, and all. */
  done: number
  total: number
  /** Texts that were cut to the new model's window since the service started. */
  truncated: number
  /** Why it waits or has failed. */
  reason: string | undefined
}>

/**
 * Moves collections to another embedding model, one after the other, while they are in use. Searches go on with the old vectors; what is
 * added gets vectors of both models. When all are there and searches with them are good, one transaction switches, and the old
 * vectors go little by little. What a kill interrupts goes on at the next start.
 */
export interface ReEmbedding {
  /**
   * Begins, or goes on after a failure. Without a name it is the model in use. Throws `not_found` for collection and model, `conflict`
   * when the collection has the model already or is on its way to another.
   */
  start(owner: Owner, nameOrId: string, model?: string): Promise<Collection>
  /** Stays with the old model. Throws `not_found`, `conflict` when the collection is not on its way. */
  cancel(owner: Owner, nameOrId: string): Promise<Collection>
  progressOf(collection: Collection): Promise<ReEmbedProgress | undefined>
  /** Ends when nothing is under way any more, or waits for a model. */
  idle(): Promise<void>
  close(): Promise<void>
}

export type ReEmbeddingParts = Readonly<{
  db: Database
  models: EmbeddingModels
  vectorIndex: Pick<VectorIndex, 'search' | 'drop'>
  readVectors: ReadVectors
  now: () => number
  /** Waits before something is tried again. */
  wait: (ms: number, signal: AbortSignal) => Promise<unknown>
}>

/** What the vectors must reach on a sample before they answer. */
const leastRecall = 0.95
const firstWaitMs = 1000
const longestWaitMs = 60_000

type Job = { -readonly [Field in keyof ReEmbedProgress]: ReEmbedProgress[Field] } & {
  readonly collectionId: string
  readonly stop: AbortController
  waitMs: number
}

/** Begins at once with what an earlier process left. */
export function createReEmbedding(parts: ReEmbeddingParts): ReEmbedding {
  const { db, models, vectorIndex, wait } = parts
  const jobs = new Map<string, Job>()
  const closing = new AbortController()
  let last: Promise<void> = resume().catch(() => {})
  const pauses = new Set<Promise<void>>()

  async function resume(): Promise<void> {
    const rows = await db.selectFrom('collections').selectAll().where('nextModel', 'is not', null).orderBy('id').execute()
    for (const row of rows) begin(toCollection(row))
    await sweepVectors(db, closing.signal)
  }

  function begin({ id, nextModel = '' }: Collection): void {
    const job: Job = {
      collectionId: id,
      model: nextModel,
      state: 'waiting',
      done: 0,
      total: 0,
      truncated: 0,
      reason: undefined,
      stop: new AbortController(),
      waitMs: firstWaitMs,
    }
    jobs.set(id, job)
    enqueue(() => run(job))
  }

  /** One after the other; what fails here is found again at the next start. */
  function enqueue(work: () => Promise<void>): void {
    last = last.then(work).catch(() => {})
  }

  async function run(job: Job): Promise<void> {
    const signal = AbortSignal.any([job.stop.signal, closing.signal])
    if (signal.aborted) return
    try {
      await move(parts, job, signal)
      forget(job)
      await sweepVectors(db, closing.signal, job.collectionId)
    } catch (error) {
      if (error instanceof MoveEnded) return forget(job)
      if (signal.aborted) return
      fail(job, error, signal)
    }
  }

  function forget(job: Job): void {
    if (jobs.get(job.collectionId) === job) jobs.delete(job.collectionId)
  }

  function fail(job: Job, error: unknown, signal: AbortSignal): void {
    job.reason = error instanceof AppError ? error.message : 'Something failed inside simpleIA.'
    const mayPass = error instanceof AppError && (error.code === 'busy' || error.code === 'unavailable')
    job.state = mayPass ? 'waiting' : 'failed'
    if (!mayPass) return
    const pause = wait(job.waitMs, signal).then(
      () => enqueue(() => run(job)),
      () => {},
    )
    job.waitMs = Math.min(job.waitMs * 2, longestWaitMs)
    pauses.add(pause)
    void pause.finally(() => pauses.delete(pause))
  }

  return {
    async start(owner, nameOrId, named) {
      const model = named === undefined ? models.usual : await getModel(models, named)
      const { collection, isNew } = await db
        .transaction()
        .execute((transaction) => note(transaction, owner, nameOrId, model.name))
      if (isNew || (jobs.get(collection.id)?.state ?? 'failed') === 'failed') begin(collection)
      return collection
    },

    async cancel(owner, nameOrId) {
      const { id, name, model, nextModel, dimensions } = await getOwn(db, owner, nameOrId)
      if (nextModel === undefined) throw new AppError('conflict', `The collection "${name}" is not being re-embedded.`)
      await db.updateTable('collections').set({ nextModel: null }).where('id', '=', id).where('model', '=', model).execute()
      jobs.get(id)?.stop.abort()
      jobs.delete(id)
      enqueue(async () => {
        await vectorIndex.drop(spaceOf({ id, model: nextModel, dimensions }))
        await sweepVectors(db, closing.signal, id)
      })
      return getOwn(db, owner, id)
    },

    async progressOf({ id, nextModel }) {
      if (nextModel === undefined) return undefined
      const { model, state, done, total, truncated, reason } = jobs.get(id) ?? notBegun(nextModel)
      return { model, state, done, total, truncated, reason }
    },

    async idle() {
      for (let seen: Promise<void> | undefined; seen !== last; ) {
        seen = last
        await seen
      }
    },

    async close() {
      closing.abort()
      await Promise.all([last, ...pauses])
    },
  }
}

function notBegun(model: string): ReEmbedProgress {
  return { model, state: 'waiting', done: 0, total: 0, truncated: 0, reason: undefined }
}

/** Writes down where the collection goes. */
async function note(
  db: Database,
  owner: Owner,
  nameOrId: string,
  model: string,
): Promise<Readonly<{ collection: Collection; isNew: boolean }>> {
  const collection = await getOwn(db, owner, nameOrId)
  const { id, name, nextModel } = collection
  if (nextModel === model) return { collection, isNew: false }
  if (nextModel !== undefined)
    throw new AppError(
      'conflict',
      `The collection "${name}" is on its way to "${nextModel}". Stop that first: DELETE /embed/collections/${id}/re-embed.`,
    )
  if (collection.model === model) throw new AppError('conflict', `The collection "${name}" has vectors of "${model}" already.`)
  await db.updateTable('collections').set({ nextModel: model }).where('id', '=', id).execute()
  return { collection: { ...collection, nextModel: model }, isNew: true }
}

/** Throws `MoveEnded`, `conflict` when the new vectors are no good, and as the model and the index. */
async function move(parts: ReEmbeddingParts, job: Job, signal: AbortSignal): Promise<void> {
  const { db, models, vectorIndex } = parts
  const { collectionId } = job
  job.state = 'running'
  job.reason = undefined
  const model = await getModel(models, job.model)
  const goal: Move = { collectionId, model, dimensions: await dimensionsOf(model, signal) }
  const space = spaceOf({ id: collectionId, model: model.name, dimensions: goal.dimensions })
  job.done = 0
  const onProgress = (done: number, truncated: number) => {
    job.done += done
    job.truncated += truncated
  }
  try {
    for (let after = 0; ; ) {
      job.total = await countPassages(db, collectionId)
      after = await fillVectors(db, { move: goal, after, onProgress, signal })
      // The index may have read the space when it was not complete.
      await vectorIndex.drop(space)
      await refuseBadRecall(parts, goal, space, signal)
      const switched = await switchModel(db, goal, { last: after, now: parts.now })
      if (switched === undefined) continue
      await vectorIndex.drop(spaceOf(switched.before)).catch(() => {})
      // What was added since was told to the old space alone.
      if (switched.isUnchanged) return
      break
    }
  } catch (error) {
    await vectorIndex.drop(space).catch(() => {})
    throw error
  }
  await vectorIndex.drop(space).catch(() => {})
}

async function refuseBadRecall(
  { db, vectorIndex, readVectors }: ReEmbeddingParts,
  { collectionId, model }: Move,
  space: VectorSpace,
  signal: AbortSignal,
): Promise<void> {
  const recall = await measureRecall({ db, model, vectorIndex, readVectors }, { collectionId, space }, signal)
  signal.throwIfAborted()
  if (Math.min(recall.neighbours, recall.itself) >= leastRecall) return
  throw new AppError('conflict', badRecallMessage(model.name, recall))
}

function badRecallMessage(model: string, { sample, neighbours, itself }: Awaited<ReturnType<typeof measureRecall>>): string {
  const percent = (share: number) => `${Math.round(share * 100)} %`
  return (
    `Searches with the vectors of "${model}" are not good enough: of ${sample} passages ${percent(itself)} found themselves, with ` +
    `${percent(neighbours)} of their neighbours; ${percent(leastRecall)} are needed. The old vectors go on answering.`
  )
}

async function countPassages(db: Database, collectionId: string): Promise<number> {
  const { count } = await db
    .selectFrom('passages')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('collectionId', '=', collectionId)
    .executeTakeFirstOrThrow()
  return count
}
