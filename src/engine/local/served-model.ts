import { AppError } from '../../errors.ts'
import { addWork, type ModelLoad, noContextMemory, noWork } from '../engine-work.ts'
import type { ModelInfo, ModelState } from '../provider.ts'
import type { Engine } from './engine-process.ts'
import type { LoadedModel } from './protocol.ts'
import { createRequestQueue, type RequestQueue } from './request-queue.ts'

/** After so many deaths in a row without an answer in between, a model is not started again. */
const maxRestarts = 3

/** A file in the models folder. */
export type ModelFile = Readonly<{
  name: string
  path: string
  /** Changes when the file does. */
  identity: string
}>

/** An engine that can answer, and what is known of its model. */
export type OpenModel = Readonly<{ engine: Engine; info: ModelInfo }>

/** One model, in memory or not: its process, its queue, and who uses it. */
export interface ServedModel {
  readonly file: ModelFile
  readonly queue: RequestQueue
  readonly state: ModelState
  /** Why it cannot answer, in `failed`. */
  readonly failure: string | undefined
  /** What answers now. */
  readonly opened: OpenModel | undefined
  readonly info: ModelInfo | undefined
  /** How many use it now. */
  readonly held: number
  /** Milliseconds since 1970. */
  readonly openedAt: number | undefined
  readonly usedAt: number | undefined
  /** Counts up with each use of any model: who was used least lately has the lowest. */
  readonly lastUse: number
  /** What it does, and has done in all of its processes. */
  load(): ModelLoad
  /**
   * Starts its process, if that does not run, and resolves when it can answer; several callers share one start.
   * Throws what the engine says, and again at once where another start would not help; `aborted` when it is closed meanwhile.
   */
  open(): Promise<OpenModel>
  /** Keeps it in memory until what this returns is called. */
  hold(): () => void
  /** Resolves when nobody uses it. */
  whenIdle(): Promise<void>
  /** Notes that an answer came to its end: what happened before is forgiven. */
  answered(): void
  /** Ends its process and forgets its failures. It can be opened again. */
  close(): Promise<void>
}

export type ServedModelParts = Readonly<{
  file: ModelFile
  openEngine(file: ModelFile, signal: AbortSignal): Promise<Engine>
  maxParallel: number
  maxQueue: number
  /** Milliseconds since 1970. */
  now(): number
  /** Called when nobody uses it any more. */
  onIdle(): void
  /** Told that its process has ended by itself, and why. */
  onDeath?: ((name: string, reason: string) => void) | undefined
}>

let uses = 0

/** A model that is not in memory yet. Its process is started again when it dies. */
export function createServedModel(parts: ServedModelParts): ServedModel {
  const { file } = parts
  const queue = createRequestQueue({ capacity: parts.maxParallel, maxWaiting: parts.maxQueue })
  let opened: OpenModel | undefined
  let lastInfo: ModelInfo | undefined
  let opening: Readonly<{ done: Promise<OpenModel>; stop: AbortController }> | undefined
  let failure: AppError | undefined
  /** In a row: an answer between them begins anew. */
  let deaths = 0
  let allDeaths = 0
  let held = 0
  let openedAt: number | undefined
  /** Of processes that have ended. */
  let pastWork = noWork
  let usedAt: number | undefined
  let lastUse = 0
  let idle = Promise.withResolvers<void>()
  idle.resolve()

  function start(): Promise<OpenModel> {
    const stop = new AbortController()
    const done = openFile(stop.signal)
      .catch((error: unknown) => {
        if (opening?.stop === stop) failure = toAppError(error)
        throw error
      })
      .finally(() => {
        if (opening?.stop === stop) opening = undefined
      })
    opening = { done, stop }
    return done
  }

  async function openFile(signal: AbortSignal): Promise<OpenModel> {
    const engine = await parts.openEngine(file, signal)
    if (signal.aborted) {
      await engine.close()
      throw new AppError('aborted', 'Loading the model was stopped.')
    }
    const now: OpenModel = { engine, info: describe(file, engine.model) }
    void engine.ended.then((reason) => {
      if (opened === now) restart(reason)
    })
    opened = now
    lastInfo = now.info
    failure = undefined
    openedAt ??= parts.now()
    return now
  }

  /** Nothing uses its process any more; what that has done stays counted. */
  function letGoOfEngine(): Engine | undefined {
    const engine = opened?.engine
    if (engine !== undefined) pastWork = addWork(pastWork, engine.report().work)
    opened = undefined
    return engine
  }

  function restart(reason: string): void {
    letGoOfEngine()
    deaths += 1
    allDeaths += 1
    parts.onDeath?.(file.name, reason)
    failure = new AppError('unavailable', `The engine's process ended (${reason}).`)
    // Who waits for it hears of a failure from `open`.
    if (deaths <= maxRestarts) start().catch(() => {})
  }

  /** Not by the clock, which may be put back. */
  function noteUse(): void {
    usedAt = parts.now()
    uses += 1
    lastUse = uses
  }

  function letGo(): void {
    held -= 1
    noteUse()
    if (held > 0) return
    idle.resolve()
    parts.onIdle()
  }

  return {
    file,
    queue,
    get state() {
      if (opened !== undefined) return 'ready'
      if (opening !== undefined) return 'loading'
      return failure === undefined ? 'unloaded' : 'failed'
    },
    get failure() {
      return failure?.message
    },
    get opened() {
      return opened
    },
    get info() {
      return opening === undefined ? opened?.info : lastInfo
    },
    get held() {
      return held
    },
    get openedAt() {
      return openedAt
    },
    get usedAt() {
      return usedAt
    },
    get lastUse() {
      return lastUse
    },
    async open() {
      if (opened !== undefined) return opened
      if (opening !== undefined) return opening.done
      // It would only happen again: whoever has mended it loads it explicitly, which closes it first.
      if (failure !== undefined && (deaths > maxRestarts || failure.code === 'invalid')) throw failure
      return start()
    },
    hold() {
      if (held === 0) idle = Promise.withResolvers()
      held += 1
      noteUse()
      let done = false
      return () => {
        if (!done) letGo()
        done = true
      }
    },
    whenIdle: () => idle.promise,
    answered() {
      deaths = 0
    },
    load() {
      const report = opened?.engine.report()
      return {
        name: file.name,
        isLoaded: opened !== undefined,
        slots: parts.maxParallel,
        usedSlots: queue.used,
        queueLimit: parts.maxQueue,
        queued: queue.waiting,
        memory: report?.memory ?? noContextMemory,
        deaths: allDeaths,
        work: report === undefined ? pastWork : addWork(pastWork, report.work),
      }
    },
    async close() {
      const start = opening
      const engine = letGoOfEngine()
      opening = undefined
      openedAt = undefined
      failure = undefined
      deaths = 0
      start?.stop.abort(new AppError('aborted', 'Loading the model was stopped.'))
      await engine?.close()
      await start?.done.catch(() => {})
    },
  }
}

function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  return new AppError('internal', error instanceof Error ? error.message : String(error), { cause: error })
}

function describe({ name, identity }: ModelFile, model: LoadedModel): ModelInfo {
  const { chatTemplate, device, contextSize, quantization, architecture, cacheType, parameters, sizeBytes, threads } = model
  const hasChatTemplate = chatTemplate !== undefined
  return {
    name,
    identity,
    device,
    contextSize,
    quantization,
    architecture,
    cacheType,
    parameters,
    sizeBytes,
    hasChatTemplate,
    threads,
  }
}
