import { AppError } from '../../errors.ts'
import type { EmbedBackend, EmbedTokens } from './embed-backend.ts'
import type { FromEmbedWorker, ToEmbedWorker } from './embed-protocol.ts'

/** Texts that are evaluated before others get a turn. */
const turnTexts = 64

type Message<Type extends ToEmbedWorker['type']> = Extract<ToEmbedWorker, { type: Type }>
type Request = Readonly<{
  id: number
  inputs: readonly EmbedTokens[]
  truncated: readonly boolean[]
  vectors: Float32Array[]
}>

export type EmbedBatchesParts = Readonly<{
  backend: EmbedBackend
  send(message: FromEmbedWorker): void
  /** Lets messages come in between two turns. */
  pause(): Promise<void>
}>

/**
 * Evaluates the texts of all requests together. Each turn takes some texts of every request that waits, so that a long list keeps no
 * short one waiting for its end; the answer of a request has the order of its texts.
 */
export function createEmbedBatches({ backend, send, pause }: EmbedBatchesParts) {
  const waiting = new Map<number, Request>()
  let isRunning = false

  function start({ id, texts, truncate }: Message<'embed-start'>): void {
    begin(id, () => {
      const whole = texts.map((text) => backend.encodeWhole(text))
      const { maxTokens } = backend
      const long = whole.findIndex(({ ids }) => ids.length > maxTokens)
      if (long >= 0 && !truncate) throw tooLong(long, whole[long]?.ids.length ?? 0, maxTokens)
      return { inputs: whole.map(backend.cut), truncated: whole.map(({ ids }) => ids.length > maxTokens) }
    })
  }

  function rerank({ id, query, texts }: Message<'rerank-start'>): void {
    begin(id, () => ({ inputs: texts.map((text) => backend.encodePair(query, text)), truncated: [] }))
  }

  function begin(id: number, read: () => Pick<Request, 'inputs' | 'truncated'>): void {
    try {
      waiting.set(id, { id, ...read(), vectors: [] })
    } catch (error) {
      fail(id, error)
    }
    if (!isRunning) void run()
  }

  function count({ id, texts }: Message<'tokens-count'>): void {
    try {
      send({ type: 'tokens-counted', id, counts: texts.map(backend.countTokens) })
    } catch (error) {
      fail(id, error)
    }
  }

  async function run(): Promise<void> {
    isRunning = true
    await pause()
    while (waiting.size > 0) {
      const turn = takeTurn()
      try {
        const vectors = await backend.evaluate(turn.map(({ input }) => input))
        for (const [index, { request }] of turn.entries()) request.vectors.push(vectors[index] ?? new Float32Array(0))
      } catch (error) {
        for (const { request } of turn) fail(request.id, error)
      }
      for (const request of waiting.values()) if (request.vectors.length === request.inputs.length) end(request)
      if (waiting.size > 0) send({ type: 'embed-progress' })
      await pause()
    }
    isRunning = false
  }

  /** The next texts of each request, as many as fit. */
  function takeTurn(): ReadonlyArray<Readonly<{ request: Request; input: EmbedTokens }>> {
    const share = Math.max(1, Math.floor(turnTexts / waiting.size))
    const turn = [...waiting.values()].flatMap((request) => {
      const from = request.vectors.length
      return request.inputs.slice(from, from + share).map((input) => ({ request, input }))
    })
    return turn.slice(0, turnTexts)
  }

  function end({ id, vectors, inputs, truncated }: Request): void {
    waiting.delete(id)
    send({ type: 'embed-end', id, vectors, tokens: inputs.map(({ ids }) => ids.length), truncated })
  }

  function fail(id: number, error: unknown): void {
    waiting.delete(id)
    const { code, message } = error instanceof AppError ? error : new AppError('internal', String(error))
    send({ type: 'embed-failed', id, code, message })
  }

  return { start, rerank, count, cancel: (id: number) => void waiting.delete(id) }
}

function tooLong(index: number, length: number, maxTokens: number): AppError {
  const what = `Text ${index + 1} has ${length} tokens, and the model takes ${maxTokens}.`
  return new AppError('context_length_exceeded', `${what} Shorten or split it, or set truncate to cut it.`)
}
