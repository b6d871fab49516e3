import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Asker } from '../predict/predict.ts'
import type { Database } from '../storage/tables.ts'
import type { Evaluate, Plan, Progress } from './evaluation.ts'
import { type EvaluationRow, getRow, interruptLeftOver, type ListedRow, type ListOptions, listRows } from './evaluation-rows.ts'
import { makePlan, type PlanParts } from './make-plan.ts'
import type { EvaluationReport } from './report-schema.ts'
import type { EvaluationBody } from './schema.ts'

/** `progress`: of one that runs. */
export type Evaluation<Row = EvaluationRow> = Readonly<{ row: Row; progress: Progress | undefined }>
export type EvaluationList = Readonly<{ items: readonly Evaluation<ListedRow>[]; nextCursor: string | undefined }>

/** An admin. Evaluations of conversations are seen by those whose conversations they are, and by nobody else. */
export type Viewer = Readonly<{ userId: string }>

export interface Evaluations {
  /**
   * Puts an evaluation in the queue; it runs when those before it have ended. Throws what `makePlan` throws, and `busy` when too many
   * wait.
   */
  create(body: EvaluationBody, caller: Viewer & Readonly<{ asker: Asker }>): Promise<Evaluation>
  list(options: ListOptions): Promise<EvaluationList>
  /** Throws `not_found`, as do the others that take an id. */
  get(id: string, viewer: Viewer): Promise<Evaluation>
  /** Tells how far it is, and ends when it has ended. A slow reader is told the newest. */
  watch(id: string, signal: AbortSignal): AsyncGenerator<Progress>
  /** Resolves when it has ended. Throws `conflict` when it has ended before. */
  cancel(id: string, viewer: Viewer): Promise<Evaluation>
  /** With its report. Throws `conflict` while it waits or runs. */
  remove(id: string, viewer: Viewer): Promise<void>
  /** What the newest completed gate says of a model, by its full name. */
  findVerdict(candidate: string): Promise<Readonly<{ id: string; passed: boolean; endedAt: string }> | undefined>
  /** Interrupts what runs and waits, and resolves when all has ended. */
  close(): Promise<void>
}

export type EvaluationsParts = PlanParts &
  Readonly<{
    db: Database
    evaluate: Evaluate
    /** Told of errors that nobody has foreseen. */
    onError: (error: unknown) => void
    /** Milliseconds since 1970. */
    now: () => number
  }>

/** One that waits or runs. */
type Job = {
  readonly id: string
  readonly plan: Plan
  readonly stopping: AbortController
  readonly ended: PromiseWithResolvers<void>
  progress: Progress | undefined
  /** Resolved, and made anew, when the progress has changed. */
  changed: PromiseWithResolvers<void>
}

const mostWaiting = 16

