import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import type { Instances } from '../instances/instances.ts'
import type { Asker } from '../predict/predict.ts'
import { gatherSaves } from '../storage/gather-saves.ts'
import type { Database } from '../storage/tables.ts'
import type { Progress } from './evaluation.ts'
import { createEvaluationQueue, type EvaluationQueue, type QueueParts } from './evaluation-queue.ts'
import {
  type EvaluationRow,
  getRow,
  interruptOrphans,
  isUnderWay,
  type ListedRow,
  type ListOptions,
  listRows,
  listWished,
  progressOf,
  removeEnded,
  saveProgress,
  wishEnd,
} from './evaluation-rows.ts'
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
  /** Ends those here that another process was asked to end. */
  look(): Promise<void>
  /** Interrupts what runs and waits, and resolves when all has ended. */
  close(): Promise<void>
}

export type EvaluationsParts = PlanParts &
  Pick<QueueParts, 'evaluate' | 'isEnding' | 'onError'> &
  Readonly<{
    db: Database
    /** This process, and the others on the database: an evaluation is worked on by the one that was asked for it. */
    instances: Pick<Instances, 'id' | 'recover' | 'hint'>
    /** Milliseconds since 1970. */
    now: () => number
    /** How often is looked at one that another process works on. */
    lookEveryMs?: number
  }>

/** How long is waited until another process has ended one. */
const endWaitMs = 15_000

/** Marks what processes that have gone left unfinished, and is ready for more. */
export async function openEvaluations(parts: EvaluationsParts): Promise<Evaluations> {
  const { db, instances, now, lookEveryMs = 1000 } = parts
  const time = () => new Date(now()).toISOString()
  await instances.recover(() => interruptOrphans(db, time()))
  const save: QueueParts['save'] = (id, values) => db.updateTable('evaluations').set(values).where('id', '=', id).execute()
  const tellOthers: QueueParts['tellOthers'] = (id) =>
    gatherSaves({
      save: (progress) => saveProgress(db, id, progress),
      everyMs: lookEveryMs,
      onError: parts.onError,
    })
  const queue = createEvaluationQueue({ ...parts, save, tellOthers, time })
  const withProgress = <Row extends ListedRow>(row: Row) => ({ row, progress: queue.progressOf(row.id) ?? progressOf(row) })
  const get = async (id: string, { userId }: Viewer) => withProgress(await getRow(db, id, userId))

  async function* watchElsewhere(id: string, signal: AbortSignal): AsyncGenerator<Progress> {
    const standing = db.selectFrom('evaluations').select(['state', 'instanceId', 'progress']).where('id', '=', id)
    for (let told: string | null = null; !signal.aborted; ) {
      const row = await standing.executeTakeFirst()
      if (row === undefined || !isUnderWay(row) || row.instanceId === instances.id) return
      const progress = row.progress === told ? undefined : progressOf(row)
      told = row.progress
      if (progress !== undefined) yield progress
      await wait(lookEveryMs, undefined, { signal }).catch(() => undefined)
    }
  }

  return {
    async *watch(id, signal) {
      yield* queue.has(id) ? queue.watch(id, signal) : watchElsewhere(id, signal)
    },
    get,
    async look() {
      await queue.saveEnds()
      for (const id of await listWished(db, instances.id)) await queue.stop(id)
    },
    close: queue.close,
    async create(body, caller) {
      queue.refuseMore()
      const planned = await makePlan(parts, body, caller)
      const row = toRow(planned, { body, userId: caller.userId, createdAt: time(), instanceId: instances.id })
      await db.insertInto('evaluations').values(row).execute()
      queue.add({ id: row.id, runId: planned.runId, plan: planned.plan })
      return { row, progress: undefined }
    },
    async list(options) {
      const { items, nextCursor } = await listRows(db, options)
      return { items: items.map(withProgress), nextCursor }
    },
    async cancel(id, viewer) {
      await get(id, viewer)
      await queue.saveEnds()
      if (!(await queue.stop(id))) {
        if (!(await wishEnd(db, id))) throw new AppError('conflict', `The evaluation "${id}" has ended already.`)
        await instances.hint()
        for await (const _progress of watchElsewhere(id, AbortSignal.timeout(endWaitMs)));
      }
      return get(id, viewer)
    },
    async remove(id, viewer) {
      await get(id, viewer)
      await queue.saveEnds()
      if (queue.has(id) || !(await removeEnded(db, id)))
        throw new AppError('conflict', `The evaluation "${id}" has not ended yet. Cancel it first.`)
    },
  }
}

type Created = Readonly<{ body: EvaluationBody; userId: string; createdAt: string; instanceId: string }>

function toRow({ plan, runId }: Planned, { body, userId, createdAt, instanceId }: Created): EvaluationRow {
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
    instanceId,
    wish: null,
    progress: null,
  }
}
