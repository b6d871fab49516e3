import { AppError } from '../../errors.ts'
import type { Embedder, Embeddings, EmbedRequest } from '../embedder.ts'
import type { EmbedModel, FromEmbedWorker, ToEmbedWorker } from './embed-protocol.ts'
import { type ProcessChild, spawnProcess } from './spawn-process.ts'
import { unlessAborted } from './unless-aborted.ts'

export type EmbedChild = ProcessChild<ToEmbedWorker, FromEmbedWorker>

/** Starts the child process that makes vectors. Its error output goes to `log`. */
export function spawnEmbedder(log: (text: string) => void): EmbedChild {
  return spawnProcess('embed-worker', log)
}

export type EmbedderParts = Readonly<{
  /** What the model is called. */
  name: string
  spawn: () => EmbedChild
  /** Finds the installed model. Throws `unavailable` with how to get it. */
  findModel: () => Promise<EmbedModel>
  /** Requests at once; more are refused. */
  maxWaiting: number
}>

type Process = Readonly<{
  ready: Promise<void>
  ended: Promise<string>
  embed(request: EmbedRequest, signal: AbortSignal): Promise<Embeddings>
  countTokens(texts: readonly string[], signal: AbortSignal): Promise<readonly number[]>
  kill(): void
}>

type Answer = Extract<FromEmbedWorker, { type: 'embed-end' | 'tokens-counted' }>

/** Makes vectors in a process of its own, which starts with the first request, and again with the next one when it has died. */
export function createEmbedder({ name, spawn, findModel, maxWaiting }: EmbedderParts): Embedder {
  let current: Promise<Process> | undefined
  let waiting = 0
  let isClosed = false

  async function open(): Promise<Process> {
    const model = await findModel()
    if (isClosed) throw stopped()
    const opened = connect(spawn(), model)
    void opened.ended.then(forget)
    await opened.ready.catch((error: unknown) => {
      opened.kill()
      throw error
    })
    return opened
  }

  function forget(): void {
    current = undefined
  }

  async function use<T>(work: (opened: Process) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (isClosed) throw stopped()
    if (waiting >= maxWaiting)
      throw new AppError('busy', `${maxWaiting} requests for vectors wait already. Try again shortly.`, {
        retryAfterSeconds: 1,
      })
    waiting += 1
    try {
      current ??= open()
      const opened = await unlessAborted(current, signal).catch((error: unknown) => {
        if (!signal.aborted) forget()
        throw error
      })
      return await work(opened)
    } finally {
      waiting -= 1
    }
  }

  return {
    name,
    encode: (request, signal) => use((opened) => opened.embed(request, signal), signal),
    countTokens: (texts, signal) => use((opened) => opened.countTokens(texts, signal), signal),
    maxTokens: async () => (await findModel()).maxTokens,
    async close() {
      isClosed = true
      const opened = await current?.catch(() => undefined)
      opened?.kill()
      await opened?.ended
    },
  }
}

const stopped = () => new AppError('unavailable', 'The service is shutting down.')

function connect(child: EmbedChild, model: EmbedModel): Process {
  const ready = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<string>()
  const asked = new Map<number, PromiseWithResolvers<Answer>>()
  let lastId = 0

  child.onMessage((message) => {
    switch (message.type) {
      case 'model-ready':
        return ready.resolve()
      case 'model-failed':
        return ready.reject(new AppError(message.code, message.message))
      case 'embed-end':
      case 'tokens-counted':
        asked.get(message.id)?.resolve(message)
        return void asked.delete(message.id)
      case 'embed-failed':
        asked.get(message.id)?.reject(new AppError(message.code, message.message))
        return void asked.delete(message.id)
    }
  })
  child.onExit((reason) => {
    const error = new AppError('unavailable', `The process that makes vectors ended (${reason}). Try again.`)
    ready.reject(error)
    for (const one of asked.values()) one.reject(error)
    asked.clear()
    ended.resolve(reason)
  })
  // Whoever asked for it hears of it; where nobody did, it is no failure of the program.
  ready.promise.catch(() => {})
  child.send({ type: 'model-load', model })
  return {
    ready: ready.promise,
    ended: ended.promise,
    kill: () => child.kill(),
    async embed({ texts, truncate }, signal) {
      const answer = await ask((id) => ({ type: 'embed-start', id, texts, truncate }), signal)
      if (answer.type === 'embed-end') return answer
      throw new AppError('internal', `The process that makes vectors answered with "${answer.type}".`)
    },
    async countTokens(texts, signal) {
      const answer = await ask((id) => ({ type: 'tokens-count', id, texts }), signal)
      if (answer.type === 'tokens-counted') return answer.counts
      throw new AppError('internal', `The process that makes vectors answered with "${answer.type}".`)
    },
  }

  async function ask(messageOf: (id: number) => ToEmbedWorker, signal: AbortSignal): Promise<Answer> {
    lastId += 1
    const id = lastId
    const answer = Promise.withResolvers<Answer>()
    asked.set(id, answer)
    child.send(messageOf(id))
    try {
      return await unlessAborted(answer.promise, signal)
    } finally {
      if (asked.delete(id)) child.send({ type: 'embed-cancel', id })
    }
  }
}
