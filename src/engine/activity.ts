import type { Embedder, Embedders, Reranker, Rerankers } from './embedder.ts'
import type { ModelHost } from './provider.ts'

/** Whether the models of this machine work for somebody. */
export interface Activity {
  /** Tells that work begins; the function that it gives tells once that it has ended. */
  begin(): () => void
  isBusy(): boolean
  /** On the clock that it was made with; −Infinity where nothing was asked yet. */
  lastEnd(): number
  /** Told within `begin` and at each end after which nothing works. Gives what ends the telling. */
  subscribe(listener: (isBusy: boolean) => void): () => void
}

export function createActivity(now: () => number): Activity {
  const listeners = new Set<(isBusy: boolean) => void>()
  let working = 0
  let ended = Number.NEGATIVE_INFINITY
  const tell = (isBusy: boolean) => {
    for (const listener of [...listeners]) listener(isBusy)
  }
  return {
    begin() {
      working += 1
      if (working === 1) tell(true)
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        working -= 1
        ended = now()
        if (working === 0) tell(false)
      }
    },
    isBusy: () => working > 0,
    lastEnd: () => ended,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

type Watched = Readonly<{ host: ModelHost; embedders: Embedders; rerankers: Rerankers }>

/** The same parts, whose work is told. */
export function watchWork({ host, embedders, rerankers }: Watched, activity: Activity): Watched {
  return {
    host: watchHost(host, activity),
    embedders: watchEmbedders(embedders, activity),
    rerankers: watchRerankers(rerankers, activity),
  }
}

async function during<T>(activity: Activity, work: () => Promise<T>): Promise<T> {
  const end = activity.begin()
  try {
    return await work()
  } finally {
    end()
  }
}

/** The same events, whose work is told from the first that is asked for to the end; for processes of other kinds. */
export async function* tellWork<T>(activity: Activity, work: () => AsyncIterable<T>): AsyncGenerator<T> {
  const end = activity.begin()
  try {
    yield* work()
  } finally {
    end()
  }
}

function watchHost(host: ModelHost, activity: Activity): ModelHost {
  return {
    ...host,
    // Read each time: what a host says of itself may change.
    get name() {
      return host.name
    },
    get ranOn() {
      return host.ranOn
    },
    generate: (...asked) => tellWork(activity, () => host.generate(...asked)),
    countTokens: (...asked) => during(activity, () => host.countTokens(...asked)),
    select: (...asked) => during(activity, () => host.select(...asked)),
    load: (...asked) => during(activity, () => host.load(...asked)),
  }
}

function watchEmbedders(embedders: Embedders, activity: Activity): Embedders {
  const watch = keepEach((embedder: Embedder): Embedder => {
    return {
      ...embedder,
      encode: (...asked) => during(activity, () => embedder.encode(...asked)),
      countTokens: (...asked) => during(activity, () => embedder.countTokens(...asked)),
    }
  })
  return { ...embedders, usual: watch(embedders.usual), find: async (name) => unlessMissing(await embedders.find(name), watch) }
}

function watchRerankers(rerankers: Rerankers, activity: Activity): Rerankers {
  const watch = keepEach((reranker: Reranker): Reranker => {
    return { ...reranker, rerank: (...asked) => during(activity, () => reranker.rerank(...asked)) }
  })
  return { ...rerankers, find: async (name) => unlessMissing(await rerankers.find(name), watch) }
}

const unlessMissing = <T>(found: T | undefined, watch: (found: T) => T): T | undefined =>
  found === undefined ? undefined : watch(found)

/** The same one for the same one: who compares them sees no difference. */
function keepEach<T extends object>(watch: (one: T) => T): (one: T) => T {
  const watched = new WeakMap<T, T>()
  return (one) => {
    const known = watched.get(one) ?? watch(one)
    watched.set(one, known)
    return known
  }
}
