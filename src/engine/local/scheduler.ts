import { AppError } from '../../errors.ts'
import type { FinishReason } from '../provider.ts'
import type { Backend, BatchRow, GrammarState } from './backend.ts'
import type { GenerationEvent, StartOptions } from './protocol.ts'
import { createSampler, type Sampler } from './sampler.ts'
import { commonLength, createSequences, repeatableRows, type Sequence } from './sequences.ts'
import { createTextStream, type TextStream } from './text-stream.ts'

/** Rows of a step in which answers go on beside prompts, at least: what answers wait for between two tokens. */
const sharedRows = 64
/** And for each who waits, for the first token or for the next one: the more they are, the more it costs to read prompts piecemeal. */
const rowsForEach = 32
/** A prompt waits for another one that begins alike if so many more tokens of it can be shared. */
const worthWaiting = 64
/** Room kept for an answer when its request starts. A longer one goes on as long as there is room. */
const answerRoom = 512
/** Every so many steps the oldest prompt goes on, even if a shorter one waits. */
const oldestFirstEvery = 3

type Choice = {
  readonly index: number
  readonly sequence: Sequence
  readonly sampler: Sampler
  readonly text: TextStream
  readonly grammar: GrammarState | undefined
  /** Chosen, and not yet evaluated. */
  next: number
  produced: number
  ended: boolean
}

type Request = {
  readonly id: number
  readonly options: StartOptions
  readonly prompt: readonly number[]
  readonly limit: number
  readonly arrivedAt: number
  sequence: Sequence | undefined
  choices: Choice[]
  cached: number
  startedAt: number
  firstTokenAt: number
}

/** An answer under way. */
type Running = readonly [Request, Choice]

/** The part of a prompt that one step reads. */
type Piece = Readonly<{ request: Request; sequence: Sequence; from: number; tokens: readonly number[]; isLast: boolean }>

export interface Scheduler {
  /** Throws `context_length_exceeded` when the prompt does not fit, `invalid` when the grammar does not parse. */
  start(id: number, options: StartOptions): void
  cancel(id: number): void
  /** Whether there is anything to do. */
  busy(): boolean
  /** One step: a token for each answer, and pieces of the prompts that are still to be read. Returns what it brought. */
  step(): readonly GenerationEvent[]
}

/**
 * Continuous batching: each step evaluates one batch, with a token of every answer under way and pieces of prompts. The longer the
 * prompts' part, the longer the answers wait for their next token; it grows with the number of those who wait for their first.
 * A row's rounding depends on how many rows its batch has (see `repeatableRows`), so beside a request that must repeat it stays
 * small. `now` is in milliseconds.
 */
