import type { GenerateEvent, Usage } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { formatEvent } from '../http/event-stream.ts'
import { messageHead, textBlock, toolUseBlock, toStop, toUsageBody } from './anthropic-answer.ts'
import type { ContentBlock } from './anthropic-schema.ts'
import { signOmitted, thinkingBlock, toThinkingBlock } from './anthropic-thoughts.ts'

const format = (event: Readonly<{ type: string; [field: string]: unknown }>) => formatEvent(JSON.stringify(event), event.type)

/** What keeps a silent connection open. */
export const ping = format({ type: 'ping' })

export type StreamHead = Readonly<{
  id: string
  model: string
  /** Of the prompt, as far as it is known before the answer; the last event but one tells it exactly. */
  inputTokens: number
  /** Whether thinking blocks hold what was thought. */
  showsThinking: boolean
}>

/** The events of a generation as server-sent events of this dialect; the last is `message_stop`, where it came to its end. */
export async function* toMessageEvents(events: AsyncIterable<GenerateEvent>, head: StreamHead): AsyncGenerator<string> {
  const blocks = createBlocks(head.showsThinking)
  let stop = toStop('stop', undefined)
  yield start(head)
  for await (const event of events) {
    const frame = blocks.write(event)
    if (event.type === 'choice-end') stop = toStop(event.reason, event.stopText)
    if (event.type === 'generation-end') yield frame + end(stop, event.usage)
    else if (frame !== '') yield frame
  }
}

const unused: Usage = { promptTokens: 0, completionTokens: 0, cachedPromptTokens: 0 }

function start({ id, model, inputTokens }: StreamHead): string {
  const message = {
    ...messageHead(id, model),
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    usage: toUsageBody({ ...unused, promptTokens: inputTokens }),
  }
  return format({ type: 'message_start', message })
}

function end(stop: ReturnType<typeof toStop>, usage: Usage): string {
  const { service_tier: _tier, inference_geo: _geo, speed: _speed, cache_creation: _creation, ...counted } = toUsageBody(usage)
  const delta = { type: 'message_delta', delta: { ...stop, container: null }, usage: counted }
  return format(delta) + format({ type: 'message_stop' })
}

type Delta = Readonly<{ type: string } & Record<string, string>>

/** Writes blocks one after the other: each is closed before the next one begins. */
function createBlocks(showsThinking: boolean) {
  let index = -1
  let open: ContentBlock['type'] | undefined
  /** What was thought in the open block. */
  let thought = ''

  const delta = (piece: Delta) => format({ type: 'content_block_delta', index, delta: piece })

  function close(): string {
    if (open === undefined) return ''
    open = undefined
    thought = ''
    return format({ type: 'content_block_stop', index })
  }

  function begin(block: ContentBlock): string {
    const closed = close()
    index += 1
    open = block.type
    return closed + format({ type: 'content_block_start', index, content_block: block })
  }

  /** Goes on with the block of this kind, or begins it. */
  const inside = (block: ContentBlock) => (open === block.type ? '' : begin(block))

  function think(text: string, signature: string | undefined): string {
    if (text === '' && signature === undefined) return ''
    const whole = toThinkingBlock({ text, signature: signature ?? '' }, showsThinking)
    if (whole.type === 'redacted_thinking') return begin(whole) + close()
    const begun = inside(thinkingBlock('', ''))
    thought += text
    const shown = showsThinking && text !== '' ? delta({ type: 'thinking_delta', thinking: text }) : ''
    if (signature === undefined) return begun + shown
    // A signature ends its block: what is thought next has one of its own.
    const signed = showsThinking ? signature : signOmitted(thought, signature)
    return begun + shown + (signed === '' ? '' : delta({ type: 'signature_delta', signature: signed })) + close()
  }

  return {
    /** What an event gives to send; may be nothing. */
    write(event: GenerateEvent): string {
      switch (event.type) {
        case 'text-delta':
          return event.text === '' ? '' : inside(textBlock('')) + delta({ type: 'text_delta', text: event.text })
        case 'reasoning-delta':
          return think(event.text, event.signature)
        case 'tool-call-start':
          return begin(toolUseBlock(event.id, event.name, {}))
        case 'tool-call-delta':
          if (open !== 'tool_use') throw new AppError('internal', 'The engine went on with a call that had ended.')
          return event.text === '' ? '' : delta({ type: 'input_json_delta', partial_json: event.text })
        case 'choice-end':
        case 'generation-end':
          return close()
      }
    },
  }
}
