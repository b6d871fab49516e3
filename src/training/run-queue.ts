import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import type { Instances } from '../instances/instances.ts'
import type { Database } from '../storage/tables.ts'
import type { RunFeeds } from './run-feeds.ts'
import { claimRun, findRun, interruptOrphans, listWaiting, moveRun, type RunRow, type WaitingRun } from './run-rows.ts'
import type { RunEvent } from './run-states.ts'
import { isElsewhere, type WorkEnd, type WorkParts, workOnRun } from './run-work.ts'

export type Log = Readonly<{ error(details: object, message: string): void }>

export type QueueParts = Omit<WorkParts, 'recording' | 'findBase'> &
  Readonly<{
    db: Database
    /** This process, and the others that take runs from the same queue. */
    instances: Pick<Instances, 'id' | 'recover' | 'hint' | 'isAlone'>
    feeds: RunFeeds
    findBase: (name: string | undefined) => ReturnType<WorkParts['findBase']>
    log: Log
    now: () => number
    gatherMs: number
    /** How long the end of the service waits for a checkpoint. */
    stopGraceMs: number
  }>

/** Why a run is to end before it is done. */
type Wish = 'pause' | 'cancel' | 'interrupt'

type Active = {
  readonly id: string
  readonly stop: AbortController
  readonly kill: AbortController
  readonly ended: PromiseWithResolvers<void>
  wish: Wish | undefined
  isYielding: boolean
}

export interface RunQueue {
  /** Looks for work, now that there may be some. */
  wake(): void
  running(): string | undefined
  /** Whether the run has a process, or is about to. */
  stands(id: string): boolean
  standingOf(id: string): Readonly<{ isStopping: boolean; isYielding: boolean }>
  /** Ends the run where it is the one that runs; the promise resolves when it has ended. Undefined: it is not. */
  stop(id: string, wish: Wish): Promise<void> | undefined
  /** Tells of runs without a process that they do not run. */
  settle(): Promise<void>
  /** Does what other processes have asked for, and looks for work. */
  look(): Promise<void>
  close(): Promise<void>
}

