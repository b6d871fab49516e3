import { AppError } from '../../errors.ts'
import { detectChatFormat } from '../chat-format.ts'
import { tellTools } from '../chat-format-generic.ts'
import type { ChatModel } from '../chat-format-render.ts'
import type { ChatTemplateRenderer, PromptPart } from '../chat-template.ts'
import type { ChatMessage } from '../provider.ts'
import type { TrainingExample } from './example.ts'
import { createTurnRenderer, partsAfter, type TurnRenderer } from './example-turns.ts'

/** The tokenizer of the model that learns. */
export interface ExampleTokenizer {
  /** Part by part, as when the model answers; without a BOS of its own accord. */
  tokenize(parts: readonly PromptPart[]): readonly number[]
  /** What stands before each text; undefined where the model wants nothing there. */
  readonly bos: number | undefined
  /** What ends a text; undefined where the model has none. */
  readonly eos: number | undefined
  /** Whether the model ends its turn with this token. */
  isEndOfGeneration(token: number): boolean
}

/** A text as the model reads it. */
export type TokenRow = Readonly<{
  tokens: Int32Array
  /** The places, from 1 and ascending, of the tokens that are learned; each is predicted from all those before it. */
  places: Int32Array
}>

export type ExampleRows =
  | Readonly<{ type: 'rows'; rows: readonly TokenRow[]; weight: number }>
  | Readonly<{ type: 'pair'; chosen: TokenRow; rejected: TokenRow; weight: number }>
  /** `empty`: it holds nothing to learn. `refused`: the model's chat template does not write such a conversation. */
  | Readonly<{ type: 'left-out'; reason: LeftOutReason }>

export type LeftOutReason = 'too-long' | 'empty' | 'refused'

export interface ExampleReader {
  /** Throws `unavailable` when the model's chat template is broken. */
  read(example: TrainingExample): Promise<ExampleRows>
}

export type ExampleReaderParts = Readonly<{
  model: ChatModel
  tokenizer: ExampleTokenizer
  renderer: ChatTemplateRenderer
  /** In tokens: an example with a longer row is left out. */
  maxLength: number
}>

/**
 * Turns examples into token rows: what the model would have read when it was asked, then what it should have written up to the end of
 * its turn. Nothing else is learned; of plain texts all is.
 */
export function createExampleReader({ model, tokenizer, renderer, maxLength }: ExampleReaderParts): ExampleReader {
  const renderTurn = createTurnRenderer(model, renderer)
  const { takesTools } = detectChatFormat(model.chatTemplate)
  const builder = { tokenizer, renderTurn }
  const conversation = (messages: readonly ChatMessage[], learned?: readonly number[]) =>
    joinAnswers(takesTools ? messages : tellTools(messages, undefined), learnedAnswers(messages, learned))
  async function readExample(example: TrainingExample): Promise<ExampleRows> {
    const { weight = 1 } = example
    switch (example.type) {
      case 'text':
        return { type: 'rows', rows: textRows(example.text, tokenizer), weight }
      case 'chat':
        return {
          type: 'rows',
          rows: await chatRows(conversation(example.messages, example.learned), builder),
          weight,
        }
      case 'preference': {
        const { messages } = conversation(example.messages)
        const [chosen] = await answerRow(messages, example.chosen, builder)
        const [rejected] = await answerRow(messages, example.rejected, builder)
        return chosen === undefined || rejected === undefined
          ? { type: 'left-out', reason: 'empty' }
          : { type: 'pair', chosen, rejected, weight }
      }
    }
  }

  return {
    async read(example) {
      try {
        return leaveOut(await readExample(example), maxLength)
      } catch (error) {
        if (error instanceof AppError && error.code === 'invalid') return { type: 'left-out', reason: 'refused' }
        throw error
      }
    },
  }
}

/** What a row's tokens are predicted from, and they themselves, as `TokenBatch` and the scorer want them. */
export function targetsOf({ tokens, places }: TokenRow): { targetAt: Int32Array; targets: Int32Array } {
  return { targetAt: places.map((place) => place - 1), targets: places.map((place) => tokens[place] ?? 0) }
}

function leaveOut(read: ExampleRows, maxLength: number): ExampleRows {
  if (read.type === 'left-out') return read
  const rows = read.type === 'pair' ? [read.chosen, read.rejected] : read.rows
  if (rows.some(({ tokens }) => tokens.length > maxLength)) return { type: 'left-out', reason: 'too-long' }
  return rows.length === 0 ? { type: 'left-out', reason: 'empty' } : read
}

function textRows(text: string, tokenizer: ExampleTokenizer): readonly TokenRow[] {
  if (text.trim() === '') return []
  const row = createRow(tokenizer, [])
  row.add(tokenizer.tokenize([{ text, special: false }]), Number.POSITIVE_INFINITY)
  row.add(lastToken(tokenizer), 1)
  return row.finish()
}

