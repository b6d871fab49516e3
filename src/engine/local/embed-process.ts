import { AppError } from '../../errors.ts'
import type { EmbedModel, FromEmbedWorker, ToEmbedWorker } from './embed-protocol.ts'
import { type ProcessChild, spawnProcess } from './spawn-process.ts'
import { unlessAborted } from './unless-aborted.ts'
import { type WatchParts, watchChild } from './watch-child.ts'

export type EmbedChild = ProcessChild<ToEmbedWorker, FromEmbedWorker>

/** Starts the child process of an embedding model or a reranker. Its error output goes to `log`. */
export function spawnEmbedder(log: (text: string) => void): EmbedChild {
  return spawnProcess('embed-worker', log)
}

type Answer = Extract<FromEmbedWorker, { type: 'embed-end' | 'tokens-counted' }>
/** What the process is asked, but for the number that the answer will have. */
export type EmbedQuestion =
  | Omit<Extract<ToEmbedWorker, { type: 'embed-start' }>, 'id'>
  | Omit<Extract<ToEmbedWorker, { type: 'rerank-start' }>, 'id'>
export type EmbedAnswer = Extract<Answer, { type: 'embed-end' }>

/** A model that is loaded in a process of its own. */
export interface EmbedProcess {
  readonly model: EmbedModel
  /** The most tokens of a text that comes with a prefix. */
  readonly maxTokens: number
  /** Resolves with the reason when the process has ended. */
  readonly ended: Promise<string>
  embed(question: EmbedQuestion, signal: AbortSignal): Promise<EmbedAnswer>
  countTokens(texts: readonly string[], signal: AbortSignal): Promise<readonly number[]>
  kill(): void
}

/** Resolves when the model is loaded. Throws what the child says, or `unavailable` when it dies; one that hangs is ended. */
export async function openEmbedProcess(child: EmbedChild, model: EmbedModel, watching?: WatchParts): Promise<EmbedProcess> {
  const { ready, ...connected } = connect(child, model, watching)
  try {
    return { ...connected, maxTokens: await ready }
  } catch (error) {
    connected.kill()
    throw error
  }
}

type Connected = Omit<EmbedProcess, 'maxTokens'> & Readonly<{ ready: Promise<number> }>

function connect(unwatched: EmbedChild, model: EmbedModel, watching?: WatchParts): Connected {
  const ready = Promise.withResolvers<number>()
  const ended = Promise.withResolvers<string>()
  const asked = new Map<number, PromiseWithResolvers<Answer>>()
  let lastId = 0
  let isLoading = true
  const child = watchChild(unwatched, { hasWork: () => isLoading || asked.size > 0 }, watching)

  child.onMessage((message) => {
    if (message.type === 'model-ready' || message.type === 'model-failed') isLoading = false
    switch (message.type) {
      case 'model-ready':
        return ready.resolve(message.maxTokens)
      case 'model-failed':
        return ready.reject(new AppError(message.code, message.message))
      case 'embed-end':
      case 'tokens-counted':
        asked.get(message.id)?.resolve(message)
        return void asked.delete(message.id)
      case 'embed-failed':
        asked.get(message.id)?.reject(new AppError(message.code, message.message))
        return void asked.delete(message.id)
      // It lives, which is all that this is to tell.
      case 'embed-progress':
        return
    }
  })
  child.onExit((reason) => {
    const error = new AppError('unavailable', `The process that makes vectors ended (${reason}). Try again.`)
    ready.reject(error)
    for (const one of asked.values()) one.reject(error)
    asked.clear()
    ended.resolve(reason)
  })
  child.send({ type: 'model-load', model })
  return {
    model,
    ready: ready.promise,
    ended: ended.promise,
    kill: () => child.kill(),
    async embed(question, signal) {
      const answer = await ask((id) => ({ ...question, id }), signal)
      if (answer.type === 'embed-end') return answer
      throw unexpected(answer)
    },
    async countTokens(texts, signal) {
      const answer = await ask((id) => ({ type: 'tokens-count', id, texts }), signal)
      if (answer.type === 'tokens-counted') return answer.counts
      throw unexpected(answer)
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

const unexpected = ({ type }: Answer) => new AppError('internal', `The process that makes vectors answered with "${type}".`)