/** Marks what an earlier process left unfinished, and is ready for more. */
export async function openEvaluations(parts: EvaluationsParts): Promise<Evaluations> {
  const { db, now } = parts
  const time = () => new Date(now()).toISOString()
  await interruptLeftOver(db, time())
  const jobs = new Map<string, Job>()
  const waiting: Job[] = []
  let running: Promise<void> | undefined
  let isClosing = false

  async function runAll(): Promise<void> {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await run(job)
    running = undefined
  }

  async function run(job: Job): Promise<void> {
    try {
      if (!job.stopping.signal.aborted) await save(job, { state: 'running' })
      await save(job, { ...(await outcomeOf(job)), endedAt: time() })
    } catch (error) {
      // Its row stays as it was; the next start marks it.
      parts.onError(error)
    } finally {
      jobs.delete(job.id)
      job.changed.resolve()
      job.ended.resolve()
    }
  }

  async function outcomeOf(job: Job): Promise<Partial<EvaluationRow>> {
    const { signal } = job.stopping
    const stopped = { state: isClosing ? 'interrupted' : 'cancelled' } as const
    if (signal.aborted) return stopped
    const onProgress = (progress: Progress) => {
      job.progress = progress
      job.changed.resolve()
      job.changed = Promise.withResolvers()
    }
    try {
      return toOutcome(await parts.evaluate(job.plan, onProgress, signal))
    } catch (error) {
      if (signal.aborted) return { state: isClosing ? 'interrupted' : 'cancelled' }
      if (error instanceof AppError) return { state: 'failed', errorCode: error.code, errorMessage: error.message }
      parts.onError(error)
      const errorMessage = 'Something failed inside simpleIA. The log has the details.'
      return { state: 'failed', errorCode: 'internal', errorMessage }
    }
  }

  const save = (job: Job, values: Partial<EvaluationRow>) =>
    db.updateTable('evaluations').set(values).where('id', '=', job.id).execute()

  const toEvaluation = <Row extends ListedRow>(row: Row): Evaluation<Row> => ({ row, progress: jobs.get(row.id)?.progress })
  const get = async (id: string, { userId }: Viewer) => toEvaluation(await getRow(db, id, userId))

  return {
    async create(body, caller) {
      refuseMore(waiting.length, isClosing)
      const { plan, runId } = await makePlan(parts, body, caller)
      const row = toRow(randomUUID(), { body, plan, runId, userId: caller.userId, createdAt: time() })
      refuseMore(waiting.length, isClosing)
      const job = createJob(row.id, plan)
      jobs.set(row.id, job)
      try {
        await db.insertInto('evaluations').values(row).execute()
      } catch (error) {
        jobs.delete(row.id)
        throw error
      }
      waiting.push(job)
      running ??= runAll()
      return toEvaluation(row)
    },
    async list(options) {
      const { items, nextCursor } = await listRows(db, options)
      return { items: items.map(toEvaluation), nextCursor }
    },
    get,
    async *watch(id, signal) {
      const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      for (let told: Progress | undefined; !signal.aborted; ) {
        const job = jobs.get(id)
        if (job === undefined) return
        const { changed, progress } = job
        if (progress !== undefined && progress !== told) yield progress
        told = progress
        if (job.changed === changed) await Promise.race([changed.promise, gone])
      }
    },
    async cancel(id, viewer) {
      await get(id, viewer)
      const job = jobs.get(id)
      if (job === undefined) throw new AppError('conflict', `The evaluation "${id}" has ended already.`)
      job.stopping.abort()
      // One that waits need not wait for its turn to end.
      const place = waiting.indexOf(job)
      if (place !== -1) await run(...takeOut(waiting, place))
      await job.ended.promise
      return get(id, viewer)
    },
    async remove(id, viewer) {
      await get(id, viewer)
      if (jobs.has(id)) throw new AppError('conflict', `The evaluation "${id}" has not ended yet. Cancel it first.`)
      await db.deleteFrom('evaluations').where('id', '=', id).execute()
    },
    async findVerdict(candidate) {
      const row = await db
        .selectFrom('evaluations')
        .select(['id', 'passed', 'endedAt'])
        .where('candidate', '=', candidate)
        .where('kind', '=', 'gate')
        .where('state', '=', 'completed')
        .orderBy('createdAt', 'desc')
        .orderBy('id', 'desc')
        .executeTakeFirst()
      return row === undefined ? undefined : { id: row.id, passed: row.passed === 1, endedAt: row.endedAt ?? '' }
    },
    async close() {
      isClosing = true
      for (const { stopping } of jobs.values()) stopping.abort()
      await running
    },
  }
}

function refuseMore(waiting: number, isClosing: boolean): void {
  if (isClosing) throw new AppError('unavailable', 'The service is shutting down.')
  if (waiting < mostWaiting) return
  throw new AppError('busy', `${mostWaiting} evaluations wait already. Try again when some have ended.`, {
    retryAfterSeconds: 60,
  })
}

function createJob(id: string, plan: Plan): Job {
  const [ended, changed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  return { id, plan, stopping: new AbortController(), ended, progress: undefined, changed }
}

function takeOut(jobs: Job[], place: number): [Job] {
  const [job] = jobs.splice(place, 1)
  if (job === undefined) throw new AppError('internal', 'An evaluation that waits is not where it was.')
  return [job]
}

function toOutcome(report: EvaluationReport): Partial<EvaluationRow> {
  const passed = report.verdict === null ? null : report.verdict.passed ? 1 : 0
  return { state: 'completed', report: JSON.stringify(report), passed }
}

type NewRow = Readonly<{ body: EvaluationBody; plan: Plan; runId: string | undefined; userId: string; createdAt: string }>

function toRow(id: string, { body, plan, runId, userId, createdAt }: NewRow): EvaluationRow {
  return {
    id,
    kind: plan.kind,
    state: 'queued',
    ownerId: plan.kind === 'upgrade' ? userId : null,
    baseline: plan.baseline.model,
    candidate: plan.candidate.model,
    datasetId: plan.kind === 'gate' ? (plan.datasetId ?? null) : null,
    runId: runId ?? null,
    request: JSON.stringify(body),
    report: null,
    passed: null,
    errorCode: null,
    errorMessage: null,
    createdBy: userId,
    createdAt,
    endedAt: null,
  }
}
