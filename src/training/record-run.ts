import type { Clock } from '../engine/cloud/clock.ts'
import type { TrainEvent } from '../engine/train/protocol.ts'
import { AppError } from '../errors.ts'
import type { TrainingRunsTable } from '../storage/learning-tables.ts'
import type { Database } from '../storage/tables.ts'
import { type EpochRow, forgetAfter, listEpochs, type StepRow, saveMetrics } from './metric-rows.ts'
import { changeRun, type RunRow } from './run-rows.ts'

type Of<T extends TrainEvent['type']> = Extract<TrainEvent, { type: T }>

/** What is stored of a run with its steps. */
type Standing = Partial<
  Pick<
    TrainingRunsTable,
    'plan' | 'step' | 'checkpointStep' | 'bestStep' | 'heldOutLoss' | 'trainedMs' | 'yieldedMs' | 'residentBytes'
  >
>

export type RecorderParts = Readonly<{
  db: Database
  clock: Clock
  /** Milliseconds since 1970. */
  now: () => number
  /** What comes within this time is written in one transaction. */
  gatherMs: number
  /** How long the run has stood still since it was started. */
  yieldedMs: () => number
  onSaved: () => void
  /** What came after this step counts no more. */
  onForgotten: (step: number) => void
}>

export interface Recorder {
  /** Takes an event down; it is stored soon, in the order of coming. Throws what an earlier writing failed with. */
  record(event: Exclude<TrainEvent, { type: 'train-end' }>): Promise<void>
  /** Has the times stored soon. */
  touch(): void
  /** Stores everything. Throws as the database does. */
  flush(): Promise<void>
  end(): void
}

/** Stores what a run tells: at once where little comes, in batches where much does. */
export function recordRun(run: RunRow, parts: RecorderParts): Recorder {
  const { db, clock, gatherMs, yieldedMs, onSaved, onForgotten } = parts
  const startedAt = clock.now()
  let steps: StepRow[] = []
  let epochs: EpochRow[] = []
  let standing: Standing = {}
  let writing: Promise<void> = Promise.resolve()
  let failure: unknown
  let savedAt = Number.NEGATIVE_INFINITY
  let forget: (() => void) | undefined
  let lastStep = run.step
  /** The last event, as far as times go. */
  let before = { at: startedAt, yieldedMs: 0 }

  const times = () => {
    const yielded = yieldedMs()
    return { trainedMs: run.trainedMs + Math.max(0, clock.now() - startedAt - yielded), yieldedMs: run.yieldedMs + yielded }
  }

  async function write(): Promise<void> {
    const rows = { steps, epochs }
    const changes = { ...standing, ...times(), updatedAt: new Date(parts.now()).toISOString() }
    steps = []
    epochs = []
    standing = {}
    savedAt = clock.now()
    await saveMetrics(db, rows, (transaction) => changeRun(transaction, run.id, changes))
    onSaved()
  }
  function flush(): Promise<void> {
    forget?.()
    forget = undefined
    writing = writing.then(write)
    return writing
  }
  function writeSoon(): void {
    if (forget !== undefined) return
    const waitMs = savedAt + gatherMs - clock.now()
    const start = () => {
      flush().catch((error: unknown) => {
        failure ??= error
      })
    }
    if (waitMs <= 0) start()
    else forget = clock.after(waitMs, start)
  }

  /** The time that a step took of the machine: what it tells itself counts the time in which it stood still. */
  function workedMs(told: number): number {
    const stoodMs = yieldedMs() - before.yieldedMs
    return stoodMs > 0 ? Math.max(0, Math.min(told, clock.now() - before.at - stoodMs)) : told
  }

  async function goBackTo(step: number): Promise<void> {
    await flush()
    await forgetAfter(db, run.id, step)
    lastStep = step
    const best = bestOf(await listEpochs(db, run.id))
    standing = {
      ...standing,
      ...{ step, checkpointStep: step === 0 ? null : step },
      ...{ bestStep: best?.step ?? null, heldOutLoss: best?.heldOutLoss ?? null },
    }
    onForgotten(step)
  }

  async function addStep(event: Of<'train-step'>): Promise<void> {
    const { step, epoch, loss, learningRate, gradientNorm, tokens, ms, residentBytes } = event
    if (![loss, gradientNorm].every(Number.isFinite))
      throw new AppError('unprocessable', `The loss or its gradient is not a number at step ${step}. Try a lower learning rate.`)
    if (step <= lastStep) await goBackTo(step - 1)
    lastStep = step
    steps.push({ runId: run.id, step, epoch, loss, learningRate, gradientNorm, tokens, ms: workedMs(ms) })
    standing = { ...standing, step, residentBytes: Math.max(standing.residentBytes ?? run.residentBytes ?? 0, residentBytes) }
  }

  function addEpoch({ epoch, step, trainLoss, heldOutLoss, preferenceAccuracy, isBest }: Of<'train-epoch'>): void {
    const createdAt = new Date(parts.now()).toISOString()
    const [held, accuracy] = [heldOutLoss ?? null, preferenceAccuracy ?? null]
    epochs.push({ runId: run.id, epoch, step, trainLoss, heldOutLoss: held, preferenceAccuracy: accuracy, createdAt })
    if (!isBest) return
    standing = { ...standing, bestStep: step, heldOutLoss: held }
  }

  return {
    async record(event) {
      if (failure !== undefined) throw failure
      switch (event.type) {
        case 'train-plan': {
          // It found no checkpoint that it could go on from.
          if (lastStep > 0) await goBackTo(0)
          const { type: _, ...plan } = event
          standing.plan = JSON.stringify(plan)
          break
        }
        case 'train-resume':
          await goBackTo(event.step)
          break
        case 'train-step':
          await addStep(event)
          break
        case 'train-epoch':
          addEpoch(event)
          break
        case 'train-checkpoint':
          standing.checkpointStep = event.step
          break
      }
      before = { at: clock.now(), yieldedMs: yieldedMs() }
      // What is learned up to there is not learned again, and so not told again, after a sudden end.
      if (event.type === 'train-checkpoint') await flush()
      else writeSoon()
    },
    touch: writeSoon,
    flush,
    end() {
      forget?.()
      forget = undefined
    },
  }
}

/** The first of those with the lowest held-out loss; where none was held out, the last. */
function bestOf(epochs: readonly EpochRow[]): EpochRow | undefined {
  return epochs.reduce<EpochRow | undefined>((best, epoch) => {
    const isBetter = epoch.heldOutLoss === null || epoch.heldOutLoss < (best?.heldOutLoss ?? Number.POSITIVE_INFINITY)
    return isBetter ? epoch : best
  }, undefined)
}
