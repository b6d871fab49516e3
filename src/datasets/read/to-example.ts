import type { ChatMessage } from '../../engine/provider.ts'
import type { TrainingExample } from '../../engine/train/example.ts'
import type { DatasetFormat } from '../kinds.ts'
import { chatExample } from './chat-example.ts'
import { type Fields, isObject, openFields, readFilled, readText } from './fields.ts'
import { isFilled, type ReadMessages, readMessages, usesTools } from './messages.ts'
import { preferenceExample } from './preference-example.ts'
import { Refused } from './refused.ts'

export type ReadExample = Readonly<{ format: DatasetFormat; example: TrainingExample; ignored: readonly string[] }>

/** Of a record, whatever its format, or only of the given one. Throws `Refused`. */
export function toExample(record: unknown, wanted: DatasetFormat | undefined): ReadExample {
  if (!isObject(record)) throw new Refused('wrong-shape', 'It is no JSON object.')
  const fields = openFields(record)
  const format = formatOf(fields, Object.keys(record))
  if (wanted !== undefined && wanted !== format)
    throw new Refused('wrong-shape', `It has the fields of the format "${format}", not of "${wanted}".`)
  if (isFilled(fields.take('tools')) || isFilled(fields.take('functions'))) throw usesTools('"tools"')
  const weight = readWeight(fields.take('weight'))
  const ignored = new Set<string>()
  const messagesOf = (value: unknown, field: string): ReadMessages => {
    const read = readMessages(value, field)
    for (const name of read.ignored) ignored.add(name)
    return read
  }
  const example = readers[format](fields, messagesOf)
  for (const name of fields.left()) ignored.add(name)
  return { format, example: weight === 1 ? example : { ...example, weight }, ignored: [...ignored] }
}

function formatOf({ has }: Fields, names: readonly string[]): DatasetFormat {
  const isPreference = ['chosen', 'rejected', 'preferred_output', 'non_preferred_output', 'rejected_response'].some(has)
  if (isPreference) return 'preference'
  if (has('messages')) return 'chat'
  if (has('conversations') || has('conversation')) return 'sharegpt'
  if (has('instruction') && (has('output') || has('response'))) return 'alpaca'
  if ((has('prompt') || has('question')) && answers.some(has)) return 'prompt-completion'
  if (has('text')) return 'text'
  const shown = names.slice(0, 8).map((name) => `"${name.slice(0, 40)}"`)
  throw new Refused('wrong-shape', `No format has its fields: ${shown.join(', ') || 'none'}.`)
}

/** What the answer to a prompt or question is called. */
const answers = ['completion', 'response', 'answer'] as const

export type MessagesOf = (value: unknown, field: string) => ReadMessages

const readers: Readonly<Record<DatasetFormat, (fields: Fields, messagesOf: MessagesOf) => TrainingExample>> = {
  chat: (fields, messagesOf) => withSystem(fields, messagesOf(fields.take('messages'), 'messages')),
  sharegpt(fields, messagesOf) {
    const field = fields.has('conversations') ? 'conversations' : 'conversation'
    return withSystem(fields, messagesOf(fields.take(field), field))
  },
  alpaca(fields) {
    const answer = fields.has('output') ? 'output' : 'response'
    const messages: ChatMessage[] = [
      ...readHistory(fields.take('history')),
      { role: 'user', content: readInstruction(fields) },
      { role: 'assistant', content: readFilled(fields.take(answer), answer) },
    ]
    return withSystem(fields, { messages, unlearned: [], ignored: [] })
  },
  'prompt-completion'(fields, messagesOf) {
    if (typeof fields.take('label') === 'boolean')
      throw new Refused('unpaired', '"label" says whether the answer is good; give two answers ("chosen", "rejected") instead.')
    const [answer = 'completion'] = answers.filter(fields.has)
    const before = readPrompt(fields, messagesOf)
    const given = fields.take(answer)
    const after: readonly ChatMessage[] =
      typeof given === 'string' ? [{ role: 'assistant', content: readFilled(given, answer) }] : messagesOf(given, answer).messages
    // Answers in the prompt are there to be read.
    const unlearned = before.flatMap(({ role }, place) => (role === 'assistant' ? [place] : []))
    return withSystem(fields, { messages: [...before, ...after], unlearned, ignored: [] })
  },
  preference(fields, messagesOf) {
    const prompt = fields.has('instruction') ? [{ role: 'user', content: readInstruction(fields) } as const] : undefined
    return preferenceExample(fields, messagesOf, prompt, (messages) => addSystem(fields, messages))
  },
  text: (fields) => ({ type: 'text', text: readFilled(fields.take('text'), 'text') }),
}

function readPrompt(fields: Fields, messagesOf: MessagesOf): readonly ChatMessage[] {
  const name = fields.has('prompt') ? 'prompt' : 'question'
  const given = fields.take(name)
  return typeof given === 'string' ? [{ role: 'user', content: readFilled(given, name) }] : messagesOf(given, name).messages
}

/** Alpaca's instruction with what it is about. */
function readInstruction(fields: Fields): string {
  const instruction = readFilled(fields.take('instruction'), 'instruction')
  const input = fields.takeText('input') ?? ''
  return input.trim() === '' ? instruction : `${instruction}\n${input}`
}

/** Earlier turns: pairs of a question and its answer. */
function readHistory(value: unknown): ChatMessage[] {
  if (!isFilled(value)) return []
  if (!Array.isArray(value)) throw new Refused('wrong-shape', '"history" must be a list of pairs of texts.')
  return value.flatMap((pair: unknown): ChatMessage[] => {
    if (!Array.isArray(pair) || pair.length !== 2) throw new Refused('wrong-shape', '"history" must be a list of pairs of texts.')
    return [
      { role: 'user', content: readFilled(pair[0], 'history') },
      { role: 'assistant', content: readFilled(pair[1], 'history') },
    ]
  })
}

/** A system prompt that stands beside the messages comes before them. */
function addSystem(fields: Fields, messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const system = fields.take('system')
  if (system === undefined) return messages
  const content = readText(system, 'system')
  return content.trim() === '' || messages[0]?.role === 'system' ? messages : [{ role: 'system', content }, ...messages]
}

function withSystem(fields: Fields, { messages, unlearned }: ReadMessages): TrainingExample {
  const all = addSystem(fields, messages)
  const moved = all.length - messages.length
  return chatExample(
    all,
    unlearned.map((place) => place + moved),
  )
}

function readWeight(value: unknown): number {
  if (value === undefined) return 1
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new Refused('wrong-shape', '"weight" must be a number that is not negative.')
  if (value === 0) throw new Refused('nothing-to-learn', 'Its weight is 0.')
  return value
}
