import { randomInt } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { EngineStatus, GenerateEvent, GenerateRequest, ModelHost, ModelInfo, Prompt } from '../provider.ts'
import type { Engine } from './engine-process.ts'
import { createEventQueue } from './event-queue.ts'
import type { GenerationEvent, LoadedModel, StartOptions } from './protocol.ts'
import { createRequestQueue } from './request-queue.ts'
import { unlessAborted } from './unless-aborted.ts'

/** After so many deaths in a row without an answer in between, a model is not started again. */
const maxRestarts = 3

/** A model file that is installed. */
export type InstalledModel = Readonly<{ name: string; path: string; identity: string }>

/** `stop`: texts that end the answer, for models that do not say themselves when their turn is over. */
export type ChatPrompt = Pick<StartOptions, 'prompt' | 'stop' | 'dropsFirstSpace'>

export type LocalProviderParts = Readonly<{
  /** Loads a model file; the engine is the provider's to close. */
  openEngine(path: string, signal?: AbortSignal): Promise<Engine>
  /** Throws `not_found`, or `invalid` for a name that is none. */
  findModel(name: string): Promise<InstalledModel>
  listModels(): Promise<readonly string[]>
  /** Turns a conversation into the prompt of the model at hand. */
  renderChat(model: LoadedModel, prompt: Extract<Prompt, { type: 'chat' }>): Promise<ChatPrompt>
  maxParallel: number
  maxQueue: number
  /** Milliseconds. */
  now(): number
}>

type Current = { readonly engine: Engine; readonly info: ModelInfo; readonly file: InstalledModel; running: number }
type Answering = Readonly<{ engine: Engine; request: GenerateRequest; arrivedAt: number; leave: () => void }>
type Restarting = { readonly done: Promise<void>; readonly info: ModelInfo; readonly stop: AbortController }

/**
 * Answers from one model at a time, in a process of its own. The process is started again when it dies; a switch to another model
 * happens when that one is loaded, and what runs on the old one ends there.
 */
