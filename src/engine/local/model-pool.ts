import { AppError } from '../../errors.ts'
import type { ModelState } from '../provider.ts'
import { createServedModel, type ModelFile, type OpenModel, type ServedModel, type ServedModelParts } from './served-model.ts'
import { unlessAborted } from './unless-aborted.ts'

export type ModelPoolParts = Omit<ServedModelParts, 'file' | 'onIdle'> &
  Readonly<{
    /** Bytes that a model takes once it is loaded and busy. Throws `invalid` when the file is no whole model. */
    estimateBytes(file: ModelFile): Promise<number>
    /** Bytes that all models may take together. */
    budgetBytes: number
    /** What would make a model fit that is too large, as a sentence. */
    adviseOn(file: ModelFile): Promise<string>
    /** How long a model that nobody uses stays in memory; Infinity: until others need the room. */
    keepAliveMs: number
    /** Told the names of the models in memory whenever they change, the one used last first. */
    onChange(names: readonly string[]): void
  }>

/** A model in memory, kept there until `release`. */
export type Lease = OpenModel & Readonly<{ release: () => void }>

/** The models of a machine: which are in memory, and which has to go when another one needs the room. */
export interface ModelPool {
  /** The model of a file; it need not be in memory. A file that has changed since is a new model. */
  get(file: ModelFile): ServedModel
  find(name: string): ServedModel | undefined
  list(): readonly ServedModel[]
  /**
   * Brings a model into memory, if it is not there, and keeps it there. Loads happen one after the other, and several who want the
   * same one share it. Room is made by those that were unused for the longest time; one in use ends what it does first, while
   * new requests for it wait. Throws `invalid` when the model can't fit, what the engine says, `aborted`.
   */
  lease(model: ServedModel, signal: AbortSignal): Promise<Lease>
  /** Takes a model out of memory as soon as nobody uses it. */
  unload(model: ServedModel): Promise<void>
  /** Like the model's own, and `loading` also while it waits for its turn and for room. */
  stateOf(model: ServedModel): ModelState
  /** Bytes that a model takes, or is estimated to take; 0 while it is not in memory. */
  memoryOf(model: ServedModel): number
  close(): Promise<void>
}

type Place = {
  readonly model: ServedModel
  /** The estimate; 0 as long as there is none. */
  bytes: number
  loading?: Promise<OpenModel> | undefined
  /** It is on its way out: who wants it waits for this. */
  leaving?: Promise<void> | undefined
  timer?: NodeJS.Timeout
}

