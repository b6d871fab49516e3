import type { FinishReason } from '../provider.ts'
import type { Backend, GrammarState } from './backend.ts'
import { createLateGrammar } from './late-grammar.ts'
import { createPromptLookup, type PromptLookup } from './prompt-lookup.ts'
import type { StartOptions } from './protocol.ts'
import { createSampler } from './sampler.ts'
import type { Sequence } from './sequences.ts'
import { createTextStream, type Shown } from './text-stream.ts'
import { createTokenLogprobs } from './token-logprobs.ts'

export type AnswerOptions = Readonly<{
  options: StartOptions
  prompt: readonly number[]
  /** Which of the request's choices it is. */
  index: number
  sequence: Sequence
  /** Tokens at most. */
  limit: number
}>

/** What a token brought: what can be shown now (at the end all that was held back), and why the answer ends here if it does. */
export type Chosen = Shown & Readonly<{ reason: FinishReason | undefined; stopText: string | undefined }>

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
  /** Chooses the next token from its scores (`[vocabulary]`, changed in place). Throws an `AppError` when there is none to choose. */
  choose(scores: Float32Array): Chosen
  /** Ends it, if it has not ended; returns what was held back. */
  end(): Shown
}

export function createAnswer(backend: Backend, { options, prompt, index, sequence, limit }: AnswerOptions): Answer {
  const pieceOf = createPieces(backend, options)
  const grammar = createGrammar(backend, options, pieceOf)
  const seed = (options.sampling.seed + Math.imul(index, 0x9e3779b9)) >>> 0
  const sampler = createSampler({ ...options.sampling, seed }, prompt, grammar)
  const stream = createTextStream(options.stop, options)
  const logprobs = options.logprobs === undefined ? undefined : createTokenLogprobs(backend, options.logprobs)
  const lookup = createPromptLookup(prompt)
  let next = 0
  let produced = 0
  let ended = false

  function end(): Shown {
    if (ended) return { text: '', tokens: [] }
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
      logprobs?.read(scores)
      const token = sampler.sample(scores)
      if (token === undefined || backend.isEnd(token)) return { ...end(), reason: 'stop', stopText: undefined }
      next = token
      produced += 1
      lookup.add(token)
      const piece = pieceOf(token)
      const { text, tokens, stopText } = stream.add(piece, logprobs?.of(token, piece))
      const reason = stopText !== undefined ? 'stop' : produced >= limit ? 'length' : undefined
      if (reason === undefined) return { text, tokens, reason, stopText }
      const rest = end()
      const all = stopText === undefined ? [...tokens, ...rest.tokens] : tokens
      return { text: text + rest.text, tokens: all, reason, stopText }
    },
    end,
  }
}

/** The bytes that a token adds to the answer. */
function createPieces(backend: Backend, { shownTokens }: StartOptions): (token: number) => Uint8Array {
  if (shownTokens === undefined || shownTokens.length === 0) return backend.piece
  const shown = new Set(shownTokens)
  return (token) => {
    const piece = backend.piece(token)
    const name = piece.length > 0 ? '' : backend.controlText(token)
    return shown.has(name) ? Buffer.from(name) : piece
  }
}

function createGrammar(
  backend: Backend,
  { grammar, grammarAfter: after, grammarRepeats: repeats = false, grammarRequired: required = false }: StartOptions,
  pieceOf: (token: number) => Uint8Array,
): GrammarState | undefined {
  if (grammar === undefined) return undefined
  if (after === undefined) return backend.createGrammar(grammar)
  const { createGrammar, isEnd } = backend
  return createLateGrammar({ grammar, after, repeats, required, createGrammar, isEnd, pieceOf })
}
