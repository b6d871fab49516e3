import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TrainParameters } from '../engine/train/protocol.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import {
  type BaseModel,
  countAdapterNumbers,
  type Disks,
  refuseAsReplay,
  refuseFullDisk,
  refuseUnfitting,
  refuseUntrainable,
} from './check-run.ts'
import { createRunFeeds } from './run-feeds.ts'
import { createRunQueue, type QueueParts } from './run-queue.ts'
import {
  countRuns,
  findCompleted,
  findRun,
  getRun,
  listQueue,
  listRuns,
  moveRun,
  type RunFilter,
  type RunRow,
} from './run-rows.ts'
import { canTryAgain, type RunEvent, type RunState, transitions } from './run-states.ts'
import { listRecent, type RunView, tokensPerSecond } from './run-view.ts'
import type { WorkParts } from './run-work.ts'
import type { LearnedDataset, LearnedDatasets } from './trainer.ts'
import { type WatchEvent, watchRun } from './watch-run.ts'

export type NewRun = Readonly<{
  /** Undefined: made of the dataset's. */
  name: string | undefined
  /** Undefined: the selected model. */
  model: string | undefined
  /** As `LearnedDatasets.get` reads it. */
  dataset: string | undefined
  /** Undefined: the text that comes with the program. */
  replayDataset: string | undefined
  parameters: TrainParameters
  createdBy: string | undefined
}>

export type RunNumbers = Readonly<{
  counts: ReadonlyMap<RunState, number>
  /** Of the run that runs; 0 where none does. */
  step: number
  loss: number
  tokensPerSecond: number
  isYielding: boolean
}>

export interface TrainingRuns {
  /**
   * Checks that a run can be done, and puts it into the queue. Throws `invalid`, `not_found`, `conflict` (its name is taken),
   * `storage_full`, `busy` (too many wait).
   */
  create(wanted: NewRun): Promise<RunView>
  /** Throws `not_found`, as all that take an id. */
  get(id: string): Promise<RunView>
  list(filter: RunFilter): Promise<Readonly<{ items: readonly RunView[]; nextCursor: string | undefined }>>
  latest(): Promise<Readonly<{ run: RunView | undefined; completed: RunView | undefined }>>
  /** Has it write a checkpoint and leave the machine. Throws `conflict` where it does not run or wait. */
  pause(id: string): Promise<RunView>
  /** Ends it; its last checkpoint stays. Throws `conflict` where it has ended. */
  cancel(id: string): Promise<RunView>
  /** Puts it into the queue again, to go on from its last checkpoint. Throws `conflict` where it cannot, `busy`. */
  resume(id: string): Promise<RunView>
  /** Removes it with its folder; an adapter that was installed stays. Throws `conflict` while it runs. */
  remove(id: string): Promise<void>
  /** Throws `not_found` at the first event. */
  watch(id: string, gone: AbortSignal): AsyncGenerator<WatchEvent>
  numbers(): Promise<RunNumbers>
  /** Interrupts what runs, with a checkpoint where there is time for one. */
  close(): Promise<void>
}

export type RunsParts = Omit<WorkParts, 'recording' | 'findBase' | 'datasets'> &
  Pick<QueueParts, 'log' | 'stopGraceMs'> &
  Disks &
  Readonly<{
    db: Database
    datasets: LearnedDatasets
    /** An installed model by its name; undefined: the selected one. Throws `not_found`, `invalid`, `unavailable` (none is selected). */
    findBase: (name: string | undefined) => Promise<BaseModel>
    /** Throws `invalid` for a name that no model can have, `conflict` for that of an installed one. */
    checkName: (name: string) => Promise<void>
    createId: () => string
    /** Milliseconds since 1970. */
    now: () => number
    /** Steps that come within this time are written together. */
    gatherMs: number
    /** How long `pause` and `cancel` wait for the end of the run before they answer. */
    answerWaitMs: number
  }>

/** Runs that wait at once. */
const mostWaiting = 100