export function createModelPool(parts: ModelPoolParts): ModelPool {
  const { openEngine, maxParallel, maxQueue, now, keepAliveMs, onDeath } = parts
  const places = new Map<ServedModel, Place>()
  const byName = new Map<string, Place>()
  const closing = new AbortController()
  let lastLoad: Promise<unknown> = Promise.resolve()

  function get(file: ModelFile): ServedModel {
    const known = byName.get(file.name)
    if (known?.model.file.identity === file.identity) return known.model
    const onIdle = () => closeLater(place)
    const place: Place = { model: createServedModel({ file, openEngine, maxParallel, maxQueue, now, onIdle, onDeath }), bytes: 0 }
    byName.set(file.name, place)
    places.set(place.model, place)
    if (known !== undefined) void takeOut([known]).finally(() => places.delete(known.model))
    return place.model
  }

  function tellChange(): void {
    const inMemory = [...byName.values()].filter(({ model }) => model.opened !== undefined)
    const order = inMemory.toSorted((a, b) => b.model.lastUse - a.model.lastUse)
    if (!closing.signal.aborted) parts.onChange(order.map(({ model }) => model.file.name))
  }

  function hold(place: Place): () => void {
    clearTimeout(place.timer)
    return place.model.hold()
  }

  /** Ends the process of a model when it has been idle for long enough. */
  function closeLater(place: Place): void {
    if (closing.signal.aborted) return
    clearTimeout(place.timer)
    // A timer holds no more than about 25 days: who keeps a model for longer keeps it for good.
    if (keepAliveMs > longestTimerMs) return
    place.timer = setTimeout(() => {
      if (place.model.held === 0 && place.leaving === undefined) void takeOut([place])
    }, keepAliveMs).unref()
  }

  function load(place: Place): Promise<OpenModel> {
    // One that has died takes its own room again.
    if (place.loading === undefined && place.model.state === 'loading') return place.model.open()
    place.loading ??= inTurn(() => loadNow(place)).finally(() => {
      place.loading = undefined
    })
    return place.loading
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = lastLoad.then(work)
    lastLoad = turn.catch(() => {})
    return turn
  }

  async function loadNow(place: Place): Promise<OpenModel> {
    const { model } = place
    if (model.opened !== undefined) return model.opened
    const unwanted = new AbortController()
    void model.whenIdle().then(() => unwanted.abort())
    place.bytes = await parts.estimateBytes(model.file)
    const settled = Promise.withResolvers<void>()
    try {
      await takeOut(await chooseVictims(place), settled.promise, unwanted.signal)
      if (closing.signal.aborted || unwanted.signal.aborted) throw stopped()
      return await model.open()
    } finally {
      settled.resolve()
      tellChange()
      closeLater(place)
    }
  }

  /** Who has to go so that this one fits: the idle ones first, then the one that was used longest ago. */
  async function chooseVictims(place: Place): Promise<readonly Place[]> {
    const others = [...places.values()].filter((other) => other !== place && isInMemory(other))
    const used = others.reduce((sum, { model }) => sum + memoryOf(model), 0)
    const budget = parts.budgetBytes
    if (place.bytes > budget) throw tooLarge(place, budget, await parts.adviseOn(place.model.file))
    const order = (a: Place, b: Place) => Number(a.model.held > 0) - Number(b.model.held > 0) || a.model.lastUse - b.model.lastUse
    const victims: Place[] = []
    let missing = used + place.bytes - budget
    for (const other of others.toSorted(order)) {
      if (missing <= 0) break
      victims.push(other)
      missing -= memoryOf(other.model)
    }
    return victims
  }

  /** Ends their processes once they are idle, unless `unwanted` comes first. Who wants one of them meanwhile waits, until `settled` too. */
  async function takeOut(
    leaving: readonly Place[],
    settled: Promise<unknown> = Promise.resolve(),
    unwanted?: AbortSignal,
  ): Promise<void> {
    const closed = Promise.all(leaving.map((place) => closeWhenIdle(place, unwanted)))
    const gone = Promise.allSettled([closed, settled]).then(() => {
      for (const place of leaving) if (place.leaving === gone) place.leaving = undefined
    })
    for (const place of leaving) place.leaving = gone
    await closed
  }

  async function closeWhenIdle({ model }: Place, unwanted: AbortSignal | undefined): Promise<void> {
    const stop = unwanted === undefined ? closing.signal : AbortSignal.any([closing.signal, unwanted])
    await unlessAborted(model.whenIdle(), stop).catch(() => {})
    if (unwanted?.aborted && !closing.signal.aborted) return
    await model.close()
    tellChange()
  }

  function memoryOf(model: ServedModel): number {
    const place = places.get(model)
    if (place === undefined || !isInMemory(place)) return 0
    return Math.max(place.bytes, model.opened?.engine.report().residentBytes ?? 0)
  }

  async function lease(model: ServedModel, signal: AbortSignal): Promise<Lease> {
    for (;;) {
      // A file that has changed meanwhile is another model.
      const place = places.get(model) ?? byName.get(model.file.name)
      if (closing.signal.aborted || place === undefined) throw stopped()
      if (place.leaving !== undefined) {
        await unlessAborted(place.leaving, signal)
        continue
      }
      // Held already while it loads, so that it does not have to leave again before it was of use.
      const release = hold(place)
      try {
        return { ...(place.model.opened ?? (await unlessAborted(load(place), signal))), release }
      } catch (error) {
        release()
        const wasGivenUp = error instanceof AppError && error.code === 'aborted'
        // Given up by those who wanted it before; this one still does.
        if (!wasGivenUp || signal.aborted || closing.signal.aborted) throw error
      }
    }
  }

  return {
    get,
    find: (name) => byName.get(name)?.model,
    list: () => [...byName.values()].map(({ model }) => model),
    lease,
    async unload(model) {
      const place = places.get(model)
      if (place !== undefined && (place.loading !== undefined || isInMemory(place))) await takeOut([place])
      else await model.close()
    },
    stateOf: (model) => (places.get(model)?.loading !== undefined && model.state !== 'ready' ? 'loading' : model.state),
    memoryOf,
    async close() {
      closing.abort()
      for (const { timer } of places.values()) clearTimeout(timer)
      await Promise.all([...places.keys()].map((model) => model.close()))
      await lastLoad
    },
  }
}

/** What `setTimeout` can wait for. */
const longestTimerMs = 2 ** 31 - 1

const isInMemory = ({ model }: Place) => model.state === 'ready' || model.state === 'loading'

const stopped = () => new AppError('aborted', 'Loading the model was stopped.')

function tooLarge({ model, bytes }: Place, budget: number, advice: string): AppError {
  const gigabytes = (count: number) => `${(count / 1024 ** 3).toFixed(2)} GB`
  const need = `The model "${model.file.name}" needs about ${gigabytes(bytes)} of memory`
  return new AppError('invalid', `${need}, but models may take ${gigabytes(budget)} together (MEMORY_BUDGET). ${advice}`)
}
