import { isJsonObject } from '../engine/json-object.ts'
import type { FinishReason, GenerateEvent, Timings, TokenLogprob, TokenScore, ToolCall, Usage } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { formatLine } from '../http/ndjson.ts'
import type { Completion } from '../predict/predict.ts'
import type { AnsweredCall } from './ollama-schema.ts'

/** What one line holds of an answer, or one object of all of it. */
export type Piece = Readonly<{
  text: string
  thinking?: string
  calls?: readonly AnsweredCall[]
  tokens?: readonly TokenLogprob[]
}>

/** How one endpoint writes a piece. */
export type PieceFormat<Written> = (piece: Piece) => Written

export const chatPiece = ({ text, thinking, calls, tokens }: Piece) => ({
  message: { role: 'assistant' as const, content: text, ...toThought(thinking), ...toCalls(calls) },
  ...toLogprobs(tokens),
})

export const generatePiece = ({ text, thinking, calls, tokens }: Piece) => ({
  response: text,
  ...toThought(thinking),
  ...toCalls(calls),
  ...toLogprobs(tokens),
})

const toThought = (thinking = '') => (thinking === '' ? {} : { thinking })
const toCalls = (calls: readonly AnsweredCall[] = []) => (calls.length === 0 ? {} : { tool_calls: [...calls] })

function toLogprobs(tokens: readonly TokenLogprob[] = []) {
  if (tokens.length === 0) return {}
  const toScore = ({ text, logprob, bytes }: TokenScore) => ({ token: text, logprob, bytes: [...bytes] })
  const logprobs = tokens.map(({ top, ...score }) => ({
    ...toScore(score),
    ...(top.length === 0 ? {} : { top_logprobs: top.map(toScore) }),
  }))
  return { logprobs }
}

/** What all lines of an answer begin with, made anew for each. */
export type Head = Readonly<{ model: string; created_at: string; remote_model?: string; remote_host?: string }>

/** One answer, whole. Throws `upstream` where the model has called a tool with arguments that nobody can read. */
export function toWhole<Written extends object>(
  { choices, usage, timings }: Pick<Completion, 'choices' | 'usage' | 'timings'>,
  head: Head,
  format: PieceFormat<Written>,
) {
  const [choice] = choices
  if (choice === undefined) throw new AppError('internal', 'The engine gave no answer.')
  const { text, reasoning: thinking, tokens, reason } = choice
  const calls = choice.toolCalls.flatMap((call, index) =>
    readCall(call, index, reason === 'length' && index === choice.toolCalls.length - 1),
  )
  return { ...head, ...format({ text, thinking, calls, tokens }), ...toEnd(reason, usage, timings) }
}

/** An answer line by line, as it is written; a call of a tool is one line, when it is whole. The last line has `done: true`. */
export async function* toLines(
  events: AsyncIterable<GenerateEvent>,
  { id, head }: Readonly<{ id: string; head: () => Head }>,
  format: PieceFormat<object>,
): AsyncGenerator<string> {
  const line = (piece: Piece, end: object = { done: false }) => formatLine({ ...head(), ...format(piece), ...end })
  let reason: FinishReason = 'stop'
  let open: (ToolCall & { readonly index: number }) | undefined
  function* closeCall(mayBeCut: boolean): Generator<string> {
    const calls = open === undefined ? [] : readCall(open, open.index, mayBeCut)
    open = undefined
    if (calls.length > 0) yield line({ text: '', calls })
  }
  for await (const event of events) {
    switch (event.type) {
      case 'text-delta':
        if (event.text !== '' || event.tokens !== undefined) yield line(event)
        break
      case 'reasoning-delta':
        if (event.text !== '') yield line({ text: '', thinking: event.text })
        break
      case 'tool-call-start':
        yield* closeCall(false)
        open = { index: event.call, id: event.id, name: event.name, arguments: '' }
        break
      case 'tool-call-delta':
        if (open !== undefined) open = { ...open, arguments: open.arguments + event.text }
        break
      case 'choice-end':
        reason = event.reason
        yield* closeCall(reason === 'length')
        break
      case 'generation-end':
        yield line({ text: '' }, { ...toEnd(reason, event.usage, event.timings), prediction_id: id })
    }
  }
}

/** Ollama's arguments are an object. Of an answer that was cut, the call that it was cut in is none. */
function readCall({ id, name, arguments: text }: ToolCall, index: number, mayBeCut: boolean): readonly AnsweredCall[] {
  const read = readArguments(text)
  if (read !== undefined) return [{ id, function: { index, name, arguments: read } }]
  if (mayBeCut) return []
  throw new AppError('upstream', `The model has called "${name}" with arguments that are no JSON object. Ask again.`)
}

function readArguments(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

// A call is no reason of its own in this dialect: clients look for tool_calls.
const doneReasons = { stop: 'stop', length: 'length', 'tool-calls': 'stop', 'content-filter': 'content_filter' } as const

function toEnd(reason: FinishReason, usage: Usage, timings: Timings) {
  const { queueMs, promptMs, firstTokenMs, generationMs } = timings
  return {
    done: true,
    done_reason: doneReasons[reason],
    total_duration: toNanoseconds(Math.max(firstTokenMs, queueMs + promptMs) + generationMs),
    // What the request waited for: the model, where it had to be loaded, and its turn.
    load_duration: toNanoseconds(queueMs),
    prompt_eval_count: usage.promptTokens,
    prompt_eval_duration: toNanoseconds(promptMs),
    eval_count: usage.completionTokens,
    eval_duration: toNanoseconds(generationMs),
  }
}

export const toNanoseconds = (milliseconds: number): number => Math.round(milliseconds * 1e6)