export function createLocalProvider(parts: LocalProviderParts): ModelHost {
  const queue = createRequestQueue({ capacity: parts.maxParallel, maxWaiting: parts.maxQueue })
  const closing = new AbortController()
  /** Engines that still have something to do, the current one among them. */
  const engines = new Set<Engine>()
  let current: Current | undefined
  let loading: Promise<unknown> | undefined
  /** The process has died and is being started again: requests wait for it. */
  let restarting: Restarting | undefined
  let failure: string | undefined
  let deaths = 0
  let active = 0

  async function openFile(file: InstalledModel, signal?: AbortSignal): Promise<Current> {
    const stop = signal === undefined ? closing.signal : AbortSignal.any([closing.signal, signal])
    const engine = await parts.openEngine(file.path, stop)
    engines.add(engine)
    const opened: Current = { engine, file, info: describe(file, engine.model), running: 0 }
    void engine.ended.then((reason) => {
      engines.delete(engine)
      if (current === opened && !closing.signal.aborted) restart(opened, reason)
    })
    if (!stop.aborted) return opened
    await engine.close()
    throw new AppError('aborted', 'Loading the model was stopped.')
  }

  function restart({ file, info }: Current, reason: string): void {
    current = undefined
    deaths += 1
    failure = `The engine's process ended (${reason}).`
    if (deaths > maxRestarts) return
    const stop = new AbortController()
    const done = openFile(file, stop.signal)
      .then((opened) => {
        current = opened
        failure = undefined
      })
      .catch((error: unknown) => {
        if (restarting?.stop === stop) failure = messageOf(error)
      })
      .finally(() => {
        if (restarting?.stop === stop) restarting = undefined
      })
    restarting = { done, info, stop }
  }

  async function switchTo(name: string, signal?: AbortSignal): Promise<ModelInfo> {
    const file = await parts.findModel(name)
    const next = await openFile(file, signal)
    const old = current
    current = next
    restarting?.stop.abort()
    restarting = undefined
    failure = undefined
    deaths = 0
    if (old !== undefined) await closeWhenIdle(old)
    return next.info
  }

  async function closeWhenIdle(old: Current): Promise<void> {
    if (old.running === 0 && old !== current) await old.engine.close()
  }

  async function getCurrent(signal: AbortSignal): Promise<Current> {
    while (restarting !== undefined) await unlessAborted(restarting.done, signal)
    if (current !== undefined) return current
    const reason = loading === undefined ? (failure ?? nothingLoaded) : 'The model is being loaded.'
    throw new AppError('unavailable', reason, { retryAfterSeconds: 2 })
  }

  async function* generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
    if (request.choices > parts.maxParallel) throw tooManyChoices(request.choices, parts.maxParallel)
    const arrivedAt = parts.now()
    // The model that its caller was told of answers, also when another one takes over while the request waits.
    const asked = current
    const letGo = asked === undefined ? () => {} : hold(asked)
    try {
      const release = await queue.acquire(request.user, request.choices, signal)
      try {
        const chosen = asked !== undefined && engines.has(asked.engine) ? asked : await getCurrent(signal)
        const leave = enter(chosen, request.choices, [release, letGo])
        try {
          yield* answer({ engine: chosen.engine, request, arrivedAt, leave }, signal)
          deaths = 0
        } finally {
          leave()
        }
      } finally {
        release()
      }
    } finally {
      letGo()
    }
  }

  /** Keeps an engine from being closed until what it returns is called. */
  function hold(one: Current): () => void {
    one.running += 1
    return once(() => {
      one.running -= 1
      // Not awaited: `close` ends what is still among the engines.
      void closeWhenIdle(one)
    })
  }

  /** Notes that an engine has a request. Call what it returns when it has not any more: the place is for others then. */
  function enter(chosen: Current, choices: number, others: ReadonlyArray<() => void>): () => void {
    const letGo = hold(chosen)
    active += choices
    return once(() => {
      active -= choices
      for (const other of others) other()
      letGo()
    })
  }

  async function* answer({ engine, request, arrivedAt, leave }: Answering, signal: AbortSignal) {
    const options = await unlessAborted(startOptions(engine.model, request), signal)
    const queueMs = parts.now() - arrivedAt
    const events = createEventQueue<GenerationEvent>(signal)
    const generation = engine.start(options, (event) => {
      events.push(event)
      // Not when it is read: a slow reader must not keep others from the engine.
      if (event.type === 'generation-end' || event.type === 'generation-error') leave()
    })
    try {
      for await (const event of events) {
        const seen = translate(event, queueMs)
        yield seen
        if (seen.type === 'generation-end') return
      }
    } finally {
      generation.cancel()
    }
  }

  async function startOptions(model: LoadedModel, request: GenerateRequest): Promise<StartOptions> {
    const { prompt, sampling, maxTokens, choices, stop, grammar } = request
    const repeatable = sampling.seed !== undefined || sampling.temperature === 0
    const rendered = prompt.type === 'chat' ? await parts.renderChat(model, prompt) : textPrompt(prompt.text)
    return {
      ...rendered,
      stop: [...stop, ...rendered.stop],
      sampling: { ...sampling, seed: sampling.seed ?? randomInt(2 ** 32) },
      repeatable,
      maxTokens,
      choices,
      grammar,
    }
  }

  function status(): EngineStatus {
    const state =
      current !== undefined ? 'ready' : (loading ?? restarting) !== undefined ? 'loading' : failure ? 'failed' : 'empty'
    const reason = { ready: undefined, loading: 'The model is being loaded.', failed: failure, empty: nothingLoaded }[state]
    return { state, reason, active, queued: queue.waiting, residentBytes: current?.engine.residentBytes() ?? 0 }
  }

  return {
    name: 'hf',
    ranOn: 'local',
    model() {
      const info = current?.info ?? restarting?.info
      if (info === undefined) throw new AppError('unavailable', status().reason ?? nothingLoaded, { retryAfterSeconds: 2 })
      return info
    },
    generate,
    list: parts.listModels,
    async load(name, signal) {
      const before = loading
      const turn = (async () => {
        await before?.catch(() => {})
        return switchTo(name, signal)
      })()
      loading = turn
      try {
        return await turn
      } catch (error) {
        if (current === undefined) failure = messageOf(error)
        throw error
      } finally {
        if (loading === turn) loading = undefined
      }
    },
    status,
    async close() {
      closing.abort()
      current = undefined
      await Promise.all([...engines].map((engine) => engine.close()))
      await Promise.allSettled([loading, restarting?.done])
    },
  }
}

function textPrompt(text: string): ChatPrompt {
  return { prompt: [{ text, special: false }], stop: [], dropsFirstSpace: false }
}

function once(act: () => void): () => void {
  let done = false
  return () => {
    if (!done) act()
    done = true
  }
}

const nothingLoaded = 'No model is loaded. An admin can choose one with POST /model.'

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

function tooManyChoices(choices: number, limit: number): AppError {
  return new AppError('invalid', `${choices} answers at once were asked for, but this service generates ${limit} at most.`)
}

function describe({ name, identity }: InstalledModel, model: LoadedModel): ModelInfo {
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

function translate(event: GenerationEvent, queueMs: number): GenerateEvent {
  switch (event.type) {
    case 'text-delta':
      return { type: 'text-delta', index: event.index, text: event.text }
    case 'choice-end':
      return { type: 'choice-end', index: event.index, reason: event.reason }
    case 'generation-end': {
      const { timings, usage } = event
      const firstTokenMs = timings.firstTokenMs + queueMs
      return { type: 'generation-end', usage, timings: { ...timings, queueMs: firstTokenMs - timings.promptMs, firstTokenMs } }
    }
    case 'generation-error':
      throw new AppError(event.code, event.message)
  }
}
