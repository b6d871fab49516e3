import type { ChatMessage } from '../../engine/provider.ts'
import type { TrainingExample } from '../../engine/train/example.ts'
import { refuseWithoutQuestion } from './chat-example.ts'
import { type Fields, isObject, openFields, readFilled } from './fields.ts'
import { isFilled, usesTools } from './messages.ts'
import { Refused } from './refused.ts'
import type { MessagesOf } from './to-example.ts'

type Messages = readonly ChatMessage[]

/**
 * Two answers to one conversation, in any of the ways in which they are written: OpenAI's `input` with `preferred_output` and
 * `non_preferred_output`; TRL's `prompt`, `chosen` and `rejected`, as texts or messages, or with the prompt inside of both answers;
 * conversations with a better and a worse last answer. Throws `Refused`.
 */
export function preferenceExample(
  fields: Fields,
  messagesOf: MessagesOf,
  instruction: Messages | undefined,
  addSystem: (messages: Messages) => Messages,
): TrainingExample {
  const pair = readPair(fields, messagesOf, instruction)
  const messages = addSystem(pair.messages)
  refuseWithoutQuestion(messages)
  if (messages.at(-1)?.role !== 'user') throw new Refused('wrong-shape', 'What the two answers answer must end with the user.')
  if (pair.chosen === pair.rejected) throw new Refused('same-answers', 'The two answers are the same.')
  return { type: 'preference', messages, chosen: pair.chosen, rejected: pair.rejected }
}

type Pair = Readonly<{ messages: Messages; chosen: string; rejected: string }>

function readPair(fields: Fields, messagesOf: MessagesOf, instruction: Messages | undefined): Pair {
  if (fields.has('preferred_output') || fields.has('non_preferred_output')) return readOpenAiPair(fields, messagesOf)
  if (fields.has('rejected_response')) return readRejectedResponse(fields, messagesOf)
  const chosen = readAnswer(fields, 'chosen', messagesOf)
  const rejected = readAnswer(fields, 'rejected', messagesOf)
  const prompt = instruction ?? readPrompt(fields, messagesOf)
  const messages = chosen.before.length === 0 ? prompt : chosen.before
  if (messages === undefined) throw new Refused('wrong-shape', '"prompt" is missing: what do the two answers answer?')
  const isSame = JSON.stringify(chosen.before) === JSON.stringify(rejected.before)
  if (!isSame) throw new Refused('wrong-shape', '"chosen" and "rejected" must differ in their last message only.')
  const asked = prompt?.at(-1)?.content
  const isKept = asked === undefined || messages.some(({ content }) => content === asked)
  if (!isKept) throw new Refused('wrong-shape', '"prompt" is another one than that in "chosen".')
  return { messages, chosen: chosen.answer, rejected: rejected.answer }
}

/** Without one, the answers hold it. */
function readPrompt(fields: Fields, messagesOf: MessagesOf): Messages | undefined {
  for (const name of ['prompt', 'question'] as const) {
    const given = fields.take(name)
    if (given !== undefined)
      return typeof given === 'string' ? [{ role: 'user', content: readFilled(given, name) }] : messagesOf(given, name).messages
  }
  for (const name of ['conversations', 'messages'] as const)
    if (fields.has(name)) return messagesOf(fields.take(name), name).messages
  return undefined
}

function readAnswer(fields: Fields, name: string, messagesOf: MessagesOf): Readonly<{ before: Messages; answer: string }> {
  const given = fields.take(name)
  if (given === undefined) throw new Refused('wrong-shape', `"${name}" is missing.`)
  if (typeof given === 'string') return { before: [], answer: readFilled(given, name) }
  return splitLast(messagesOf(given, name).messages, name)
}

function splitLast(messages: Messages, name: string): Readonly<{ before: Messages; answer: string }> {
  const last = messages.at(-1)
  if (last?.role !== 'assistant') throw new Refused('wrong-shape', `"${name}" must end with an answer of the assistant.`)
  return { before: messages.slice(0, -1), answer: readFilled(last.content, name) }
}

function readOpenAiPair(fields: Fields, messagesOf: MessagesOf): Pair {
  const input = fields.take('input')
  if (!isObject(input)) throw new Refused('wrong-shape', '"input" must be an object with "messages".')
  const inner = openFields(input)
  if (isFilled(inner.take('tools'))) throw usesTools('"input.tools"')
  const { messages } = messagesOf(inner.take('messages') ?? [], 'input.messages')
  const chosen = splitLast(messagesOf(fields.take('preferred_output') ?? [], 'preferred_output').messages, 'preferred_output')
  const rejected = splitLast(
    messagesOf(fields.take('non_preferred_output') ?? [], 'non_preferred_output').messages,
    'non_preferred_output',
  )
  if (chosen.before.length > 0 || rejected.before.length > 0)
    throw new Refused('wrong-shape', '"preferred_output" and "non_preferred_output" must have one message each.')
  return { messages, chosen: chosen.answer, rejected: rejected.answer }
}

/** A conversation whose last answer is the better one, with a worse one beside it. */
function readRejectedResponse(fields: Fields, messagesOf: MessagesOf): Pair {
  const { before, answer } = splitLast(messagesOf(fields.take('messages') ?? [], 'messages').messages, 'messages')
  return { messages: before, chosen: answer, rejected: readFilled(fields.take('rejected_response'), 'rejected_response') }
}
