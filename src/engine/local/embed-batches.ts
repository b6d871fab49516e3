import { AppError } from '../../errors.ts'
import type { BertTokenizer } from './bert-tokenizer.ts'
import type { FromEmbedWorker, ToEmbedWorker } from './embed-protocol.ts'

/** Texts that are evaluated before others get a turn. */
const turnTexts = 64

type Start = Extract<ToEmbedWorker, { type: 'embed-start' }>
type Count = Extract<ToEmbedWorker, { type: 'tokens-count' }>
type Request = Readonly<{
  id: number
  tokens: readonly (readonly number[])[]
  truncated: readonly boolean[]
  vectors: Float32Array[]
}>

export type EmbedBatchesParts = Readonly<{
  tokenizer: Pick<BertTokenizer, 'encodeWhole' | 'cut' | 'countTokens' | 'maxTokens'>
  /** Vectors of unit length for texts that are tokens, in their order. */
  embedTokens(tokens: readonly (readonly number[])[]): Promise<readonly Float32Array[]>
  send(message: FromEmbedWorker): void
  /** Lets messages come in between two turns. */
  pause(): Promise<void>
}>

/**
 * Evaluates the texts of all requests together. Each turn takes some texts of every request that waits, so that a long list keeps no
 * short one waiting for its end; the answer of a request has the order of its texts.
 */
export function createEmbedBatches(parts: EmbedBatchesParts) {
  const waiting = new Map<number, Request>()
  let isRunning = false

  function start({ id, texts, truncate }: Start): void {
    try {
      const whole = texts.map((text) => parts.tokenizer.encodeWhole(text))
      const { maxTokens } = parts.tokenizer
      const long = whole.findIndex((ids) => ids.length > maxTokens)
      if (long >= 0 && !truncate) throw tooLong(long, whole[long]?.length ?? 0, maxTokens)
      const truncated = whole.map((ids) => ids.length > maxTokens)
      waiting.set(id, { id, tokens: whole.map(parts.tokenizer.cut), truncated, vectors: [] })
    } catch (error) {
      fail(id, error)
    }
    if (!isRunning) void run()
  }

  function count({ id, texts }: Count): void {
    try {
      const { countTokens } = parts.tokenizer
      parts.send({ type: 'tokens-counted', id, counts: texts.map(countTokens) })
    } catch (error) {
      fail(id, error)
    }
  }

  async function run(): Promise<void> {
    isRunning = true
    await parts.pause()
    while (waiting.size > 0) {
      const turn = takeTurn()
      try {
        const vectors = await parts.embedTokens(turn.map(({ ids }) => ids))
        for (const [index, { request }] of turn.entries()) request.vectors.push(vectors[index] ?? new Float32Array(0))
      } catch (error) {
        for (const { request } of turn) fail(request.id, error)
      }
      for (const request of waiting.values()) if (request.vectors.length === request.tokens.length) end(request)
      await parts.pause()
    }
    isRunning = false
  }

  /** The next texts of each request, as many as fit. */
  function takeTurn(): ReadonlyArray<Readonly<{ request: Request; ids: readonly number[] }>> {
    const share = Math.max(1, Math.floor(turnTexts / waiting.size))
    const turn = [...waiting.values()].flatMap((request) => {
      const from = request.vectors.length
      return request.tokens.slice(from, from + share).map((ids) => ({ request, ids }))
    })
    return turn.slice(0, turnTexts)
  }

  function end({ id, vectors, tokens, truncated }: Request): void {
    waiting.delete(id)
    parts.send({ type: 'embed-end', id, vectors, tokens: tokens.map(({ length }) => length), truncated })
  }

  function fail(id: number, error: unknown): void {
    waiting.delete(id)
    const { code, message } = error instanceof AppError ? error : new AppError('internal', String(error))
    parts.send({ type: 'embed-failed', id, code, message })
  }

  return { start, count, cancel: (id: number) => void waiting.delete(id) }
}

function tooLong(index: number, length: number, maxTokens: number): AppError {
  const what = `Text ${index + 1} has ${length} tokens, and the model takes ${maxTokens}.`
  return new AppError('context_length_exceeded', `${what} Shorten or split it, or set truncate to cut it.`)
}
