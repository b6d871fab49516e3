import type { ReadVectors, VectorIndex, VectorSpace } from '../engine/vector-index.ts'
import { AppError } from '../errors.ts'
import type { OpenJobQueue, WorkOutcome } from '../jobs/job-queue.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection, Owner } from './collection.ts'
import { getOwn } from './collections.ts'
import { dimensionsOf, type EmbeddingModels, getModel } from './embedding-models.ts'
import { claimRow, findRow, forgetRow, listWaiting, noteWaiting, type ReEmbeddingRow, saveProgress } from './re-embed-rows.ts'
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
  /** Texts that were cut to the new model's window. */
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
  /** Takes up what another process has begun and nobody does. */
  look(): Promise<void>
  /** Ends when nothing is under way here any more, or waits for a model. */
  idle(): Promise<void>
  close(): Promise<void>
}

export type ReEmbeddingParts = Readonly<{
  db: Database
  models: EmbeddingModels
  vectorIndex: Pick<VectorIndex, 'search' | 'drop'>
  readVectors: ReadVectors
  /** This process: none of the others works on what it has taken. */
  instanceId: string
  /** Says which collection comes next. */
  openQueue: OpenJobQueue
  now: () => number
}>

/** What the vectors must reach on a sample before they answer. */
const leastRecall = 0.95

/** Begins at once with what earlier processes left. */
export function createReEmbedding(parts: ReEmbeddingParts): ReEmbedding {
  const { db, models, vectorIndex, instanceId } = parts
  const closing = new AbortController()
  const queue = parts.openQueue(work)
  let resuming: Promise<unknown> = resume().catch(() => {})

  async function resume(): Promise<void> {
    const moving = db.selectFrom('collections').select(['id', 'nextModel']).where('nextModel', 'is not', null).orderBy('id')
    for (const { id, nextModel } of await moving.execute()) {
      await noteWaiting(db, id, nextModel ?? '')
      await queue.add(id)
    }
    await sweepVectors(db, closing.signal)
  }

  async function work(collectionId: string, signal: AbortSignal): Promise<WorkOutcome> {
    const row = await claimRow(db, collectionId, instanceId)
    if (row === 'taken') return 'again'
    if (row === undefined) return 'done'
    try {
      await move(parts, row, signal)
      await forgetRow(db, collectionId, row.model)
      await sweepVectors(db, closing.signal, collectionId)
    } catch (error) {
      if (error instanceof MoveEnded) await forgetRow(db, collectionId, row.model)
      else await saveProgress(db, row, signal.aborted ? { state: 'waiting' } : failureOf(error))
    }
    // Somebody may have begun it anew meanwhile.
    return (await findRow(db, collectionId))?.state === 'waiting' ? 'again' : 'done'
  }

  return {
    async start(owner, nameOrId, named) {
      const model = named === undefined ? models.usual : await getModel(models, named)
      const collection = await db.transaction().execute((transaction) => note(transaction, owner, nameOrId, model.name))
      await queue.add(collection.id)
      return collection
    },

    async cancel(owner, nameOrId) {
      const { id, name, model, nextModel, dimensions } = await getOwn(db, owner, nameOrId)
      if (nextModel === undefined) throw new AppError('conflict', `The collection "${name}" is not being re-embedded.`)
      await db.updateTable('collections').set({ nextModel: null }).where('id', '=', id).where('model', '=', model).execute()
      await forgetRow(db, id, nextModel)
      queue.drop(id)
      resuming = resuming
        // Nothing of it is written any more then.
        .then(queue.idle)
        .then(() => vectorIndex.drop(spaceOf({ id, model: nextModel, dimensions })))
        .then(() => sweepVectors(db, closing.signal, id))
        .catch(() => {})
      return getOwn(db, owner, id)
    },

    async progressOf({ id, nextModel }) {
      if (nextModel === undefined) return undefined
      const row = await findRow(db, id)
      if (row?.model !== nextModel) return notBegun(nextModel)
      const { model, state, done, total, truncated, reason } = row
      return { model, state, done, total, truncated, reason: reason ?? undefined }
    },

    async look() {
      for (const id of await listWaiting(db)) await queue.add(id)
    },

    async idle() {
      for (let seen: unknown; seen !== resuming; ) {
        seen = resuming
        await seen
        await queue.idle()
      }
    },

    async close() {
      closing.abort()
      await queue.close()
      await resuming
    },
  }
}

function failureOf(error: unknown) {
  const mayPass = error instanceof AppError && (error.code === 'busy' || error.code === 'unavailable')
  const reason = error instanceof AppError ? error.message : 'Something failed inside simpleIA.'
  return { state: mayPass ? ('waiting' as const) : ('failed' as const), reason }
}

function notBegun(model: string): ReEmbedProgress {
  return { model, state: 'waiting', done: 0, total: 0, truncated: 0, reason: undefined }
}

/** Writes down where the collection goes. */
async function note(db: Database, owner: Owner, nameOrId: string, model: string): Promise<Collection> {
  const collection = await getOwn(db, owner, nameOrId)
  const { id, name, nextModel } = collection
  if (nextModel !== undefined && nextModel !== model)
    throw new AppError(
      'conflict',
      `The collection "${name}" is on its way to "${nextModel}". Stop that first: DELETE /embed/collections/${id}/re-embed.`,
    )
  if (collection.model === model) throw new AppError('conflict', `The collection "${name}" has vectors of "${model}" already.`)
  await db.updateTable('collections').set({ nextModel: model }).where('id', '=', id).execute()
  await noteWaiting(db, id, model)
  return { ...collection, nextModel: model }
}

/** Throws `MoveEnded`, `conflict` when the new vectors are no good, and as the model and the index. */
async function move(parts: ReEmbeddingParts, row: ReEmbeddingRow, signal: AbortSignal): Promise<void> {
  const { db, models, vectorIndex } = parts
  const { collectionId } = row
  const model = await getModel(models, row.model)
  const goal: Move = { collectionId, model, dimensions: await dimensionsOf(model, signal) }
  const space = spaceOf({ id: collectionId, model: model.name, dimensions: goal.dimensions })
  let [done, cut] = [0, row.truncated]
  const onProgress = async (more: number, truncated: number) => {
    done += more
    cut += truncated
    await saveProgress(db, row, { done, truncated: cut })
  }
  try {
    for (let after = 0; ; ) {
      await saveProgress(db, row, { total: await countPassages(db, collectionId) })
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