export function createScheduler(backend: Backend, now: () => number): Scheduler {
  const requests = new Map<number, Request>()
  const sequences = createSequences(backend, () => ![...requests.values()].some(isRunningExactly))
  let events: GenerationEvent[] = []
  let steps = 0

  function start(id: number, options: StartOptions): void {
    const prompt = backend.tokenize(options.prompt)
    if (prompt.length === 0) throw new AppError('invalid', 'The prompt is empty: the model needs one token to begin with.')
    if (prompt.length >= backend.contextSize) throw tooLong(prompt.length, backend.contextSize)
    if (options.grammar !== undefined) backend.createGrammar(options.grammar).close()
    const limit = Math.min(options.maxTokens ?? Number.POSITIVE_INFINITY, backend.contextSize - prompt.length)
    const times = { arrivedAt: now(), startedAt: 0, firstTokenAt: 0 }
    requests.set(id, { id, options, prompt, limit, sequence: undefined, choices: [], cached: 0, ...times })
  }

  function cancel(id: number): void {
    const request = requests.get(id)
    if (request === undefined) return
    requests.delete(id)
    if (request.choices.length === 0 && request.sequence !== undefined) sequences.release(request.sequence)
    for (const choice of request.choices) if (!choice.ended) close(choice)
  }

  function close(choice: Choice): void {
    choice.ended = true
    choice.grammar?.close()
    sequences.release(choice.sequence)
  }

  function admit(request: Request): boolean {
    if (isAboutToShare(request)) return false
    const { prompt, limit, options } = request
    const room = Math.min(limit, answerRoom)
    const sequence = sequences.take({ prompt, room, choices: options.choices, exactly: options.repeatable })
    if (sequence === undefined) return false
    request.sequence = sequence
    request.cached = sequence.tokens.length
    request.startedAt = now()
    return true
  }

  /** Whether another prompt under way begins like this one, further than it has come: then waiting is faster. */
  function isAboutToShare(request: Request): boolean {
    return prefilling().some(({ prompt, sequence, options }) => {
      const shared = options.repeatable || !request.options.repeatable
      return shared && commonLength(prompt, request.prompt) >= (sequence?.tokens.length ?? 0) + worthWaiting
    })
  }

  const prefilling = () =>
    [...requests.values()].filter(({ sequence, choices }) => sequence !== undefined && choices.length === 0)

  /** What is read of prompts in this step, beside a token for each answer. */
  function nextPieces(running: readonly Running[]): readonly Piece[] {
    for (const request of requests.values()) if (request.sequence === undefined && !admit(request)) break
    const open = prefilling()
    const [oldest, ...others] = open
    if (oldest === undefined) return []
    const byLength = (list: readonly Request[]) => list.toSorted((a, b) => remaining(a) - remaining(b))
    const order = steps % oldestFirstEvery === 0 ? [oldest, ...byLength(others)] : byLength(open)
    const exactly = running.some(isExact) || order[0]?.options.repeatable === true
    const shared = Math.max(sharedRows, rowsForEach * Math.max(open.length, running.length))
    const wanted = exactly ? repeatableRows : running.length > 0 ? shared : backend.batchSize
    let left = Math.max(1, Math.min(wanted, backend.batchSize) - running.length)
    const pieces: Piece[] = []
    for (const request of order) {
      const { sequence, prompt, options } = request
      if (sequence === undefined || left === 0 || (options.repeatable && !exactly)) continue
      const from = sequence.tokens.length
      const tokens = prompt.slice(from, from + left)
      left -= tokens.length
      pieces.push({ request, sequence, from, tokens, isLast: from + tokens.length === prompt.length })
    }
    return pieces
  }

  /** One batch: a token of each answer, then the pieces of prompts. */
  function evaluateStep(running: readonly Running[], pieces: readonly Piece[]): void {
    const rows = [...running.map(rowOf), ...pieces.flatMap(rowsOf)]
    const exactly = running.some(isExact) || pieces.some(({ request }) => request.options.repeatable)
    if (!evaluate(rows, exactly)) {
      preempt(pieces.at(-1)?.request ?? running.at(-1)?.[0])
      return
    }
    const repeated = repeats(rows.length, exactly)
    for (const [, { sequence, next }] of running) sequences.append(sequence, [next], repeated)
    for (const { sequence, tokens } of pieces) sequences.append(sequence, tokens, repeated)
    for (const [row, [request, choice]] of running.entries()) choose(request, choice, backend.scores(row))
    let row = running.length
    for (const { request, sequence, tokens, isLast } of pieces) {
      row += tokens.length
      if (isLast) openChoices(request, sequence, backend.scores(row - 1))
    }
  }

  function openChoices(request: Request, sequence: Sequence, scores: Float32Array): void {
    request.firstTokenAt = now()
    const { options } = request
    // Copies, because choosing writes into the scores.
    const copies = Array.from({ length: options.choices }, (_, index) => (index === 0 ? scores : scores.slice()))
    request.choices = copies.map((_, index) => {
      const own = index === 0 ? sequence : sequences.fork(sequence)
      const grammar = options.grammar === undefined ? undefined : backend.createGrammar(options.grammar)
      const seed = (options.sampling.seed + Math.imul(index, 0x9e3779b9)) >>> 0
      const sampler = createSampler({ ...options.sampling, seed }, request.prompt, grammar)
      return {
        index,
        sequence: own,
        sampler,
        grammar,
        text: createTextStream(options.stop, options),
        next: 0,
        produced: 0,
        ended: false,
      }
    })
    for (const choice of request.choices) choose(request, choice, copies[choice.index] ?? scores)
  }

  function choose(request: Request, choice: Choice, scores: Float32Array): void {
    if (choice.ended) return
    let token: number | undefined
    try {
      token = choice.sampler.sample(scores)
    } catch (error) {
      fail(request, error)
      return
    }
    if (token === undefined || backend.isEnd(token)) {
      finish(request, choice, 'stop', true)
      return
    }
    choice.next = token
    choice.produced += 1
    const { text, stopped } = choice.text.add(backend.piece(token))
    if (text !== '') events.push({ type: 'text-delta', id: request.id, index: choice.index, text })
    if (stopped) finish(request, choice, 'stop', false)
    else if (choice.produced >= request.limit) finish(request, choice, 'length', true)
  }

  function finish(request: Request, choice: Choice, reason: FinishReason, withHeld: boolean): void {
    const text = withHeld ? choice.text.end() : ''
    if (text !== '') events.push({ type: 'text-delta', id: request.id, index: choice.index, text })
    events.push({ type: 'choice-end', id: request.id, index: choice.index, reason })
    close(choice)
    if (!request.choices.every(({ ended }) => ended)) return
    requests.delete(request.id)
    events.push(generationEnd(request, now()))
  }

  function evaluate(rows: readonly BatchRow[], exactly: boolean): boolean {
    while (!backend.evaluate(rows, exactly)) if (!sequences.evict()) return false
    return true
  }

  /** Memory is full and all of it in use: the youngest request ends early, as one does whose context window is full. */
  function preempt(request: Request | undefined): void {
    if (request === undefined) return
    if (request.choices.length > 0) {
      for (const choice of request.choices) if (!choice.ended) finish(request, choice, 'length', true)
      return
    }
    fail(request, new AppError('busy', 'The memory for running requests is full. Try again shortly, or raise CONTEXT_SIZE.'))
  }

  /** Ends one request; what the model itself cannot go on after ends all. */
  function fail({ id }: Request, error: unknown): void {
    if (!(error instanceof AppError)) throw error
    cancel(id)
    events.push({ type: 'generation-error', id, code: error.code, message: error.message })
  }

  return {
    start,
    cancel,
    busy: () => requests.size > 0,
    step() {
      steps += 1
      events = []
      const running = [...requests.values()].flatMap((request) =>
        request.choices.filter(({ ended }) => !ended).map((choice): Running => [request, choice]),
      )
      const pieces = nextPieces(running)
      if (running.length + pieces.length > 0) evaluateStep(running, pieces)
      return events
    },
  }
}

