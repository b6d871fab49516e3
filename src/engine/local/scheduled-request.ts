import { AppError } from '../../errors.ts'
import type { Answer } from './answer.ts'
import type { BatchRow } from './backend.ts'
import type { GenerationEvent, StartOptions } from './protocol.ts'
import { missingToGroup } from './row-groups.ts'
import { repeatableRows, type Sequence } from './sequences.ts'

/** Stands for no adapter among their identities. */
export const none = ''

/** A request that the scheduler knows, from its start to the end of its last answer. */
export type Request = {
  readonly id: number
  readonly options: StartOptions
  readonly prompt: readonly number[]
  /** Tokens of each answer at most. */
  readonly limit: number
  readonly arrivedAt: number
  /** Undefined until there is room for it. */
  sequence: Sequence | undefined
  answers: Answer[]
  /** Tokens of the prompt that were in memory. */
  cached: number
  startedAt: number
  firstTokenAt: number
}

/** An answer under way, and how this step supposes that it goes on. */
export type Running = Readonly<{ request: Request; answer: Answer; draft: readonly number[] }>

/** The part of a prompt that one step reads. */
export type Piece = Readonly<{ request: Request; sequence: Sequence; from: number; tokens: readonly number[]; isLast: boolean }>

export const adapterOf = ({ options }: Request) => options.adapter ?? none

export const isExact = ({ request }: Running) => request.options.repeatable

export const withoutDraft = (running: Running): Running => ({ ...running, draft: [] })

export function rowsOfAnswer({ answer: { next, sequence }, draft }: Running): readonly BatchRow[] {
  const first = sequence.tokens.length
  return [next, ...draft].map((token, index) => ({ token, position: first + index, sequence: sequence.id, output: true }))
}

export function rowsOfPiece({ sequence, from, tokens, isLast }: Piece): readonly BatchRow[] {
  return tokens.map((token, index) => {
    return { token, position: from + index, sequence: sequence.id, output: isLast && index === tokens.length - 1 }
  })
}

export const isRunningExactly = ({ options, sequence }: Request) => options.repeatable && sequence !== undefined

export const remaining = ({ prompt, sequence }: Request) => prompt.length - (sequence?.tokens.length ?? 0)

/** Whether each row of a batch is computed as it always is: in no tile, and in whole groups, to which exact ones are filled up. */
export const repeats = (rows: number, exactly: boolean) => rows <= repeatableRows && (exactly || missingToGroup(rows) === 0)

export function tooLong(promptTokens: number, contextSize: number): AppError {
  const expected = `The context window holds ${contextSize} tokens, and at least one is needed for the answer`
  return new AppError('context_length_exceeded', `The prompt has ${promptTokens} tokens. ${expected}.`)
}

export function generationEnd({ id, prompt, cached, answers, ...times }: Request, endedAt: number): GenerationEvent {
  const completionTokens = answers.reduce((sum, { produced }) => sum + produced, 0)
  const generationMs = endedAt - times.firstTokenAt
  const later = completionTokens - answers.length
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
