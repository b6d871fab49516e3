import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import type { Instances } from '../instances/instances.ts'
import { gatherSaves } from '../storage/gather-saves.ts'
import type { Database } from '../storage/tables.ts'
import {
  endJob,
  findJob,
  insertJob,
  interruptOrphans,
  type JobEnd,
  type JobKind,
  type JobRow,
  listJobs,
  listWished,
  saveJobProgress,
  wishEnd,
} from './job-rows.ts'

export type NewJob = Readonly<Pick<JobRow, 'kind' | 'name' | 'quantization'>>

/** Work of this process. What it tells never fails it: what cannot be written is logged. */
export interface OwnJob {
  readonly id: string
  /** Resolves when others can find it. */
  readonly noted: Promise<void>
  /** How far it is: an object that JSON can hold. */
  tell(progress: object): void
  /** To be called once. */
  end(end: JobEnd): Promise<void>
}

/** Downloads, quantizations and merges of all processes, for whoever asks, in whichever of them. */
export interface SharedJobs {
  /** Work of this process begins; `stop` is to end it, when somebody asks for that here or elsewhere. */
  begin(job: NewJob, stop: () => void): OwnJob
  /** Those under way, and those that ended lately; the latest first. */
  list(kinds: readonly JobKind[]): Promise<readonly JobRow[]>
  find(id: string): Promise<JobRow | undefined>
  /** As it stands now, and again whenever it has changed; the last one has ended. Nothing for one that is not there. */
  watch(id: string, gone: AbortSignal): AsyncGenerator<JobRow, void, undefined>
  /** Ends it, whoever has it, and waits for that; false where none has it. */
  stop(id: string): Promise<boolean>
  /** Ends those here that another process was asked to end. */
  look(): Promise<void>
}

export type SharedJobsParts = Readonly<{
  db: Database
  instances: Pick<Instances, 'id' | 'recover' | 'hint'>
  /** Milliseconds since 1970. */
  now: () => number
  log: Readonly<{ error(details: object, message: string): void }>
  /** Whether the service is shutting down: what is stopped then is interrupted. */
  isEnding: () => boolean
  /** How often others are told, and how often is looked at what others do. */
  everyMs?: number
}>

/** How long is waited until another process has ended its work. */
const endWaitMs = 15_000

type Own = { readonly stop: () => void; readonly ended: Promise<void>; progress: object | undefined }

/** Marks what processes that have gone left unfinished, and is ready for more. */
export async function openSharedJobs(parts: SharedJobsParts): Promise<SharedJobs> {
  const { db, instances, now, log, isEnding, everyMs = 1000 } = parts
  const time = () => new Date(now()).toISOString()
  const own = new Map<string, Own>()
  /** Those whose end could not be written yet. */
  const unsaved = new Map<string, () => Promise<void>>()
  const onError = (err: unknown) => log.error({ err }, 'What the work on a model does could not be written down')
  await instances.recover(() => interruptOrphans(db, time()))

  function begin(job: NewJob, stop: () => void): OwnJob {
    const id = randomUUID()
    const row = rowOf(job, { id, createdAt: time(), instanceId: instances.id })
    const ended = Promise.withResolvers<void>()
    const mine: Own = { stop, ended: ended.promise, progress: undefined }
    own.set(id, mine)
    const noted = insertJob(db, row).catch(onError)
    const save = async (progress: object) => {
      await noted
      await saveJobProgress(db, id, progress)
    }
    const others = gatherSaves({ save, everyMs, onError })
    return {
      id,
      noted,
      tell(progress) {
        mine.progress = progress
        others.put(progress)
      },
      async end(end) {
        await others.close()
        await noted
        const state = end.state === 'cancelled' && isEnding() ? 'interrupted' : end.state
        const whole = { ...end, state, endedAt: time() }
        unsaved.set(id, () => endJob(db, row, whole))
        await saveEnds().catch(onError)
        own.delete(id)
        ended.resolve()
      },
    }
  }

  async function saveEnds(): Promise<void> {
    for (const [id, save] of unsaved) {
      await save()
      unsaved.delete(id)
    }
  }

  /** What this process has told may not be written yet. */
  function withProgress(row: JobRow): JobRow {
    const told = own.get(row.id)?.progress
    return told === undefined || row.state !== 'running' ? row : { ...row, progress: JSON.stringify(told) }
  }
  async function find(id: string): Promise<JobRow | undefined> {
    const row = await findJob(db, id)
    return row === undefined ? undefined : withProgress(row)
  }

  async function* watch(id: string, gone: AbortSignal): AsyncGenerator<JobRow, void, undefined> {
    for (let told = ''; !gone.aborted; ) {
      const row = await find(id)
      if (row === undefined) return
      const signature = JSON.stringify([row.state, row.progress])
      if (signature !== told) yield row
      if (row.state !== 'running') return
      told = signature
      await wait(everyMs, undefined, { signal: gone }).catch(() => undefined)
    }
  }

  return {
    begin,
    watch,
    async list(kinds) {
      await saveEnds()
      return (await listJobs(db, kinds, now())).map(withProgress)
    },
    find,
    async stop(id) {
      const mine = own.get(id)
      if (mine !== undefined) {
        mine.stop()
        await mine.ended
        return true
      }
      if (!(await wishEnd(db, id))) return false
      await instances.hint()
      for await (const _row of watch(id, AbortSignal.timeout(endWaitMs)));
      return true
    },
    async look() {
      await saveEnds()
      if (own.size === 0) return
      for (const id of await listWished(db, instances.id)) own.get(id)?.stop()
    },
  }
}

type Noted = Readonly<{ id: string; createdAt: string; instanceId: string }>

const rowOf = (job: NewJob, noted: Noted): JobRow => ({
  ...job,
  ...noted,
  ...{ state: 'running', progress: null, model: null, errorCode: null, errorMessage: null, endedAt: null, wish: null },
})

/** What a failure means for the work that it ended. */
export function endOfFailure(error: unknown): JobEnd {
  const { code, message } = error instanceof AppError ? error : internal
  return { state: code === 'aborted' ? 'cancelled' : 'failed', model: null, errorCode: code, errorMessage: message }
}

const internal = { code: 'internal', message: 'Something failed inside simpleIA. The log has the details.' }

export const completed = (model: string): JobEnd => ({ state: 'completed', model, errorCode: null, errorMessage: null })
