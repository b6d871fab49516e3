/** What Claude's Messages API and OpenAI's chat completions stream, in the order and the fields that their documentation shows. */

type Json = Readonly<Record<string, unknown>>

export const anthropicSse = (...events: readonly Json[]) =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')

export const messageStart = (usage: Json = { input_tokens: 25, output_tokens: 1 }): Json => ({
  type: 'message_start',
  message: {
    id: 'msg_014p7gG3wDgGV9EUtLvnow3U',
    type: 'message',
    role: 'assistant',
    model: 'claude-test',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  },
})

export const ping: Json = { type: 'ping' }

export const block = (index: number, start: Json, ...deltas: readonly Json[]): Json[] => [
  { type: 'content_block_start', index, content_block: start },
  ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
  { type: 'content_block_stop', index },
]

export const textBlock = (index: number, ...texts: readonly string[]) =>
  block(index, { type: 'text', text: '' }, ...texts.map((text) => ({ type: 'text_delta', text })))

export const toolBlock = (index: number, id: string, name: string, ...pieces: readonly string[]) =>
  block(
    index,
    { type: 'tool_use', id, name, input: {} },
    ...['', ...pieces].map((partial_json) => ({ type: 'input_json_delta', partial_json })),
  )

export const thinkingBlock = (index: number, signature: string, ...thoughts: readonly string[]) =>
  block(
    index,
    { type: 'thinking', thinking: '', signature: '' },
    ...thoughts.map((thinking) => ({ type: 'thinking_delta', thinking })),
    { type: 'signature_delta', signature },
  )

export const messageEnd = (reason: string, usage: Json = { output_tokens: 15 }, sequence: string | null = null): Json[] => [
  { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: sequence }, usage },
  { type: 'message_stop' },
]

/** A whole answer by Claude. */
export const anthropicMessage = (reason: string, ...blocks: readonly (readonly Json[])[]) =>
  anthropicSse(messageStart(), ping, ...blocks.flat(), ...messageEnd(reason))

const chunkOf = (choices: readonly Json[], more: Json = {}): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-123',
    object: 'chat.completion.chunk',
    created: 1694268190,
    model: 'gpt-test',
    system_fingerprint: 'fp_44709d6fcb',
    choices,
    usage: null,
    ...more,
  })}\n\n`

export const delta = (delta: Json, more: Json = {}) =>
  chunkOf([{ index: 0, delta, logprobs: null, finish_reason: null, ...more }])

export const finish = (reason: string, index = 0) => chunkOf([{ index, delta: {}, logprobs: null, finish_reason: reason }])

export const usageChunk = (usage: Json = { prompt_tokens: 25, completion_tokens: 15, total_tokens: 40 }) => chunkOf([], { usage })

export const done = 'data: [DONE]\n\n'

/** A whole answer of a chat completion. */
export const chatCompletion = (reason: string, ...deltas: readonly string[]) =>
  [delta({ role: 'assistant', content: '' }), ...deltas, finish(reason), usageChunk(), done].join('')

export const callDelta = (index: number, call: Json) => delta({ tool_calls: [{ index, ...call }] })
