import { signHidden } from '../thoughts.ts'
import type { AnthropicBlock, AnthropicDelta } from './anthropic-event.ts'
import { answerTool } from './anthropic-request.ts'
import { nonsense } from './cloud-failure.ts'
import type { WireEvent } from './wire.ts'

type Block =
  | { type: 'thinking'; signature: string }
  | { type: 'redacted'; data: string }
  | { type: 'tool'; call: number; hasText: boolean; input: unknown }
  /** The input of the tool that stands for an answer in JSON. */
  | { type: 'answer'; hasText: boolean; input: unknown }
  | { type: 'other' }

/** Where one answer stands. Its blocks come one after the other. */
export type BlockReading = {
  readonly provider: string
  readonly forcesAnswer: boolean
  block: Block
  calls: number
}

export function startReading(provider: string, forcesAnswer: boolean): BlockReading {
  return { provider, forcesAnswer, block: { type: 'other' }, calls: 0 }
}

/** Throws `upstream` for the call of a tool that has no name. */
export function* beginBlock(reading: BlockReading, content: AnthropicBlock): Generator<WireEvent> {
  const { type, id, name, input } = content
  reading.block = { type: 'other' }
  if (type === 'text') yield* writeText(content.text ?? '')
  if (type === 'redacted_thinking') reading.block = { type: 'redacted', data: content.data ?? '' }
  if (type === 'thinking') {
    reading.block = { type, signature: content.signature ?? '' }
    yield* think(reading, content.thinking ?? '')
  }
  if (type !== 'tool_use') return
  if (reading.forcesAnswer && name === answerTool) {
    reading.block = { type: 'answer', hasText: false, input }
    return
  }
  if (!id || !name) throw nonsense(reading.provider, 'the call of a tool without its name')
  const call = reading.calls
  reading.calls += 1
  reading.block = { type: 'tool', call, hasText: false, input }
  yield { type: 'tool-call-start', index: 0, call, id, name }
}

export function* addToBlock(reading: BlockReading, delta: AnthropicDelta): Generator<WireEvent> {
  const { block } = reading
  if (delta.type === 'text_delta') yield* writeText(delta.text ?? '')
  if (delta.type === 'thinking_delta') yield* think(reading, delta.thinking ?? '')
  if (delta.type === 'input_json_delta') yield* writeInput(reading, delta.partial_json ?? '')
  if (delta.type === 'signature_delta' && block.type === 'thinking') block.signature = delta.signature ?? ''
}

export function* endBlock(reading: BlockReading): Generator<WireEvent> {
  const { block } = reading
  // Servers that do not write piece by piece give it whole, at the start.
  if ((block.type === 'tool' || block.type === 'answer') && !block.hasText) {
    yield* writeInput(reading, JSON.stringify(block.input ?? {}))
  }
  if (block.type === 'redacted') yield { type: 'reasoning-delta', index: 0, text: '', signature: signHidden(block.data) }
  if (block.type === 'thinking' && block.signature !== '')
    yield { type: 'reasoning-delta', index: 0, text: '', signature: block.signature }
}

export function* writeText(text: string): Generator<WireEvent> {
  if (text !== '') yield { type: 'text-delta', index: 0, text }
}

function* think({ block }: BlockReading, text: string): Generator<WireEvent> {
  if (block.type !== 'thinking' || text === '') return
  yield { type: 'reasoning-delta', index: 0, text }
}

function* writeInput({ block }: BlockReading, json: string): Generator<WireEvent> {
  if (json === '' || (block.type !== 'tool' && block.type !== 'answer')) return
  block.hasText = true
  if (block.type === 'answer') yield* writeText(json)
  else yield { type: 'tool-call-delta', index: 0, call: block.call, text: json }
}
