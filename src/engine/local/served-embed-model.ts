import { AppError } from '../../errors.ts'
import type { Embedder, Reranker } from '../embedder.ts'
import { type EmbedChild, type EmbedProcess, openEmbedProcess } from './embed-process.ts'
import type { EmbedModel } from './embed-protocol.ts'
import { unlessAborted } from './unless-aborted.ts'

export type ServedEmbedModelParts = Readonly<{
  spawn: () => EmbedChild
  /** Finds the installed model. Throws `unavailable` with how to get it. */
  findModel: () => Promise<EmbedModel>
  /** Requests at once; more are refused. */
  maxWaiting: number
  /** How long a process without requests stays; undefined: for ever. */
  keepAliveMs?: number
  /** Waits for a place for one more process. Throws `busy`. */
  makeRoom?: () => Promise<void>
}>

/** A model with its process, which starts with the first request, and again with the next one when it has ended. */
export interface ServedEmbedModel {
  use<T>(work: (opened: EmbedProcess) => Promise<T>, signal: AbortSignal): Promise<T>
  /** Whether it has a process, and whether that one has nothing to do. */
  state(): 'none' | 'idle' | 'busy'
  /** Counts up with each request: who was used least lately has the lowest. */
  lastUse(): number
  /** Ends the process; the next request starts another one. */
  rest(): Promise<void>
  close(): Promise<void>
}

let uses = 0

export function createServedEmbedModel(parts: ServedEmbedModelParts): ServedEmbedModel {
  const { spawn, findModel, maxWaiting, keepAliveMs = Number.POSITIVE_INFINITY, makeRoom = async () => {} } = parts
  let current: Promise<EmbedProcess> | undefined
  let waiting = 0
  let lastUse = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  async function open(): Promise<EmbedProcess> {
    const model = await findModel()
    await makeRoom()
    if (isClosed) throw stopped()
    return openEmbedProcess(spawn(), model)
  }

  /** The process that there is, or one more. */
  function getProcess(): Promise<EmbedProcess> {
    if (current !== undefined) return current
    const opening = open()
    const forget = () => {
      if (current === opening) current = undefined
    }
    opening.then(({ ended }) => ended.then(forget), forget)
    current = opening
    return opening
  }

  async function rest(): Promise<void> {
    clearTimeout(timer)
    const leaving = current
    // Whoever comes from now on starts another one.
    current = undefined
    const opened = await leaving?.catch(() => undefined)
    opened?.kill()
    await opened?.ended
  }

  async function use<T>(work: (opened: EmbedProcess) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (isClosed) throw stopped()
    if (waiting >= maxWaiting)
      throw new AppError('busy', `${maxWaiting} requests for vectors wait already. Try again shortly.`, { retryAfterSeconds: 1 })
    clearTimeout(timer)
    waiting += 1
    uses += 1
    lastUse = uses
    try {
      const opened = await unlessAborted(getProcess(), signal)
      return await work(opened)
    } finally {
      waiting -= 1
      // Timers take no more than 24 days.
      if (waiting === 0 && keepAliveMs < 2 ** 31) timer = setTimeout(() => void rest(), keepAliveMs)
      timer?.unref()
    }
  }

  return {
    use,
    state: () => (current === undefined ? 'none' : waiting === 0 ? 'idle' : 'busy'),
    lastUse: () => lastUse,
    rest,
    close() {
      isClosed = true
      return rest()
    },
  }
}

const stopped = () => new AppError('unavailable', 'The service is shutting down.')

/** `close` ends the process; the next request starts another one. */
export function toEmbedder(name: string, { use, rest }: ServedEmbedModel): Embedder {
  return {
    name,
    encode: ({ texts, truncate, purpose }, signal) =>
      use(({ embed, model }) => {
        const prefix = purpose === undefined ? '' : model.prefixes[purpose]
        const prefixed = prefix === '' ? texts : texts.map((text) => prefix + text)
        return embed({ type: 'embed-start', texts: prefixed, truncate }, signal)
      }, signal),
    countTokens: (texts, signal) => use((opened) => opened.countTokens(texts, signal), signal),
    maxTokens: () => use(async ({ maxTokens }) => maxTokens, new AbortController().signal),
    close: rest,
  }
}

/** `close` ends the process; the next request starts another one. */
export function toReranker(name: string, { use, rest }: ServedEmbedModel): Reranker {
  return {
    name,
    rerank: ({ query, texts }, signal) =>
      use(async ({ embed }) => {
        const { vectors, tokens } = await embed({ type: 'rerank-start', query, texts }, signal)
        return { scores: vectors.map(([score = 0]) => score), tokens }
      }, signal),
    close: rest,
  }
}