type Builder = Readonly<{ tokenizer: ExampleTokenizer; renderTurn: TurnRenderer }>
/** One row for as long as each turn goes on from the one before as it was; another where a template changes earlier turns. */
async function chatRows({ messages, learned }: Conversation, { tokenizer, renderTurn }: Builder): Promise<readonly TokenRow[]> {
  const rows: TokenRow[] = []
  let open: { row: ReturnType<typeof createRow>; written: readonly PromptPart[] | undefined } | undefined
  const isLearned = learned.values()
  for (const [place, message] of messages.entries()) {
    if (message.role !== 'assistant') continue
    const { value: isWanted = true } = isLearned.next()
    // What stands first is no answer to anything.
    if (place === 0) continue
    const { prompt, answer, whole } = await renderTurn(messages.slice(0, place), message)
    const between = open?.written === undefined ? undefined : partsAfter(prompt, open.written)
    if (open === undefined || between === undefined) {
      rows.push(...(open?.row.finish() ?? []))
      open = { row: createRow(tokenizer, prompt), written: undefined }
    } else open.row.add(tokenizer.tokenize(between), 0)
    const ends = addAnswer(open.row, answer, { tokenizer, isLearned: isWanted && !isEmpty(message) })
    open.written = ends ? whole : undefined
  }
  return [...rows, ...(open?.row.finish() ?? [])]
}

async function answerRow(
  messages: readonly ChatMessage[],
  content: string,
  { tokenizer, renderTurn }: Builder,
): Promise<readonly TokenRow[]> {
  if (content.trim() === '') return []
  const { prompt, answer } = await renderTurn(messages, { role: 'assistant', content })
  const row = createRow(tokenizer, prompt)
  addAnswer(row, answer, { tokenizer, isLearned: true })
  return row.finish()
}

type AnswerOptions = Readonly<{ tokenizer: ExampleTokenizer; isLearned: boolean }>

/** False: the template lets the turn go on without an end, so one was added that it does not write. */
function addAnswer(row: ReturnType<typeof createRow>, answer: readonly PromptPart[], { tokenizer, isLearned }: AnswerOptions) {
  const tokens = tokenizer.tokenize(answer)
  const end = tokens.findIndex((token) => tokenizer.isEndOfGeneration(token))
  if (end >= 0) row.add(tokens, isLearned ? end + 1 : 0)
  else row.add([...tokens, ...lastToken(tokenizer)], isLearned ? tokens.length + 1 : 0)
  return end >= 0
}

const lastToken = ({ eos }: ExampleTokenizer) => (eos === undefined ? [] : [eos])

function createRow(tokenizer: ExampleTokenizer, prompt: readonly PromptPart[]) {
  const { bos } = tokenizer
  const begun = tokenizer.tokenize(prompt)
  const tokens = bos === undefined || begun[0] === bos ? [...begun] : [bos, ...begun]
  const places: number[] = []
  return {
    /** `learned`: how many of them, from the first. */
    add(more: readonly number[], learned: number): void {
      for (const [index, token] of more.entries()) {
        // The very first token of a row is predicted from nothing.
        if (index < learned && tokens.length > 0) places.push(tokens.length)
        tokens.push(token)
      }
    },
    /** None when there is nothing to learn. What stands after the last learned token is of no use. */
    finish(): readonly TokenRow[] {
      const last = places.at(-1)
      return last === undefined ? [] : [{ tokens: Int32Array.from(tokens.slice(0, last + 1)), places: Int32Array.from(places) }]
    },
  }
}

type AssistantMessage = Extract<ChatMessage, { role: 'assistant' }>
const hasCalls = ({ toolCalls }: AssistantMessage) => toolCalls !== undefined && toolCalls.length > 0
const isEmpty = (message: AssistantMessage) => message.content.trim() === '' && !hasCalls(message)

type Conversation = Readonly<{
  messages: readonly ChatMessage[] /** Of each answer, in order: whether it is learned. */
  learned: readonly boolean[]
}>

/** Answers that follow each other are one; it is learned where all of it is. */
function joinAnswers(messages: readonly ChatMessage[], learned: readonly boolean[]): Conversation {
  const joined: ChatMessage[] = []
  const joinedLearned: boolean[] = []
  const ofAnswers = learned.values()
  for (const message of messages) {
    const last = joined.at(-1)
    if (message.role !== 'assistant') {
      joined.push(message)
      continue
    }
    const { value: isLearned = true } = ofAnswers.next()
    if (last?.role === 'assistant' && !hasCalls(last) && !hasCalls(message)) {
      joined.splice(-1, 1, { ...last, content: [last.content, message.content].filter((text) => text !== '').join('\n\n') })
      joinedLearned.push(joinedLearned.pop() === true && isLearned)
    } else {
      joined.push(message)
      joinedLearned.push(isLearned)
    }
  }
  return { messages: joined, learned: joinedLearned }
}

/** Of each message of the assistant, in order. */
function learnedAnswers(messages: readonly ChatMessage[], learned: readonly number[] | undefined): readonly boolean[] {
  return messages.flatMap(({ role }, place) => (role === 'assistant' ? [learned?.includes(place) ?? true] : []))
}
