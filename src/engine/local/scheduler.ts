import { AppError } from '../../errors.ts'
import { type ContextMemory, createWorkCounter, type EngineWork } from '../engine-work.ts'
import { type Answer, type Chosen, createAnswer } from './answer.ts'
import type { Backend, BatchRow } from './backend.ts'
import { commonLength } from './common-length.ts'
import type { GenerationEvent, StartOptions } from './protocol.ts'
import {
  adapterOf,
  generationEnd,
  isExact,
  isRunningExactly,
  none,
  type Piece,
  type Request,
  type Running,
  remaining,
  repeats,
  rowsOfAnswer,
  rowsOfPiece,
  tooLong,
  withoutDraft,
} from './scheduled-request.ts'
import { createSequences, repeatableRows, type Sequence } from './sequences.ts'
import { planDrafts } from './speculation.ts'

/** Rows of a step in which answers go on beside prompts, at least: what answers wait for between two tokens. */
const sharedRows = 64
/** And for each who waits, for the first token or for the next one: the more they are, the more it costs to read prompts piecemeal. */
const rowsForEach = 32
/** A prompt waits for another one that begins alike if so many more tokens of it can be shared. */
const worthWaiting = 64
/** Room kept for an answer when its request starts. A longer one goes on as long as there is room. */
const answerRoom = 512
const nothing: Chosen = { text: '', tokens: [], reason: undefined, stopText: undefined }
/** How an answer ends for which there is no more memory. */
const full = { reason: 'length', stopText: undefined } as const
/** Every so many steps the oldest prompt goes on, even if a shorter one waits. */
const oldestFirstEvery = 3
/** So many events are delivered at once: who sends them on works while the next tokens are chosen, when a core has nothing to do. */
const portion = 4
/** An answer that has just begun waits so many milliseconds at most for prompts that came before it: see `waitsForOthers`. */
const togetherMs = 2000

export interface Scheduler {
  /** Throws `context_length_exceeded` when the prompt does not fit, `invalid` when the grammar does not parse. */
  start(id: number, options: StartOptions): void
  cancel(id: number): void
  /** Whether there is anything to do. */
  busy(): boolean
  /** Whether all that there is to do is to write: no prompt is to be read first. */
  onlyWrites(): boolean
  /** One step: a token for each answer, and pieces of the prompts that are still to be read. Returns what it brought. */
  step(): readonly GenerationEvent[]
  /** What it has done, and how full its memory is now. */
  report(): Readonly<{ work: EngineWork; memory: ContextMemory }>
}

export type SchedulerOptions = Readonly<{
  /** Milliseconds. */
  now: () => number
  /** Whether answers that repeat a passage are drafted from it. The text is the same. */
  speculates: boolean
  /** Takes what a step has brought so far, a few events at a time, while it goes on; left out: the step returns everything. */
  deliver?: (events: readonly GenerationEvent[]) => void
}>

/**
 * Continuous batching: each step evaluates one batch, with a token of every answer under way and pieces of prompts. The longer the
 * prompts' part, the longer the answers wait for their next token; it grows with the number of those who wait for their first.
 * A row's rounding depends on how many rows its batch has (see `repeatableRows`), so beside a request that must repeat it stays
 * small.
 */
