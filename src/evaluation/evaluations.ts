import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Asker } from '../predict/predict.ts'
import type { Database } from '../storage/tables.ts'
import type { Progress } from './evaluation.ts'
import { createEvaluationQueue, type EvaluationQueue, type QueueParts } from './evaluation-queue.ts'
import { type EvaluationRow, getRow, interruptLeftOver, type ListedRow, type ListOptions, listRows } from './evaluation-rows.ts'
import { makePlan, type Planned, type PlanParts } from './make-plan.ts'
import type { EvaluationBody } from './schema.ts'

/** `progress`: of one that runs. */
export type Evaluation<Row = EvaluationRow> = Readonly<{ row: Row; progress: Progress | undefined }>
export type EvaluationList = Readonly<{ items: readonly Evaluation<ListedRow>[]; nextCursor: string | undefined }>

/** An admin. Evaluations of conversations are seen by those whose conversations they are, and by nobody else. */
export type Viewer = Readonly<{ userId: string }>

export interface Evaluations extends Pick<EvaluationQueue, 'watch'> {
  /**
   * Puts an evaluation in the queue; it runs when those before it have ended. Throws what `makePlan` throws, and `busy` when too many
   * wait.
   */
  create(body: EvaluationBody, caller: Viewer & Readonly<{ asker: Asker }>): Promise<Evaluation>
  list(options: ListOptions): Promise<EvaluationList>
  /** Throws `not_found`, as do the others that take an id. */
  get(id: string, viewer: Viewer): Promise<Evaluation>
  /** Resolves when it has ended. Throws `conflict` when it has ended before. */
  cancel(id: string, viewer: Viewer): Promise<Evaluation>
  /** With its report. Throws `conflict` while it waits or runs. */
  remove(id: string, viewer: Viewer): Promise<void>
  /** Interrupts what runs and waits, and resolves when all has ended. */
  close(): Promise<void>
}

export type EvaluationsParts = PlanParts &
  Pick<QueueParts, 'evaluate' | 'isEnding' | 'onError'> &
  Readonly<{
    db: Database
    /** Milliseconds since 1970. */
    now: () => number
  }>

/** Marks what an earlier process left unfinished, and is ready for more. */
export async function openEvaluations(parts: EvaluationsParts): Promise<Evaluations> {
  const { db, now } = parts
  const time = () => new Date(now()).toISOString()
  await interruptLeftOver(db, time())
  const save: QueueParts['save'] = (id, values) => db.updateTable('evaluations').set(values).where('id', '=', id).execute()
  const queue = createEvaluationQueue({ ...parts, save, time })
  const get = async (id: string, { userId }: Viewer) => {
    return { row: await getRow(db, id, userId), progress: queue.progressOf(id) }
  }

  return {
    watch: queue.watch,
    get,
    close: queue.close,
    async create(body, caller) {
      queue.refuseMore()
      const planned = await makePlan(parts, body, caller)
      const row = toRow(planned, { body, userId: caller.userId, createdAt: time() })
      await db.insertInto('evaluations').values(row).execute()
      queue.add(row.id, planned.plan)
      return { row, progress: undefined }
    },
    async list(options) {
      const { items, nextCursor } = await listRows(db, options)
      return { items: items.map((row) => ({ row, progress: queue.progressOf(row.id) })), nextCursor }
    },
    async cancel(id, viewer) {
      await get(id, viewer)
      if (!(await queue.stop(id))) throw new AppError('conflict', `The evaluation "${id}" has ended already.`)
      return get(id, viewer)
    },
    async remove(id, viewer) {
      await get(id, viewer)
      if (queue.has(id)) throw new AppError('conflict', `The evaluation "${id}" has not ended yet. Cancel it first.`)
      await db.deleteFrom('evaluations').where('id', '=', id).execute()
    },
  }
}

type Created = Readonly<{ body: EvaluationBody; userId: string; createdAt: string }>

function toRow({ plan, runId }: Planned, { body, userId, createdAt }: Created): EvaluationRow {
  return {
    id: randomUUID(),
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
