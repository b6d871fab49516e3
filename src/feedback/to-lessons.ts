import { createHash } from 'node:crypto'
import type { ChatMessage, Prompt } from '../engine/provider.ts'
import type { Lesson } from './lessons.ts'

/** Feedback with the answer that it is on; prompt, choices and tags as they are stored, in JSON. */
export type RatedRow = Readonly<{
  id: string
  createdAt: string
  rating: 'up' | 'down' | null
  text: string | null
  correction: string | null
  tags: string
  userId: string | null
  /** Whose answer it is, where that is someone without an account; null: the user's. */
  ownerKey: string | null
  predictionId: string
  model: string
  prompt: string
  choices: string
  /** Of the answer over which this one was kept; null where there is none, or it is remembered no more. */
  rejectedChoices: string | null
}>

type Choice = Readonly<{ text: string; reason: string; toolCalls?: readonly unknown[] }>

/** What the feedback teaches: one lesson, or two that share `chosen`. Of several choices the first one is what was rated. */
export function toLessons(row: RatedRow): readonly Lesson[] {
  const { rating } = row
  const choice = firstOf(row.choices)
  if (rating === null || choice === undefined) return []
  const prompt: Prompt = JSON.parse(row.prompt)
  const { messages, begun } = toQuestion(prompt)
  const original = begun + choice.text
  const other = row.rejectedChoices === null ? undefined : firstOf(row.rejectedChoices)
  const lesson = {
    feedbackId: row.id,
    predictionId: row.predictionId,
    conversation: conversationOf(row.ownerKey ?? row.userId ?? '', messages),
    userId: row.userId,
    model: row.model,
    promptType: prompt.type,
    messages,
    rating,
    comment: row.text,
    tags: JSON.parse(row.tags),
    createdAt: row.createdAt,
  }
  const isCorrected = row.correction !== null && begun + row.correction !== original
  const lacks = lacksOf(prompt, [choice, ...(other === undefined ? [] : [other])], isCorrected)
  const chosen = isCorrected ? begun + row.correction : original
  // An answer that is not the liked one may still be worse than what was kept.
  const overs = [
    ...(isCorrected ? [original] : []),
    ...(other === undefined ? [] : [begun + other.text]).filter((text) => text !== chosen && !(isCorrected && text === original)),
  ]
  if (overs.length > 0) return overs.map((rejected) => ({ ...lesson, chosen, rejected, lacks }))
  return rating === 'up'
    ? [{ ...lesson, chosen, rejected: undefined, lacks }]
    : [{ ...lesson, chosen: undefined, rejected: original, lacks }]
}

function firstOf(choices: string): Choice | undefined {
  const [first]: readonly Choice[] = JSON.parse(choices)
  return first
}

/** The conversation up to the answer, and what the caller wrote of the answer: a last message of the assistant goes on. */
function toQuestion(prompt: Prompt): Readonly<{ messages: readonly ChatMessage[]; begun: string }> {
  if (prompt.type === 'text') return { messages: [{ role: 'user', content: prompt.text }], begun: '' }
  const last = prompt.messages.at(-1)
  const isBegun = last?.role === 'assistant' && (last.toolCalls ?? []).length === 0
  return isBegun ? { messages: prompt.messages.slice(0, -1), begun: last.content } : { messages: prompt.messages, begun: '' }
}

/** A conversation grows at its end: it is known by its owner and its beginning, up to the first thing that was asked. */
function conversationOf(owner: string, messages: readonly ChatMessage[]): string {
  const first = messages.findIndex(({ role }) => role === 'user')
  const beginning = messages.slice(0, first + 1).map(({ role, content }) => [role, content])
  return createHash('sha256')
    .update(JSON.stringify([owner, beginning]))
    .digest('hex')
}

function lacksOf(prompt: Prompt, answers: readonly Choice[], isCorrected: boolean): Lesson['lacks'] {
  const isWithTools =
    (prompt.type === 'chat' && ((prompt.tools?.tools.length ?? 0) > 0 || prompt.messages.some(({ role }) => role === 'tool'))) ||
    answers.some(({ toolCalls = [] }) => toolCalls.length > 0)
  const isWithImages =
    prompt.type === 'chat' && prompt.messages.some((message) => message.role === 'user' && (message.images ?? []).length > 0)
  const [rated] = answers
  const isCut = !isCorrected && rated !== undefined && ['length', 'stopped'].includes(rated.reason)
  return [
    ...(isWithTools ? (['tools'] as const) : []),
    ...(isWithImages ? (['images'] as const) : []),
    ...(isCut ? (['end'] as const) : []),
  ]
}
