import type { Database } from '../storage/tables.ts'
import { type EpochRow, listEpochs, listSteps, type StepRow } from './metric-rows.ts'
import type { RunFeed } from './run-feeds.ts'
import { isAtRest } from './run-states.ts'
import type { RunView } from './run-view.ts'

/** What whoever watches a run is told. Steps and epochs come in their order, each once, unless they are forgotten. */
export type WatchEvent =
  /** At the beginning, and when its state, plan or place in the queue has changed. */
  | Readonly<{ type: 'run'; run: RunView }>
  | Readonly<{ type: 'step'; step: StepRow }>
  | Readonly<{ type: 'epoch'; epoch: EpochRow }>
  /** It goes on from this step: what came after it counts no more. */
  | Readonly<{ type: 'resume'; step: number }>
  /** It has come to rest. */
  | Readonly<{ type: 'done'; run: RunView }>

export type WatchParts = Readonly<{
  db: Database
  id: string
  feed: RunFeed
  /** Throws `not_found`. */
  view: () => Promise<RunView>
}>

const pieceSize = 500

/** Tells the past of a run, then what comes, until it has come to rest or the signal says so. */
export async function* watchRun({ db, id, feed, view }: WatchParts, gone: AbortSignal): AsyncGenerator<WatchEvent> {
  const told: Told = { step: 0, epochs: [] }
  let shown = ''
  try {
    while (!gone.aborted) {
      await feed.changed(gone)
      // Before the steps are read: what is at rest has no more of them.
      const run = await view()
      const signature = signatureOf(run)
      if (signature !== shown) yield { type: 'run', run }
      shown = signature
      yield* tellMetrics({ db, id, feed }, told, run.row.step)
      if (isAtRest(run.row.state)) return yield { type: 'done', run }
    }
  } finally {
    feed.close()
  }
}

const signatureOf = ({ row, isStopping, isYielding, queuePosition }: RunView) =>
  JSON.stringify([row.state, row.plan, row.adapter, isStopping, isYielding, queuePosition])

type Told = { step: number; epochs: EpochRow[] }

async function* tellMetrics(
  { db, id, feed }: Omit<WatchParts, 'view'>,
  told: Told,
  reachedStep: number,
): AsyncGenerator<WatchEvent> {
  for (;;) {
    // Another process tells no feed of this one what it has forgotten.
    const back = feed.takeForgotten() ?? (reachedStep < told.step ? reachedStep : undefined)
    if (back !== undefined && back < told.step) {
      told.step = back
      told.epochs = told.epochs.filter(({ step }) => step <= back)
      yield { type: 'resume', step: back }
    }
    const steps = await listSteps(db, id, { after: told.step, limit: pieceSize })
    const isLast = steps.length < pieceSize
    // What was stored between the two readings is told with its steps, the next time.
    const reached = steps.at(-1)?.step ?? told.step
    const epochs = (await listEpochs(db, id, told.epochs.at(-1)?.epoch)).filter(({ step }) => step <= reached)
    for (const event of inOrder(steps, epochs)) {
      // Read before they were forgotten.
      if (feed.isForgotten()) break
      if (event.type === 'step') told.step = event.step.step
      else told.epochs.push(event.epoch)
      yield event
    }
    if (isLast && !feed.isForgotten()) return
  }
}

/** An epoch comes after its last step. */
function inOrder(steps: readonly StepRow[], epochs: readonly EpochRow[]) {
  const events = [
    ...steps.map((step) => ({ type: 'step' as const, at: step.step, step })),
    ...epochs.map((epoch) => ({ type: 'epoch' as const, at: epoch.step, epoch })),
  ]
  // The sort keeps the steps before the epochs that have the same number.
  return events.sort((one, other) => one.at - other.at)
}