const isExact = ([request]: Running) => request.options.repeatable

function rowOf([, { next, sequence }]: Running): BatchRow {
  return { token: next, position: sequence.tokens.length, sequence: sequence.id, output: true }
}

function rowsOf({ sequence, from, tokens, isLast }: Piece): readonly BatchRow[] {
  return tokens.map((token, index) => {
    return { token, position: from + index, sequence: sequence.id, output: isLast && index === tokens.length - 1 }
  })
}

const isRunningExactly = ({ options, sequence }: Request) => options.repeatable && sequence !== undefined

const remaining = ({ prompt, sequence }: Request) => prompt.length - (sequence?.tokens.length ?? 0)

/** Whether each row of a batch is computed as it always is: in no tile, and a lone one only if it was accompanied. */
const repeats = (rows: number, exactly: boolean) => rows <= repeatableRows && (exactly || rows > 1)

function tooLong(promptTokens: number, contextSize: number): AppError {
  const expected = `The context window holds ${contextSize} tokens, and at least one is needed for the answer`
  return new AppError('context_length_exceeded', `The prompt has ${promptTokens} tokens. ${expected}.`)
}

function generationEnd({ id, prompt, cached, choices, ...times }: Request, endedAt: number): GenerationEvent {
  const completionTokens = choices.reduce((sum, { produced }) => sum + produced, 0)
  const generationMs = endedAt - times.firstTokenAt
  const later = completionTokens - choices.length
  return {
    type: 'generation-end',
    id,
    usage: { promptTokens: prompt.length, completionTokens, cachedPromptTokens: cached },
    timings: {
      promptMs: times.firstTokenAt - times.startedAt,
      firstTokenMs: times.firstTokenAt - times.arrivedAt,
      generationMs,
      tokensPerSecond: later > 0 && generationMs > 0 ? later / (generationMs / 1000) : 0,
    },
  }
}