/** Works on the runs that wait, one after the other; each process of the service takes the next one. No run is told to run that has no process when this resolves. */
export async function createRunQueue(parts: QueueParts): Promise<RunQueue> {
  const { db, instances, feeds, log, yielding } = parts
  const { id: instanceId } = instances
  const time = () => new Date(parts.now()).toISOString()
  let active: Active | undefined
  let hasWork = true
  let isClosed = false
  let working: Promise<void> | undefined
  let forgetRetry = () => {}

  function wake(): void {
    hasWork = true
    if (isClosed) return
    working ??= workThrough()
      .catch((error: unknown) => {
        log.error({ err: error }, 'The queue of training runs stopped, and will try again')
        forgetRetry()
        forgetRetry = yielding.clock.after(retryMs, wake)
      })
      .finally(() => {
        working = undefined
        if (hasWork) wake()
      })
  }
  async function workThrough(): Promise<void> {
    while (hasWork && !isClosed) {
      hasWork = false
      for (let id = await nextRun(); id !== undefined && !isClosed; id = await nextRun()) if (!(await workOn(id))) break
    }
  }
  async function nextRun(): Promise<string | undefined> {
    await settle()
    for (const run of await listWaiting(db)) if (await isForHere(run)) return run.id
    return undefined
  }
  /** One whose checkpoint another process may have is left to that one: while the one that wrote it lives, and then for a while. */
  async function isForHere(run: WaitingRun): Promise<boolean> {
    if (instances.isAlone() || !(await isElsewhere(parts.trainingDir, run))) return true
    if (run.holder !== null && run.holder !== instanceId) return false
    return parts.now() - Date.parse(run.queuedAt ?? '') > holderWaitMs
  }
  const interrupt = (reason: string) =>
    interruptOrphans(db, { running: active?.id, instanceId }, { ...reasonOf(reason), updatedAt: time() })
  const settle = () => interrupt('How it ended could not be stored.')

  /** False where the machine has another one to work on. */
  async function workOn(id: string): Promise<boolean> {
    const its: Active = {
      id,
      stop: new AbortController(),
      kill: new AbortController(),
      ended: Promise.withResolvers(),
      wish: undefined,
      isYielding: false,
    }
    active = its
    try {
      const run = await findRun(db, id)
      const startedAt = run?.startedAt ?? time()
      const claim = await claimRun(db, id, { queuedAt: null, startedAt, updatedAt: time(), instanceId })
      if (run === undefined || claim !== 'claimed') return claim !== 'machine-busy'
      feeds.allChanged()
      void instances.hint()
      const outcome = await outcomeOf(its, run)
      await finish(its, outcome).catch((error: unknown) =>
        log.error({ err: error }, 'The end of a training run could not be stored'),
      )
    } finally {
      active = undefined
      its.ended.resolve()
      feeds.changed(id)
      void instances.hint()
    }
    await clear(id).catch((error: unknown) => log.error({ err: error }, 'The files of a training run could not be removed'))
    return true
  }

  async function outcomeOf(its: Active, run: RunRow): Promise<Outcome> {
    const { id } = its
    const recording = {
      db,
      clock: yielding.clock,
      now: parts.now,
      gatherMs: parts.gatherMs,
      onSaved: () => feeds.changed(id),
      onForgotten: (step: number) => feeds.forgot(id, step),
    }
    const onYielding = (isYielding: boolean) => {
      its.isYielding = isYielding
      feeds.changed(id)
    }
    try {
      return await workOnRun({ ...parts, recording }, run, { stop: its.stop.signal, kill: its.kill.signal, onYielding })
    } catch (error) {
      return { type: 'failed', error }
    }
  }

  async function finish({ id, wish }: Active, outcome: Outcome): Promise<void> {
    const [event, changes] = endOf(outcome, wish, log)
    const endedAt = event === 'pause' || event === 'interrupt' ? null : time()
    await moveRun(db, id, event, { ...changes, endedAt, updatedAt: time() }, instanceId)
  }

  /** Of a run that is completed: it never goes on, and its adapter is among the models. */
  async function clear(id: string): Promise<void> {
    if ((await findRun(db, id))?.state === 'completed') await rm(join(parts.trainingDir, id), { recursive: true, force: true })
  }

  await instances.recover(() => interrupt('The service ended while it ran.'))
  await removeLeftovers(db, parts.trainingDir)
  // After what is composed beside it: nothing runs before the service is whole.
  setImmediate(wake)

  function stop(its: Active, wish: Wish): void {
    // Who cancels has the last word over who pauses.
    if (its.wish === undefined || wish === 'cancel') its.wish = wish
    its.stop.abort()
    if (wish === 'cancel') its.kill.abort()
  }

  async function look(): Promise<void> {
    feeds.allChanged()
    const its = active
    if (its !== undefined) {
      const run = await findRun(db, its.id)
      if (run?.wish != null) stop(its, run.wish)
      // It was taken for one that has gone: what it does counts no more, and another one may work on it.
      if (its === active && run?.state === 'running' && run.instanceId !== instanceId) its.kill.abort()
    }
    wake()
  }

  return {
    wake,
    look,
    running: () => active?.id,
    stands: (id) => active?.id === id,
    standingOf: (id) =>
      active?.id === id
        ? { isStopping: active.wish !== undefined, isYielding: active.isYielding }
        : { isStopping: false, isYielding: false },
    stop(id, wish) {
      if (active?.id !== id) return undefined
      stop(active, wish)
      return active.ended.promise
    },
    settle,
    async close() {
      isClosed = true
      if (active !== undefined) {
        active.wish ??= 'interrupt'
        active.stop.abort()
        const { kill } = active
        const forget = yielding.clock.after(parts.stopGraceMs, () => kill.abort())
        await active.ended.promise
        forget()
      }
      await working
      forgetRetry()
    },
  }
}

/** How long a run is left to whoever has its checkpoint; the others look at it again and again. */
const holderWaitMs = 10_000
/** After which the queue looks for work again, where the database refused. */
const retryMs = 60_000

const reasonOf = (message: string) => ({ errorCode: 'aborted', errorMessage: message })

type Outcome = WorkEnd | Readonly<{ type: 'failed'; error: unknown }>

/** What an end means for a run, when somebody wished that it should end, or not. */
function endOf(outcome: Outcome, wish: Wish | undefined, log: Log): [RunEvent, Parameters<typeof moveRun>[3] | object] {
  if (outcome.type === 'completed') {
    const { adapter, bestStep, heldOutLoss = null } = outcome
    return ['complete', { adapter, bestStep, heldOutLoss }]
  }
  const wished: [RunEvent, object] = [
    wish ?? 'interrupt',
    wish === 'pause' || wish === 'cancel' ? {} : reasonOf('The service was shut down.'),
  ]
  if (outcome.type === 'stopped') return wished
  const { error } = outcome
  if (wish === 'cancel' || (wish !== undefined && error instanceof AppError && error.code === 'aborted')) return wished
  if (!(error instanceof AppError)) log.error({ err: error }, 'A training run failed')
  const { code, message } = error instanceof AppError ? error : internal
  return ['fail', { errorCode: code, errorMessage: message }]
}

const internal = { code: 'internal', message: 'Something failed inside simpleIA. The log has the details.' }

/** Folders whose runs are gone or completed: the service ended while it removed them. */
async function removeLeftovers(db: Database, trainingDir: string): Promise<void> {
  await mkdir(trainingDir, { recursive: true })
  const needed = db.selectFrom('trainingRuns').select('id').where('state', '!=', 'completed')
  const known = new Set((await needed.execute()).map(({ id }) => id))
  for (const entry of await readdir(trainingDir, { withFileTypes: true }))
    if (entry.isDirectory() && !known.has(entry.name)) await rm(join(trainingDir, entry.name), { recursive: true, force: true })
}
