import { randomInt } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { AnswerReader } from '../chat-format-reader.ts'
import type { AnswerFormat, ChatPrompt, GenerateEvent, GenerateRequest, Prompt } from '../provider.ts'
import type { Engine } from './engine-process.ts'
import { createEventQueue } from './event-queue.ts'
import type { AdapterFile, GenerationEvent, LoadedModel, StartOptions } from './protocol.ts'
import { unlessAborted } from './unless-aborted.ts'

/** `stop`: texts that end the answer, for models that do not say themselves when their turn is over. */
export type RenderedChat = Pick<StartOptions, 'prompt' | 'stop' | 'dropsFirstSpace'> &
  /** A grammar of its own comes before that of the request's format; the rest says how whichever there is holds. */
  Partial<Pick<StartOptions, 'grammar' | 'grammarAfter' | 'grammarRepeats' | 'grammarRequired' | 'shownTokens'>> &
  Readonly<{
    /** Reads the text of one choice; absent: all of it is the answer's. */
    createReader?: () => AnswerReader
  }>

export type AnswerParts = Readonly<{
  engine: Engine
  request: GenerateRequest
  adapter: AdapterFile | undefined
  /** Of the answers that have the request's format; undefined: free text. */
  grammar: string | undefined
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
      const seen = translate(event, queueMs, parts.request.stop)
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

async function startOptions({ engine, request, grammar, renderChat }: AnswerParts) {
  const { prompt, sampling, maxTokens, choices, stop, logprobs, format } = request
  const rendered = await renderPrompt(engine.model, prompt, renderChat, format)
  return {
    ...rendered,
    stop: [...stop, ...rendered.stop],
    sampling: { ...sampling, seed: sampling.seed ?? randomInt(2 ** 32) },
    repeatable: sampling.seed !== undefined || sampling.temperature === 0,
    maxTokens,
    choices,
    grammar: rendered.grammar ?? grammar,
    ...(logprobs === undefined ? {} : { logprobs }),
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

function translate(event: GenerationEvent, queueMs: number, stop: readonly string[]): GenerateEvent {
  switch (event.type) {
    case 'text-delta': {
      const { type, index, text, tokens } = event
      return { type, index, text, ...(tokens === undefined ? {} : { tokens }) }
    }
    case 'choice-end': {
      const { type, index, reason, stopText } = event
      // The stop texts of a chat format are nothing that the caller knows.
      return { type, index, reason, ...(stopText === undefined || !stop.includes(stopText) ? {} : { stopText }) }
    }
    case 'generation-end': {
      const { timings, usage } = event
      const firstTokenMs = timings.firstTokenMs + queueMs
      return { type: 'generation-end', usage, timings: { ...timings, queueMs: firstTokenMs - timings.promptMs, firstTokenMs } }
    }
    case 'generation-error':
      throw new AppError(event.code, event.message)
  }
}
