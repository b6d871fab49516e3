import { AppError } from '../../errors.ts'
import type { Backend } from './backend.ts'
import type { AdapterFile, EngineReport, FromWorker, GenerationEvent, LoadedModel, LoadOptions, ToWorker } from './protocol.ts'
import { createScheduler, type Scheduler } from './scheduler.ts'

/** How often the process tells of itself while it works, in steps. */
const reportEvery = 32
/** And in milliseconds, where steps take long: who hears nothing for too long takes it for hung. */
const reportMs = 5000
/**
 * Milliseconds within which what steps write is told together, as one picture of a screen shows it: who passes it on needs a core each
 * time, and llama.cpp computes on all of them.
 */
const togetherMs = 16

export type WorkerParts = Readonly<{
  open(options: LoadOptions): { backend: Backend; model: LoadedModel }
  send(message: FromWorker): void
  /** Lets messages come in between two steps. */
  pause(): Promise<void>
  /** Milliseconds. */
  now(): number
  residentBytes(): number
  /** Told when a step fails: the model can't be trusted after that. */
  fail(error: unknown): void
}>

/** What runs in an engine's process: takes messages, steps the scheduler, sends what each step brought. */
export function createWorker(parts: WorkerParts): { receive(message: ToWorker): void } {
  let scheduler: Scheduler | undefined
  let backend: Backend | undefined
  let running = false
  /** Texts that are still to be told. */
  let held: readonly GenerationEvent[] = []
  let toldAt = Number.NEGATIVE_INFINITY

  function load(options: LoadOptions): void {
    try {
      const opened = parts.open(options)
      const { model } = opened
      backend = opened.backend
      scheduler = createScheduler(backend, { now: parts.now, speculates: options.speculates, deliver: sendEvents })
      parts.send({ type: 'model-ready', model })
    } catch (error) {
      const { code, message } = toAppError(error)
      parts.send({ type: 'model-failed', code, message })
    }
  }

  function loadAdapter(adapter: AdapterFile): void {
    const { identity } = adapter
    try {
      backend?.loadAdapter(adapter)
      parts.send({ type: 'adapter-ready', identity })
    } catch (error) {
      const { code, message } = toAppError(error)
      parts.send({ type: 'adapter-failed', identity, code, message })
    }
  }

  function start(id: number, options: Extract<ToWorker, { type: 'generation-start' }>['options']): void {
    try {
      scheduler?.start(id, options)
    } catch (error) {
      const { code, message } = toAppError(error)
      sendEvents([{ type: 'generation-error', id, code, message }])
    }
  }

  function sendEvents(given: readonly GenerationEvent[], report?: EngineReport): void {
    const events = held.length === 0 ? given : [...held, ...given]
    if (events.length === 0 && report === undefined) return
    if (events.length > 0) toldAt = parts.now()
    held = []
    parts.send({ type: 'events', events, ...(report === undefined ? {} : { report }) })
  }

  const reportOf = (active: Scheduler): EngineReport => ({ residentBytes: parts.residentBytes(), ...active.report() })

  async function run(active: Scheduler): Promise<void> {
    running = true
    let reportedAt = Number.NEGATIVE_INFINITY
    let reportedStep = Number.NEGATIVE_INFINITY
    for (let step = 0; active.busy(); step += 1) {
      const wroteOnly = active.onlyWrites()
      const events = active.step()
      // A first text does not wait, which comes of a step that has read a prompt, nor does an end.
      const mayWait = wroteOnly && active.onlyWrites() && events.every(isText) && parts.now() - toldAt < togetherMs
      if (mayWait) held = [...held, ...events]
      else {
        // With the last events, so that who reads of an answer's end can read what it took.
        const isDue = step - reportedStep >= reportEvery || !active.busy() || parts.now() - reportedAt >= reportMs
        if (isDue) {
          reportedAt = parts.now()
          reportedStep = step
        }
        sendEvents(events, isDue ? reportOf(active) : undefined)
      }
      await parts.pause()
      // The next step takes its time: a prompt has come.
      if (held.length > 0 && !active.onlyWrites()) sendEvents([])
    }
    // A request may have been cancelled since.
    sendEvents([], reportOf(active))
    running = false
  }

  function fail(error: unknown): void {
    sendEvents([])
    parts.fail(error)
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'model-load':
          load(message.options)
          break
        case 'adapter-load':
          loadAdapter(message.adapter)
          break
        case 'generation-start':
          start(message.id, message.options)
          break
        case 'generation-cancel':
          scheduler?.cancel(message.id)
          break
        case 'tokens-count':
          parts.send({ type: 'tokens-counted', id: message.id, tokens: backend?.tokenize(message.prompt).length ?? 0 })
          break
      }
      if (scheduler?.busy() && !running) run(scheduler).catch(fail)
    },
  }
}

const isText = ({ type }: GenerationEvent) => type === 'text-delta'

function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new AppError('internal', `The engine failed: ${message}`, { cause: error })
}
