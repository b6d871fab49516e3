import { AppError } from '../../errors.ts'
import type { PromptPart } from '../chat-template-tokens.ts'
import { noContextMemory, noWork } from '../engine-work.ts'
import type {
  AdapterFile,
  EngineReport,
  FromWorker,
  GenerationEvent,
  LoadedModel,
  LoadOptions,
  StartOptions,
  ToWorker,
} from './protocol.ts'
import { type ProcessChild, spawnProcess } from './spawn-process.ts'
import { type WatchParts, watchChild } from './watch-child.ts'

/** How long a model may take to load; a large one from a slow disk takes minutes. */
const loadLimitMs = 10 * 60 * 1000

export type Child = ProcessChild<ToWorker, FromWorker>

/** One loaded model in a process of its own. */
export interface Engine {
  readonly model: LoadedModel
  /** What the process told of itself last. */
  report(): EngineReport
  /** Brings an adapter into memory, if it is not there. Throws `invalid` when it does not fit the model, `unavailable`. */
  loadAdapter(adapter: AdapterFile): Promise<void>
  /** Events go to `listener` until `generation-end` or `generation-error`, or until cancelled. */
  start(options: StartOptions, listener: (event: GenerationEvent) => void): { cancel(): void }
  /** The tokens that a prompt has. Throws `unavailable` when the process dies. */
  countTokens(prompt: readonly PromptPart[]): Promise<number>
  /** Ends the process at once; what runs gets an `unavailable` error. Resolves when the process is gone. */
  close(): Promise<void>
  /** Resolves with the reason when the process has ended, for whatever cause. */
  readonly ended: Promise<string>
}

/** Little is made and dropped in it, so a small space for new objects does; the larger one costs memory only (measured: 20 MiB). */
const smallHeap = ['--max-semi-space-size=1', '--v8-pool-size=1']

/** Starts the child process of an engine. Its error output goes to `log`, line by line. */
export function spawnChild(log: (text: string) => void): Child {
  return spawnProcess('worker', log, smallHeap)
}

/**
 * Loads a model into a child process and resolves when it can answer. Throws what the child says (`invalid`, `unavailable`),
 * or `unavailable` when it dies or takes too long. One that hangs is ended, whatever it was to do.
 */
