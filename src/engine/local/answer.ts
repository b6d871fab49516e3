import type { FinishReason } from '../provider.ts'
import type { Backend } from './backend.ts'
import { createPromptLookup, type PromptLookup } from './prompt-lookup.ts'
import type { StartOptions } from './protocol.ts'
import { createSampler } from './sampler.ts'
import type { Sequence } from './sequences.ts'
import { createTextStream } from './text-stream.ts'

export type AnswerOptions = Readonly<{
  options: StartOptions
  prompt: readonly number[]
  /** Which of the request's choices it is. */
  index: number
  sequence: Sequence
  /** Tokens at most. */
  limit: number
}>

/** One answer under way: what it has come to, and how its next token is chosen. */
export interface Answer {
  readonly index: number
  readonly sequence: Sequence
  readonly lookup: PromptLookup
  /** Its latest token, which was chosen and not yet evaluated. */
  readonly next: number
  /** Tokens so far. */
  readonly produced: number
  readonly ended: boolean
  /**
   * Chooses the next token from its scores (`[vocabulary]`, changed in place). Returns the text that can be shown now, all that was
   * held back at the end too, and why it ends here if it does. Throws an `AppError` when there is nothing to choose from.
   */
  choose(scores: Float32Array): Readonly<{ text: string; reason: FinishReason | undefined }>
  /** Ends it, if it has not ended; returns the text that was held back. */
  end(): string
}

export function createAnswer(backend: Backend, { options, prompt, index, sequence, limit }: AnswerOptions): Answer {
  const grammar = options.grammar === undefined ? undefined : backend.createGrammar(options.grammar)
  const seed = (options.sampling.seed + Math.imul(index, 0x9e3779b9)) >>> 0
  const sampler = createSampler({ ...options.sampling, seed }, prompt, grammar)
  const stream = createTextStream(options.stop, options)
  const lookup = createPromptLookup(prompt)
  let next = 0
  let produced = 0
  let ended = false

  function end(): string {
    if (ended) return ''
    ended = true
    grammar?.close()
    return stream.end()
  }

  return {
    index,
    sequence,
    lookup,
    get next() {
      return next
    },
    get produced() {
      return produced
    },
    get ended() {
      return ended
    },
    choose(scores) {
      const token = sampler.sample(scores)
      if (token === undefined || backend.isEnd(token)) return { text: end(), reason: 'stop' }
      next = token
      produced += 1
      lookup.add(token)
      const { text, stopped } = stream.add(backend.piece(token))
      const reason = stopped ? 'stop' : produced >= limit ? 'length' : undefined
      return { text: reason === undefined ? text : text + end(), reason }
    },
    end,
  }
}
