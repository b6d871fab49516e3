import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import { insertRun, type NewRun, type PlannedRun, type PlanParts, planRun } from './create-run.ts'
import { estimateRun, type RunEstimate } from './estimate-run.ts'
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
  wishEnd,
} from './run-rows.ts'
import { canTryAgain, isAtRest, type RunEvent, type RunState, runStates, transitions } from './run-states.ts'
import { listRecent, type RunView, tokensPerSecond } from './run-view.ts'
import type { WorkParts } from './run-work.ts'
import { type WatchEvent, watchRun } from './watch-run.ts'

export type RunNumbers = Readonly<{
  counts: ReadonlyMap<RunState, number>
  /** Of the run that runs; 0 where none does. */
  step: number
  loss: number
  tokensPerSecond: number
  isYielding: boolean
}>

export type EstimatedPlan = PlannedRun & Readonly<{ estimate: RunEstimate }>

export interface TrainingRuns {
  /**
   * Checks that a run can be done, and puts it into the queue. Throws `invalid`, `not_found`, `conflict` (its name is taken),
   * `storage_full`, `busy` (too many wait).
   */
  create(wanted: NewRun): Promise<RunView>
  /** Only checks it, and tells what it would take. Throws as `create`. */
  plan(wanted: NewRun): Promise<EstimatedPlan>
  /** Throws `not_found`, as all that take an id. */
  get(id: string): Promise<RunView>
  list(filter: RunFilter): Promise<Readonly<{ items: readonly RunView[]; nextCursor: string | undefined }>>
  latest(): Promise<Readonly<{ run: RunView | undefined; completed: RunView | undefined }>>
  /** Has it write a checkpoint and leave the machine. Throws `conflict` where it does not run or wait. */
  pause(id: string): Promise<RunView>
  /** Ends it; its last checkpoint stays. Throws `conflict` where it has ended. */
  cancel(id: string): Promise<RunView>
  /** Puts it into the queue again, to go on from its last checkpoint, or without it. Throws `conflict` where it cannot, `busy`. */
  resume(id: string, isFromStart?: boolean): Promise<RunView>
  /** Removes it with its folder; an adapter that was installed stays. Throws `conflict` while it runs. */
  remove(id: string): Promise<void>
  /** Throws `not_found` at the first event. */
  watch(id: string, gone: AbortSignal): AsyncGenerator<WatchEvent>
  numbers(): Promise<RunNumbers>
  /** Does what other processes have asked for, and takes from the queue. */
  look(): Promise<void>
  /** Interrupts what runs, with a checkpoint where there is time for one. */
  close(): Promise<void>
}

export type RunsParts = Omit<WorkParts, 'recording' | 'findBase' | 'datasets'> &
  Pick<QueueParts, 'instances' | 'log' | 'stopGraceMs'> &
  PlanParts &
  Readonly<{
    createId: () => string
    /** Milliseconds since 1970. */
    now: () => number
    /** Steps that come within this time are written together. */
    gatherMs: number
    /** How long `pause` and `cancel` wait for the end of the run before they answer. */
    answerWaitMs: number
  }>

/** How often is looked whether another process has ended a run. */
const endLookMs = 100

/** Runs that wait at once. */
const mostWaiting = 100

/** The training runs of this service: one at a time on each machine, the others wait in their order. */
export async function createTrainingRuns(parts: RunsParts): Promise<TrainingRuns> {
  const { db, createId, instances, now, trainingDir } = parts
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
    const { isStopping, isYielding } = queue.standingOf(row.id)
    return {
      row,
      isStopping: isStopping || row.wish !== null,
      isYielding,
      queuePosition: position < 0 ? undefined : position,
      recent,
    }
  }
  const wakeAll = () => {
    queue.wake()
    void instances.hint()
  }
  const get = async (id: string) => view(await getRun(db, id))

  async function create(wanted: NewRun): Promise<RunView> {
    await refuseLongQueue(db)
    const planned = await planRun(parts, wanted)
    const id = createId()
    await insertRun(db, planned, { id, queuedAt: queueTime(), createdAt: time(), createdBy: wanted.createdBy })
    const created = await get(id)
    wakeAll()
    return created
  }

  async function stop(id: string, event: 'pause' | 'cancel'): Promise<RunView> {
    await queue.settle()
    const ending = queue.stop(id, event)
    if (ending !== undefined) await withinTime(ending, parts.yielding.clock, parts.answerWaitMs)
    else if (await wishEnd(db, id, event)) await withinTime(endElsewhere(id), parts.yielding.clock, parts.answerWaitMs)
    else await move(id, event, { queuedAt: null, endedAt: event === 'cancel' ? time() : null })
    return get(id)
  }

  /** Resolves when the process that works on a run has ended it, or could have. */
  async function endElsewhere(id: string): Promise<void> {
    await instances.hint()
    const { clock } = parts.yielding
    const untilMs = clock.now() + parts.answerWaitMs
    while (clock.now() < untilMs && (await findRun(db, id))?.state === 'running') await wait(endLookMs)
  }

  async function move(id: string, event: RunEvent, changes: Omit<Parameters<typeof moveRun>[3], 'updatedAt'>): Promise<void> {
    if (!(await moveRun(db, id, event, { ...changes, updatedAt: time() }))) refuseMove(await getRun(db, id), event)
    feeds.allChanged()
  }

  async function resume(id: string, isFromStart = false): Promise<RunView> {
    await queue.settle()
    await refuseLongQueue(db)
    const run = await getRun(db, id)
    if (run.state === 'failed' && !canTryAgain(run.errorCode))
      throw new AppError('conflict', `The run "${run.name}" would fail again: ${run.errorMessage} Start another one.`)
    const forgotten = isFromStart ? { checkpointStep: null } : {}
    if (isFromStart && isAtRest(run.state)) await rm(join(trainingDir, id), { recursive: true, force: true })
    await move(id, 'resume', { queuedAt: queueTime(), endedAt: null, errorCode: null, errorMessage: null, ...forgotten })
    const resumed = await get(id)
    wakeAll()
    return resumed
  }

  return {
    create,
    async plan(wanted) {
      const planned = await planRun(parts, wanted)
      const { model: modelName, trainable: model, dataset, parameters } = planned
      const { sampleLengths } = parts.datasets
      const estimating = { db, machine: parts.machine, sampleLengths }
      return { ...planned, estimate: await estimateRun(estimating, { model, modelName, dataset, parameters }) }
    },
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
      // The run is gone: what stays of its folder goes at the next start.
      await rm(join(trainingDir, id), { recursive: true, force: true }).catch((error: unknown) =>
        parts.log.error({ err: error }, 'The files of a training run could not be removed'),
      )
    },
    watch: (id, gone) => watchRun({ db, id, feed: feeds.subscribe(id), view: () => get(id) }, gone),
    async numbers() {
      const id = queue.running()
      const row = id === undefined ? undefined : await findRun(db, id)
      const recent = row === undefined ? [] : await listRecent(db, row.id)
      return {
        // Those without runs, too: what rises from 0 can be seen.
        counts: new Map([...runStates.map((state) => [state, 0] as const), ...(await countRuns(db))]),
        step: row?.step ?? 0,
        loss: recent.at(-1)?.loss ?? 0,
        tokensPerSecond: tokensPerSecond(recent) ?? 0,
        isYielding: row !== undefined && queue.standingOf(row.id).isYielding,
      }
    },
    look: queue.look,
    close: queue.close,
  }
}

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