/** The training runs of this service: one at a time, the others wait in their order. */
export async function createTrainingRuns(parts: RunsParts): Promise<TrainingRuns> {
  const { db, datasets, findBase, checkName, createId, now, trainingDir } = parts
  const feeds = createRunFeeds()
  const queue = await createRunQueue({ ...parts, feeds })
  let lastQueued = 0

  const time = () => new Date(now()).toISOString()
  /** Later than any before, so that the queue keeps its order. */
  const queueTime = () => {
    lastQueued = Math.max(now(), lastQueued + 1)
    return new Date(lastQueued).toISOString()
  }

  async function view(row: RunRow, waiting?: readonly string[]): Promise<RunView> {
    const recent = await listRecent(db, row.id)
    const position = row.state === 'queued' ? (waiting ?? (await listQueue(db))).indexOf(row.id) : -1
    return { row, ...queue.standingOf(row.id), queuePosition: position < 0 ? undefined : position, recent }
  }
  const get = async (id: string) => view(await getRun(db, id))

  async function create({ name, model, dataset: wanted, replayDataset, parameters, createdBy }: NewRun): Promise<RunView> {
    await refuseLongQueue(db)
    const base = await findBase(model)
    refuseUntrainable(base)
    const dataset = await datasets.get(wanted)
    refuseUnfitting(dataset, parameters)
    const replayed = replayDataset === undefined ? undefined : await datasets.get(replayDataset)
    if (replayed !== undefined) refuseAsReplay(replayed)
    await refuseFullDisk(parts, countAdapterNumbers(base, parameters))
    if (name !== undefined) await checkName(name)
    const id = createId()
    const row = {
      id,
      name: name ?? (await freeName(dataset)),
      baseModel: base.name,
      datasetId: dataset.id,
      replayDatasetId: replayed?.id ?? null,
      parameters: JSON.stringify(parameters),
      ...emptyRun,
      queuedAt: queueTime(),
      createdBy: createdBy ?? null,
      createdAt: time(),
      updatedAt: time(),
    }
    const { numInsertedOrUpdatedRows } = await db
      .insertInto('trainingRuns')
      .values(row)
      .onConflict((conflict) => conflict.column('name').doNothing())
      .executeTakeFirstOrThrow()
    if (numInsertedOrUpdatedRows === 0n)
      throw new AppError('conflict', `There is a run "${row.name}" already. Choose another name.`)
    const created = await get(id)
    queue.wake()
    return created
  }

  async function freeName(dataset: LearnedDataset): Promise<string> {
    const stem =
      dataset.name
        .replace(/[^A-Za-z0-9._-]+/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, 60) || 'run'
    for (let number = 1; ; number += 1) {
      const name = `${stem}-${number}`
      const taken = await db.selectFrom('trainingRuns').select('id').where('name', '=', name).executeTakeFirst()
      if (taken === undefined && (await isFree(name))) return name
    }
  }
  const isFree = (name: string) =>
    checkName(name).then(
      () => true,
      (error: unknown) => {
        if (error instanceof AppError && error.code === 'conflict') return false
        throw error
      },
    )

  async function stop(id: string, event: 'pause' | 'cancel'): Promise<RunView> {
    await queue.settle()
    const ending = queue.stop(id, event)
    if (ending !== undefined) await withinTime(ending, parts.yielding.clock, parts.answerWaitMs)
    else await move(id, event, { queuedAt: null, endedAt: event === 'cancel' ? time() : null })
    return get(id)
  }

  async function move(id: string, event: RunEvent, changes: Omit<Parameters<typeof moveRun>[3], 'updatedAt'>): Promise<void> {
    if (!(await moveRun(db, id, event, { ...changes, updatedAt: time() }))) refuseMove(await getRun(db, id), event)
    feeds.allChanged()
  }

  async function resume(id: string): Promise<RunView> {
    await queue.settle()
    await refuseLongQueue(db)
    const run = await getRun(db, id)
    if (run.state === 'failed' && !canTryAgain(run.errorCode))
      throw new AppError('conflict', `The run "${run.name}" would fail again: ${run.errorMessage} Start another one.`)
    await move(id, 'resume', { queuedAt: queueTime(), endedAt: null, errorCode: null, errorMessage: null })
    const resumed = await get(id)
    queue.wake()
    return resumed
  }

  return {
    create,
    get,
    async list(filter) {
      const [{ items, nextCursor }, waiting] = await Promise.all([listRuns(db, filter), listQueue(db)])
      return { items: await Promise.all(items.map((row) => view(row, waiting))), nextCursor }
    },
    async latest() {
      const [newest] = (await listRuns(db, { limit: 1, cursor: undefined, state: undefined })).items
      const completed = await findCompleted(db)
      return { run: newest && (await view(newest)), completed: completed && (await view(completed)) }
    },
    pause: (id) => stop(id, 'pause'),
    cancel: (id) => stop(id, 'cancel'),
    resume,
    async remove(id) {
      await queue.settle()
      const run = await getRun(db, id)
      const removal = db.deleteFrom('trainingRuns').where('id', '=', id).where('state', '!=', 'running')
      if (queue.stands(id) || (await removal.executeTakeFirstOrThrow()).numDeletedRows === 0n)
        throw new AppError('conflict', `The run "${run.name}" is running. Cancel it first.`)
      feeds.allChanged()
      await rm(join(trainingDir, id), { recursive: true, force: true })
    },
    watch: (id, gone) => watchRun({ db, id, feed: feeds.subscribe(id), view: () => get(id) }, gone),
    async numbers() {
      const id = queue.running()
      const row = id === undefined ? undefined : await findRun(db, id)
      const recent = row === undefined ? [] : await listRecent(db, row.id)
      return {
        counts: await countRuns(db),
        step: row?.step ?? 0,
        loss: recent.at(-1)?.loss ?? 0,
        tokensPerSecond: tokensPerSecond(recent) ?? 0,
        isYielding: row !== undefined && queue.standingOf(row.id).isYielding,
      }
    },
    close: queue.close,
  }
}

const emptyRun = {
  state: 'queued',
  plan: null,
  step: 0,
  checkpointStep: null,
  bestStep: null,
  heldOutLoss: null,
  adapter: null,
  errorCode: null,
  errorMessage: null,
  trainedMs: 0,
  yieldedMs: 0,
  residentBytes: null,
  startedAt: null,
  endedAt: null,
} as const

async function refuseLongQueue(db: Database): Promise<void> {
  if ((await listQueue(db)).length >= mostWaiting)
    throw new AppError('busy', `${mostWaiting} training runs wait already. Cancel one, or wait.`, { retryAfterSeconds: 600 })
}

function refuseMove({ name, state }: RunRow, event: RunEvent): never {
  const { from } = transitions[event]
  throw new AppError('conflict', `The run "${name}" is ${state}. Only one that is ${from.join(' or ')} can take "${event}".`)
}

type Waiting = Readonly<{ after(ms: number, run: () => void): () => void }>

async function withinTime(ending: Promise<void>, clock: Waiting, ms: number): Promise<void> {
  const late = Promise.withResolvers<void>()
  const forget = clock.after(ms, () => late.resolve())
  await Promise.race([ending, late.promise])
  forget()
}
