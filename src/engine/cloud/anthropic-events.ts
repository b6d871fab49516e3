import { Value } from 'typebox/value'
import { createTextStream } from '../local/text-stream.ts'
import type { FinishReason } from '../provider.ts'
import { addToBlock, beginBlock, endBlock, startReading, writeText } from './anthropic-blocks.ts'
import { type AnthropicEvent, type AnthropicUsage, addUsage, anthropicEvent, toUsage } from './anthropic-event.ts'
import { brokeOff, nonsense } from './cloud-failure.ts'
import type { WireEvent } from './wire.ts'

type ReadOptions = Readonly<{
  provider: string
  /** Whether the model was made to answer by the input of a tool. */
  forcesAnswer: boolean
  /** Texts that end the answer, and of which the API knows nothing. */
  ownStops: readonly string[]
}>

/** Reads one answer of the Messages API. Throws `upstream` where it makes no sense, or breaks off. */
export async function* readAnthropicEvents(events: AsyncIterable<unknown>, options: ReadOptions): AsyncGenerator<WireEvent> {
  if (options.ownStops.length === 0) yield* readAll(events, options)
  else yield* untilStop(readAll(events, options), options.ownStops)
}

async function* readAll(events: AsyncIterable<unknown>, { provider, forcesAnswer }: ReadOptions): AsyncGenerator<WireEvent> {
  const reading = startReading(provider, forcesAnswer)
  let end: WireEvent | undefined
  let counted: AnthropicUsage = {}
  for await (const event of events) {
    if (!Value.Check(anthropicEvent, event)) throw nonsense(provider, 'an event that is none of its API')
    const { type, content_block: content, delta } = event
    if (type === 'message_start') counted = addUsage(counted, event.message?.usage)
    if (type === 'content_block_start' && content !== undefined) yield* beginBlock(reading, content)
    if (type === 'content_block_delta' && delta !== undefined) yield* addToBlock(reading, delta)
    if (type === 'content_block_stop') yield* endBlock(reading)
    if (type === 'message_delta') {
      counted = addUsage(counted, event.usage)
      end = toEnd(event, provider, forcesAnswer) ?? end
    }
    if (type === 'message_stop' && end !== undefined) {
      yield end
      yield { type: 'usage', usage: toUsage(counted) }
      return
    }
  }
  throw brokeOff(provider)
}

function toEnd({ delta }: AnthropicEvent, provider: string, forcesAnswer: boolean): WireEvent | undefined {
  const told = delta?.stop_reason
  if (!told) return undefined
  const reason = toReason(told, forcesAnswer)
  if (reason === undefined) throw nonsense(provider, `the end "${told.slice(0, 40)}", which is unknown`)
  const stopText = delta?.stop_sequence ?? undefined
  return { type: 'choice-end', index: 0, reason, ...(stopText === undefined ? {} : { stopText }) }
}

function toReason(reason: string, forcesAnswer: boolean): FinishReason | undefined {
  switch (reason) {
    case 'end_turn':
    case 'stop_sequence':
      return 'stop'
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length'
    case 'tool_use':
      return forcesAnswer ? 'stop' : 'tool-calls'
    case 'refusal':
      return 'content-filter'
    default:
      return undefined
  }
}

/** Ends an answer where one of the texts begins. The rest of it is read, for the tokens that it costs, and not shown. */
async function* untilStop(events: AsyncIterable<WireEvent>, stops: readonly string[]): AsyncGenerator<WireEvent> {
  const text = createTextStream(stops)
  let hasStopped = false
  for await (const event of events) {
    if (event.type === 'usage') yield event
    else if (hasStopped) continue
    else if (event.type !== 'text-delta') {
      // What was held back, as the beginning of a stop text, is none.
      if (event.type !== 'reasoning-delta') yield* writeText(text.end().text)
      yield event
    } else {
      const { text: shown, stopText } = text.add(Buffer.from(event.text))
      yield* writeText(shown)
      if (stopText === undefined) continue
      hasStopped = true
      yield { type: 'choice-end', index: 0, reason: 'stop', stopText }
    }
  }
}