export function createScheduler(backend: Backend, { now, speculates, deliver }: SchedulerOptions): Scheduler {
  const requests = new Map<number, Request>()
  const sequences = createSequences(backend, () => ![...requests.values()].some(isRunningExactly))
  const work = createWorkCounter()
  let events: GenerationEvent[] = []
  let steps = 0
  let lastAdapter = none
  /** An answer waits for room that is taken. */
  let isFull = false

  function start(id: number, options: StartOptions): void {
    const prompt = backend.tokenize(options.prompt)
    if (prompt.length === 0) throw new AppError('invalid', 'The prompt is empty: the model needs one token to begin with.')
    if (prompt.length >= backend.contextSize) throw tooLong(prompt.length, backend.contextSize)
    if (options.grammar !== undefined) backend.createGrammar(options.grammar).close()
    const limit = Math.min(options.maxTokens ?? Number.POSITIVE_INFINITY, backend.contextSize - prompt.length)
    const times = { arrivedAt: now(), startedAt: 0, firstTokenAt: 0 }
    requests.set(id, { id, options, prompt, limit, sequence: undefined, answers: [], cached: 0, ...times })
  }

  function cancel(id: number): void {
    const request = requests.get(id)
    if (request === undefined) return
    requests.delete(id)
    if (request.answers.length === 0 && request.sequence !== undefined) sequences.release(request.sequence)
    for (const answer of request.answers) {
      if (answer.ended) continue
      answer.end()
      sequences.release(answer.sequence)
    }
  }

  function admit(request: Request): boolean {
    if (isAboutToShare(request)) return false
    const { prompt, limit, options } = request
    const room = Math.min(limit, answerRoom)
    const { adapter, choices, repeatable: exactly } = options
    const sequence = sequences.take({ prompt, adapter, limit, room, choices, exactly })
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
      return (
        shared &&
        options.adapter === request.options.adapter &&
        commonLength(prompt, request.prompt) >= (sequence?.tokens.length ?? 0) + worthWaiting
      )
    })
  }

  const prefilling = () =>
    [...requests.values()].filter(({ sequence, answers }) => sequence !== undefined && answers.length === 0)

  /** A batch is computed with one adapter: gives the one whose turn it is, among those of the requests that can go on. */
  function takeTurn(able: readonly Request[]): string {
    const wanted = [...new Set(able.map(adapterOf))].sort()
    const next = wanted.find((adapter) => adapter > lastAdapter) ?? wanted[0] ?? lastAdapter
    if (next !== lastAdapter) backend.useAdapter(next === none ? undefined : next)
    lastAdapter = next
    return next
  }

  /**
   * Whether an answer of one token lets prompts go first that came before that token. A step costs much however few answers it goes
   * on with, so of requests that come at the same time all are done sooner when their answers go on together.
   */
  function waitsForOthers({ request, answer }: Running, open: readonly Request[]): boolean {
    const { firstTokenAt } = request
    if (answer.produced > 1 || now() - firstTokenAt >= togetherMs) return false
    return open.some(({ arrivedAt }) => arrivedAt < firstTokenAt)
  }

  /** What is read of prompts in this step, beside a token for each answer. */
  function nextPieces(open: readonly Request[], running: readonly Running[]): readonly Piece[] {
    const [oldest, ...others] = open
    if (oldest === undefined) return []
    const byLength = (list: readonly Request[]) => list.toSorted((a, b) => remaining(a) - remaining(b))
    const order = steps % oldestFirstEvery === 0 ? [oldest, ...byLength(others)] : byLength(open)
    const exactly = running.some(isExact) || order[0]?.options.repeatable === true
    const shared = Math.max(sharedRows, rowsForEach * requests.size)
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

  /** Drafts for answers that repeat a passage, where they make them faster. */
  function withDrafts(running: readonly Running[]): readonly Running[] {
    const chances = running.map(({ answer }) => answer.lookup.chance())
    const highest = Math.max(...chances)
    if (!speculates || highest <= 0) return running
    // What a draft has wrong is given back. At the end of memory, where a request must repeat: so it is the last one, and the only one.
    const only = running.some(isExact) ? chances.indexOf(highest) : undefined
    const candidates = running.map(({ request, answer }, index) => {
      const left = only === undefined || only === index ? request.limit - answer.produced - 1 : 0
      return { chance: chances[index] ?? 0, most: Math.min(left, answer.lookup.length()) }
    })
    const lengths = planDrafts(candidates, backend.mostOutputs, backend.stepCost)
    const drafted = running.map((one, index) => ({ ...one, draft: one.answer.lookup.guess(lengths[index] ?? 0) }))
    return drafted.toSorted((a, b) => a.draft.length - b.draft.length)
  }

  /** One batch: a token of each answer and its draft, then the pieces of prompts. */
  function evaluateStep(running: readonly Running[], pieces: readonly Piece[]): void {
    const rows = [...running.flatMap(rowsOfAnswer), ...pieces.flatMap(rowsOfPiece)]
    const exactly = running.some(isExact) || pieces.some(({ request }) => request.options.repeatable)
    const hasDrafts = running.some(({ draft }) => draft.length > 0)
    if (!(hasDrafts ? backend.evaluate(rows, exactly) : evaluate(rows, exactly))) {
      if (hasDrafts) evaluateStep(running.map(withoutDraft), pieces)
      else preempt(pieces.at(-1)?.request ?? running.at(-1)?.request)
      return
    }
    work.step(
      rows.length,
      running.reduce((sum, { draft }) => sum + draft.length, 0),
    )
    const repeated = repeats(rows.length, exactly)
    let row = 0
    for (const one of running) {
      advance(one, row, repeated)
      row += 1 + one.draft.length
      deliverPortion()
    }
    for (const { request, sequence, tokens, isLast } of pieces) {
      sequences.append(sequence, tokens, repeated)
      row += tokens.length
      if (isLast) openAnswers(request, sequence, backend.scores(row - 1))
    }
  }

  function deliverPortion(): void {
    if (deliver === undefined || events.length < portion) return
    deliver(events)
    events = []
  }

  /** Takes what the batch says of an answer from this row on, as far as its draft was right. */
  function advance({ request, answer, draft }: Running, firstRow: number, repeated: boolean): void {
    const { sequence } = answer
    let all: Chosen = nothing
    let failure: unknown
    let taken = 0
    for (; taken <= draft.length && !answer.ended; taken += 1) {
      if (taken > 0 && answer.next !== draft[taken - 1]) break
      sequences.append(sequence, [answer.next], repeated)
      try {
        const { text, tokens, ...end } = answer.choose(backend.scores(firstRow + taken))
        all = { text: all.text + text, tokens: all.tokens.length === 0 ? tokens : [...all.tokens, ...tokens], ...end }
      } catch (error) {
        failure = error
        break
      }
    }
    work.accepted(Math.max(0, taken - 1))
    // Only then: it goes through all cells.
    if (taken <= draft.length) backend.truncateSequence(sequence.id, sequence.tokens.length)
    if (failure !== undefined) fail(request, failure)
    else report(request, answer, all)
  }

  function openAnswers(request: Request, sequence: Sequence, scores: Float32Array): void {
    request.firstTokenAt = now()
    const { options, prompt, limit } = request
    // Copies, because choosing writes into the scores.
    const copies = Array.from({ length: options.choices }, (_, index) => (index === 0 ? scores : scores.slice()))
    request.answers = copies.map((_, index) => {
      const own = index === 0 ? sequence : sequences.fork(sequence)
      return createAnswer(backend, { options, prompt, index, sequence: own, limit })
    })
    for (const answer of request.answers) {
      if (answer.ended) continue
      try {
        report(request, answer, answer.choose(copies[answer.index] ?? scores))
      } catch (error) {
        fail(request, error)
      }
    }
  }

  function report(request: Request, answer: Answer, { text, tokens, reason, stopText }: Chosen): void {
    const from = { id: request.id, index: answer.index }
    if (text !== '' || tokens.length > 0) {
      events.push({ type: 'text-delta', ...from, text, ...(tokens.length === 0 ? {} : { tokens }) })
    }
    if (reason === undefined) return
    events.push({ type: 'choice-end', ...from, reason, ...(stopText === undefined ? {} : { stopText }) })
    sequences.release(answer.sequence)
    if (!request.answers.every(({ ended }) => ended)) return
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
    if (request.answers.length > 0) {
      for (const answer of request.answers) if (!answer.ended) report(request, answer, { ...answer.end(), ...full })
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
    onlyWrites: () => requests.size > 0 && [...requests.values()].every(({ answers }) => answers.length > 0),
    report: () => ({ work: work.read(), memory: sequences.memory() }),
    step() {
      steps += 1
      events = []
      // Who has outgrown its room comes before those who have none yet.
      if (!isFull) for (const request of requests.values()) if (request.sequence === undefined && !admit(request)) break
      const running = [...requests.values()].flatMap((request) =>
        request.answers.filter(({ ended }) => !ended).map((answer) => ({ request, answer, draft: [] })),
      )
      const growing = running.filter(({ answer }) => sequences.grow(answer.sequence))
      isFull = growing.length < running.length
      const open = prefilling()
      // Where nothing else goes on, the oldest does, and takes the room of what is unused.
      const able = growing.length + open.length > 0 ? growing : running.slice(0, 1)
      const adapter = takeTurn([...able.map(({ request }) => request), ...open])
      const isMine = (request: Request) => adapterOf(request) === adapter
      const prompts = open.filter(isMine)
      const mine = able.filter((one) => isMine(one.request) && !waitsForOthers(one, prompts))
      const pieces = nextPieces(prompts, mine)
      if (mine.length + pieces.length > 0) evaluateStep(pieces.length > 0 ? mine : withDrafts(mine), pieces)
      return events
    },
  }
}
