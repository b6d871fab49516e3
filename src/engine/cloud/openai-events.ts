import { randomUUID } from 'node:crypto'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { FinishReason, TokenLogprob, TokenScore, Usage } from '../provider.ts'
import { brokeOff, nonsense } from './cloud-failure.ts'
import type { WireEvent } from './wire.ts'

const text = Type.Optional(Type.Union([Type.String(), Type.Null()]))
const count = Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]))
const orNull = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))

const bytes = orNull(Type.Array(Type.Integer({ minimum: 0, maximum: 255 })))
const score = Type.Object({ token: Type.String(), logprob: Type.Number(), bytes })
const tokenInside = Type.Object({ token: Type.String(), logprob: Type.Number(), bytes, top_logprobs: orNull(Type.Array(score)) })

const callInside = Type.Object({
  index: count,
  id: text,
  function: orNull(Type.Object({ name: text, arguments: text })),
})
const choiceInside = Type.Object({
  index: Type.Optional(Type.Integer({ minimum: 0 })),
  finish_reason: text,
  /** vLLM: the stop text that was met. */
  stop_reason: Type.Optional(Type.Unknown()),
  logprobs: orNull(Type.Object({ content: orNull(Type.Array(tokenInside)) })),
  delta: orNull(
    Type.Object({
      content: text,
      refusal: text,
      /** DeepSeek, llama-server and vLLM use the first name, Ollama and OpenRouter the second. */
      reasoning_content: text,
      reasoning: text,
      tool_calls: orNull(Type.Array(callInside)),
    }),
  ),
})
const usageInside = Type.Object({
  prompt_tokens: count,
  completion_tokens: count,
  prompt_tokens_details: orNull(Type.Object({ cached_tokens: count })),
  completion_tokens_details: orNull(Type.Object({ reasoning_tokens: count })),
})
/** All that is read of a chunk; servers may add fields. */
const chunkInside = Type.Object({ choices: orNull(Type.Array(choiceInside)), usage: orNull(usageInside) })

type OpenCall = { key: number; id: string; hasText: boolean }

type Choice = {
  calls: OpenCall[]
  wasRefused: boolean
  isEnded: boolean
}

type ReadOptions = Readonly<{ provider: string; choices: number; stop: readonly string[]; wantsLogprobs: boolean }>

/** Reads the answers of one chat completion. Throws `upstream` where they make no sense, or break off. */
export async function* readOpenaiEvents(chunks: AsyncIterable<unknown>, options: ReadOptions): AsyncGenerator<WireEvent> {
  const { provider } = options
  const choices = Array.from({ length: options.choices }, (): Choice => ({ calls: [], wasRefused: false, isEnded: false }))
  let usage: Static<typeof usageInside> = {}
  for await (const chunk of chunks) {
    if (!Value.Check(chunkInside, chunk)) throw nonsense(provider, 'an event that is none of its API')
    usage = chunk.usage ?? usage
    for (const piece of chunk.choices ?? []) {
      const index = piece.index ?? 0
      const choice = choices[index]
      if (choice === undefined) throw nonsense(provider, 'more answers than were asked for')
      if (!choice.isEnded) yield* readPiece(options, choice, { ...piece, index })
    }
  }
  if (choices.some(({ isEnded }) => !isEnded)) throw brokeOff(provider)
  yield { type: 'usage', usage: toUsage(usage) }
}

type Piece = Static<typeof choiceInside> & Readonly<{ index: number }>

function* readPiece(options: ReadOptions, choice: Choice, piece: Piece): Generator<WireEvent> {
  const { provider, stop } = options
  const { index, delta, finish_reason: reason } = piece
  const thought = delta?.reasoning_content || delta?.reasoning
  if (thought) yield { type: 'reasoning-delta', index, text: thought }
  if (delta?.refusal) choice.wasRefused = true
  const written = `${delta?.content ?? ''}${delta?.refusal ?? ''}`
  const tokens = options.wantsLogprobs ? (piece.logprobs?.content ?? []).map(toToken) : []
  if (written !== '' || tokens.length > 0) {
    yield { type: 'text-delta', index, text: written, ...(options.wantsLogprobs ? { tokens } : {}) }
  }
  for (const call of delta?.tool_calls ?? []) yield* readCall(provider, choice, index, call)
  if (!reason) return
  yield* finishCall(choice, index)
  choice.isEnded = true
  const stopText = stop.find((text) => text === piece.stop_reason)
  yield { type: 'choice-end', index, reason: toReason(provider, reason, choice), ...(stopText === undefined ? {} : { stopText }) }
}

function* readCall(provider: string, choice: Choice, index: number, piece: Static<typeof callInside>): Generator<WireEvent> {
  const last = choice.calls.at(-1)
  // Some servers number no calls, or all of them alike: then a new id begins a new one.
  const key = piece.index ?? last?.key ?? 0
  const isSame = last !== undefined && last.key === key && (!piece.id || piece.id === last.id)
  if (!isSame) {
    const name = piece.function?.name
    if (!name || choice.calls.some((call) => call.key === key && !piece.id)) {
      throw nonsense(provider, 'the call of a tool without its name, or with the pieces of several mixed')
    }
    yield* finishCall(choice, index)
    const id = piece.id || `call_${randomUUID().replaceAll('-', '')}`
    yield { type: 'tool-call-start', index, call: choice.calls.length, id, name }
    choice.calls.push({ key, id, hasText: false })
  }
  const written = piece.function?.arguments
  const open = choice.calls.at(-1)
  if (!written || open === undefined) return
  open.hasText = true
  yield { type: 'tool-call-delta', index, call: choice.calls.length - 1, text: written }
}

/** A call without arguments has an empty object of them. */
function* finishCall(choice: Choice, index: number): Generator<WireEvent> {
  const last = choice.calls.at(-1)
  if (last === undefined || last.hasText) return
  last.hasText = true
  yield { type: 'tool-call-delta', index, call: choice.calls.length - 1, text: '{}' }
}

function toReason(provider: string, reason: string, choice: Choice): FinishReason {
  switch (reason) {
    case 'stop':
      if (choice.wasRefused) return 'content-filter'
      // OpenAI says so, too, where the caller had named the tool.
      return choice.calls.length > 0 ? 'tool-calls' : 'stop'
    case 'tool_calls':
    case 'function_call':
      return 'tool-calls'
    case 'length':
      return 'length'
    case 'content_filter':
      return 'content-filter'
    default:
      throw nonsense(provider, `the end "${reason.slice(0, 40)}", which is unknown`)
  }
}

function toToken(token: Static<typeof tokenInside>): TokenLogprob {
  return { ...toScore(token), top: (token.top_logprobs ?? []).map(toScore) }
}

function toScore({ token, logprob, bytes }: Static<typeof score>): TokenScore {
  return { text: token, bytes: bytes ?? [...Buffer.from(token)], logprob }
}

/** Undefined where there are no counts: none, half of them, or zeros as some servers write in their place. */
function toUsage(usage: Static<typeof usageInside>): Usage | undefined {
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage
  if (typeof promptTokens !== 'number' || typeof completionTokens !== 'number') return undefined
  if (promptTokens === 0 && completionTokens === 0) return undefined
  const reasoningTokens = usage.completion_tokens_details?.reasoning_tokens ?? undefined
  return {
    promptTokens,
    completionTokens,
    cachedPromptTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
  }
}