export async function openEngine(
  child: Child,
  options: LoadOptions,
  signal?: AbortSignal,
  watching?: WatchParts,
): Promise<Engine> {
  const { loaded, ...engine } = connect(child, watching)
  const tooSlow = new AppError('unavailable', `The model did not load within ${loadLimitMs / 60_000} minutes.`)
  const timer = setTimeout(() => loaded.reject(tooSlow), loadLimitMs)
  const abort = () => loaded.reject(new AppError('aborted', 'Loading the model was stopped.'))
  if (signal?.aborted) abort()
  else signal?.addEventListener('abort', abort, { once: true })
  child.send({ type: 'model-load', options })
  try {
    return { ...engine, model: await loaded.promise }
  } catch (error) {
    await engine.close()
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

type Connection = Omit<Engine, 'model'> & Readonly<{ loaded: PromiseWithResolvers<LoadedModel> }>

/** Turns the messages of a child into an engine; `loaded` is decided by the child, or by who loses patience with it. */
function connect(unwatched: Child, watching?: WatchParts): Connection {
  const loaded = Promise.withResolvers<LoadedModel>()
  const ended = Promise.withResolvers<string>()
  const generations = createGenerations()
  const adapters = new Map<string, PromiseWithResolvers<void>>()
  const counts = new Map<number, PromiseWithResolvers<number>>()
  let lastCount = 0
  let isLoading = true
  let adaptersAsked = 0
  const hasWork = () => isLoading || adaptersAsked > 0 || counts.size > 0 || generations.count() > 0
  const child = watchChild(unwatched, { hasWork }, watching)
  let report: EngineReport = { residentBytes: 0, work: noWork, memory: noContextMemory }
  let death: string | undefined

  child.onMessage((message) => {
    switch (message.type) {
      case 'model-ready':
        isLoading = false
        loaded.resolve(message.model)
        break
      case 'model-failed':
        isLoading = false
        loaded.reject(new AppError(message.code, message.message))
        break
      case 'adapter-ready':
        adaptersAsked -= 1
        adapters.get(message.identity)?.resolve()
        break
      case 'adapter-failed':
        adaptersAsked -= 1
        adapters.get(message.identity)?.reject(new AppError(message.code, message.message))
        adapters.delete(message.identity)
        break
      case 'tokens-counted':
        counts.get(message.id)?.resolve(message.tokens)
        counts.delete(message.id)
        break
      case 'events':
        report = message.report ?? report
        message.events.forEach(generations.deliver)
        break
    }
  })
  child.onExit((reason) => {
    if (death !== undefined) return
    death = reason
    const what = `The engine's process ended while it loaded the model (${reason}).`
    loaded.reject(new AppError('unavailable', `${what} ${likelyCause(reason)}`))
    generations.endAll(reason)
    for (const waiting of [...adapters.values(), ...counts.values()]) waiting.reject(hasEnded(reason))
    ended.resolve(reason)
  })
  return {
    loaded,
    report: () => report,
    ended: ended.promise,
    loadAdapter(adapter) {
      const known = adapters.get(adapter.identity)
      if (known !== undefined) return known.promise
      const loading = Promise.withResolvers<void>()
      adapters.set(adapter.identity, loading)
      adaptersAsked += 1
      if (death === undefined) child.send({ type: 'adapter-load', adapter })
      else loading.reject(hasEnded(death))
      return loading.promise
    },
    start(options, listener) {
      const id = generations.add(listener)
      if (death === undefined) child.send({ type: 'generation-start', id, options })
      else void ended.promise.then(generations.endAll)
      const cancel = () => {
        if (generations.remove(id)) child.send({ type: 'generation-cancel', id })
      }
      return { cancel }
    },
    countTokens(prompt) {
      lastCount += 1
      const counting = Promise.withResolvers<number>()
      counts.set(lastCount, counting)
      if (death === undefined) child.send({ type: 'tokens-count', id: lastCount, prompt })
      else counting.reject(hasEnded(death))
      return counting.promise
    },
    async close() {
      if (death === undefined) child.kill()
      await ended.promise
    },
  }
}

/** Who listens to which generation. */
function createGenerations() {
  const listeners = new Map<number, (event: GenerationEvent) => void>()
  let lastId = 0

  function deliver(event: GenerationEvent): void {
    const listener = listeners.get(event.id)
    if (event.type === 'generation-end' || event.type === 'generation-error') listeners.delete(event.id)
    listener?.(event)
  }

  return {
    deliver,
    count: () => listeners.size,
    add(listener: (event: GenerationEvent) => void): number {
      lastId += 1
      listeners.set(lastId, listener)
      return lastId
    },
    remove: (id: number) => listeners.delete(id),
    endAll(reason: string): void {
      for (const id of [...listeners.keys()]) deliver(died(id, reason))
    },
  }
}

function died(id: number, reason: string): GenerationEvent {
  const message = `The engine's process ended while it answered (${reason}). It is being started again.`
  return { type: 'generation-error', id, code: 'unavailable', message }
}

const hasEnded = (reason: string) => new AppError('unavailable', `The engine's process ended (${reason}).`)

/** What an end that nobody asked for comes of, as a sentence. */
export function likelyCause(reason: string): string {
  if (reason === 'SIGKILL')
    return 'Most likely there was not enough memory: choose a smaller model or quantization, or lower CONTEXT_SIZE or MAX_PARALLEL.'
  if (reason === 'SIGABRT' || reason === 'SIGSEGV')
    return 'Most likely the file is damaged or of a kind that llama.cpp cannot read.'
  return 'The log has the details.'
}
