import { randomInt } from 'node:crypto'
import { AppError } from '../../errors.ts'
import { grammarOf } from '../answer-format.ts'
import type { AnswerReader } from '../chat-format-reader.ts'
import type { AnswerFormat, ChatPrompt, GenerateEvent, GenerateRequest, Prompt } from '../provider.ts'
import type { Engine } from './engine-process.ts'
import { createEventQueue } from './event-queue.ts'
import type { AdapterFile, GenerationEvent, LoadedModel, StartOptions } from './protocol.ts'
import { unlessAborted } from './unless-aborted.ts'

/** `stop`: texts that end the answer, for models that do not say themselves when their turn is over. */
export type RenderedChat = Pick<StartOptions, 'prompt' | 'stop' | 'dropsFirstSpace'> &
  Readonly<{
    /** What the answer is kept to; absent: to the format that the request asks for. */
    grammar?: string
    /** The answer is free until it holds this text; then the grammar holds. */
    grammarAfter?: string
    /** Whether it does so each time again, and the answer is free in between. */
    grammarRepeats?: boolean
    /** Whether the answer cannot end before that text has come. */
    grammarRequired?: boolean
    /** Control tokens whose text is part of the answer. */
    shownTokens?: readonly string[]
    /** Reads the text of one choice; absent: all of it is the answer's. */
    createReader?: () => AnswerReader
  }>

export type AnswerParts = Readonly<{
  engine: Engine
  request: GenerateRequest
  adapter: AdapterFile | undefined
  /** Turns a conversation into the prompt of the model at hand. */
  renderChat(model: LoadedModel, prompt: ChatPrompt, format?: AnswerFormat): Promise<RenderedChat>
  /** When the request arrived, by `clock`. */
  arrivedAt: number
  /** Milliseconds. */
  clock(): number
  /** Called when the engine is done with the request: its place is for others then. `whole`: the answer came to its end. */
  leave(whole: boolean): void
}>

/** Has an engine answer one request. Leaving the loop early frees the engine. Throws what the engine says, `aborted`. */
export async function* answerRequest(parts: AnswerParts, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
  const { engine, adapter } = parts
  if (adapter !== undefined) await unlessAborted(engine.loadAdapter(adapter), signal)
  const { createReader, ...options } = await unlessAborted(startOptions(parts), signal)
  const queueMs = parts.clock() - parts.arrivedAt
  const events = createEventQueue<GenerationEvent>(signal)
  const generation = engine.start({ ...options, adapter: adapter?.identity }, (event) => {
    events.push(event)
    // Not when it is read: a slow reader must not keep others from the engine.
    if (event.type === 'generation-end' || event.type === 'generation-error') parts.leave(event.type === 'generation-end')
  })
  try {
    const read = createReader === undefined ? undefined : readAnswers(createReader)
    for await (const event of events) {
      const seen = translate(event, queueMs)
      yield* read?.(seen) ?? [seen]
      if (seen.type === 'generation-end') return
    }
  } finally {
    generation.cancel()
  }
}

/** The prompt as the model at hand reads it. */
export async function renderPrompt(
  model: LoadedModel,
  prompt: Prompt,
  renderChat: AnswerParts['renderChat'],
  format?: AnswerFormat,
): Promise<RenderedChat> {
  return prompt.type === 'chat' ? renderChat(model, prompt, format) : textPrompt(prompt.text)
}

async function startOptions({ engine, request, renderChat }: AnswerParts) {
  const { prompt, sampling, maxTokens, choices, stop, format } = request
  const rendered = await renderPrompt(engine.model, prompt, renderChat, format)
  return {
    ...rendered,
    stop: [...stop, ...rendered.stop],
    sampling: { ...sampling, seed: sampling.seed ?? randomInt(2 ** 32) },
    repeatable: sampling.seed !== undefined || sampling.temperature === 0,
    maxTokens,
    choices,
    grammar: rendered.grammar ?? (format === undefined ? undefined : grammarOf(format)),
  }
}

/** Has the text of each choice read by a reader of its own. */
function readAnswers(createReader: () => AnswerReader): (event: GenerateEvent) => readonly GenerateEvent[] {
  const readers = new Map<number, AnswerReader>()
  return (event) => {
    if (event.type !== 'text-delta' && event.type !== 'choice-end') return [event]
    const { index } = event
    const reader = readers.get(index) ?? createReader()
    readers.set(index, reader)
    if (event.type === 'text-delta') return reader.add(event.text, event.tokens).map((part) => ({ ...part, index }))
    const rest = reader.end().map((part) => ({ ...part, index }))
    return [...rest, reader.called && event.reason === 'stop' ? { ...event, reason: 'tool-calls' } : event]
  }
}

function textPrompt(text: string): RenderedChat {
  return { prompt: [{ text, special: false }], stop: [], dropsFirstSpace: false }
}

function translate(event: GenerationEvent, queueMs: number): GenerateEvent {
  switch (event.type) {
    case 'text-delta':
      return { type: 'text-delta', index: event.index, text: event.text }
    case 'choice-end':
      return { type: 'choice-end', index: event.index, reason: event.reason }
    case 'generation-end': {
      const { timings, usage } = event
      const firstTokenMs = timings.firstTokenMs + queueMs
      return { type: 'generation-end', usage, timings: { ...timings, queueMs: firstTokenMs - timings.promptMs, firstTokenMs } }
    }
    case 'generation-error':
      throw new AppError(event.code, event.message)
  }
}
