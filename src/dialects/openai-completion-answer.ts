import type { TokenLogprob } from '../engine/provider.ts'
import type { Completion } from '../predict/predict.ts'
import type { AnswerHead } from './openai-chat-answer.ts'
import type { WriteChoices } from './openai-chunks.ts'
import type { CompletionQuestions } from './openai-completion-request.ts'
import type { CompletionAnswer, OldLogprobs } from './openai-completion-schema.ts'
import { toWireLogprob } from './openai-logprobs.ts'
import { toFinishReason, toUsageBody } from './openai-usage.ts'

/** What stands before a choice: the prompt, where the request wants it repeated. */
function echoOf({ questions, echoes }: CompletionQuestions, index: number): string {
  const choices = questions[0]?.choices ?? 1
  return echoes[Math.floor(index / choices)] ?? ''
}

/** A whole answer, as completions have it. */
export function toCompletionAnswer(
  { choices, usage }: Completion,
  head: AnswerHead,
  asked: CompletionQuestions,
): CompletionAnswer {
  const wantsLogprobs = asked.questions[0]?.logprobs !== undefined
  return {
    ...head,
    object: 'text_completion',
    choices: choices.map(({ index, text, reason, tokens }) => ({
      index,
      text: `${echoOf(asked, index)}${text}`,
      logprobs: wantsLogprobs ? toOldLogprobs(tokens, 0) : null,
      finish_reason: toFinishReason(reason),
    })),
    usage: toUsageBody(usage),
  }
}

/** Writes the pieces of completions. */
export function createCompletionWriter(asked: CompletionQuestions): WriteChoices {
  const begun = new Set<number>()
  /** Characters of the tokens that each choice has had. */
  const offsets = new Map<number, number>()

  return (event) => {
    if (event.type !== 'text-delta' && event.type !== 'choice-end') return []
    const { index } = event
    const echo = begun.has(index) ? '' : echoOf(asked, index)
    begun.add(index)
    const first = echo === '' ? [] : [{ index, text: echo, logprobs: null, finish_reason: null }]
    if (event.type === 'choice-end')
      return [...first, { index, text: '', logprobs: null, finish_reason: toFinishReason(event.reason) }]
    const { text, tokens } = event
    const offset = offsets.get(index) ?? 0
    if (tokens !== undefined) offsets.set(index, offset + tokens.reduce((sum, token) => sum + charactersIn(token), 0))
    const logprobs = tokens === undefined ? null : toOldLogprobs(tokens, offset)
    return [...first, { index, text, logprobs, finish_reason: null }]
  }
}

function toOldLogprobs(tokens: readonly TokenLogprob[], start: number): OldLogprobs {
  const offsets: number[] = []
  let offset = start
  for (const token of tokens) {
    offsets.push(offset)
    offset += charactersIn(token)
  }
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => toWireLogprob(logprob)),
    top_logprobs: tokens.map(toTopLogprobs),
    text_offset: offsets,
  }
}

/** The likeliest tokens, and the one that was taken. Of two tokens with the same text the likelier one counts. */
function toTopLogprobs({ top, text, logprob }: TokenLogprob): Record<string, number> {
  const scores = [...top, { text, logprob }].toSorted((one, other) => one.logprob - other.logprob)
  return Object.fromEntries(scores.map((score) => [score.text, toWireLogprob(score.logprob)]))
}

/** Characters that begin in a token: a token may hold a part of one. */
function charactersIn({ bytes }: TokenLogprob): number {
  return bytes.filter((byte) => (byte & 0b1100_0000) !== 0b1000_0000).length
}
