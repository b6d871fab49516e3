import { joinTokens } from './server.ts'
import { jsonOf, type ServiceWorld } from './service-world.ts'
import { joinEvents, type ParsedEvent, readEvents } from './sse-parser.ts'

type Json = Readonly<Record<string, unknown>>

/** What an answer came to, in whatever dialect it was told. */
export type Told = Readonly<{
  status: number
  headers: Headers
  text: string
  /** The code or type of the error, however the dialect says it. */
  error?: unknown
  /** The last thing that was told. */
  end: unknown
}>

/** A question by each dialect; `stream` tells how its answer is read. */
export type Ask = (world: ServiceWorld, model: string, more?: Json, signal?: AbortSignal) => Promise<Told>

/** What stands at a place in JSON. */
export const at = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>((part, key) => (typeof part === 'object' && part !== null ? Reflect.get(part, key) : undefined), value)

const textAt = (value: unknown, ...path: readonly (string | number)[]) => {
  const text = at(value, ...path)
  return typeof text === 'string' ? text : ''
}

const messages = [{ role: 'user', content: 'Hi' }]

async function whole(response: Response, textOf: (body: Json) => string, errorOf: (body: Json) => unknown): Promise<Told> {
  const body = await jsonOf(response)
  const { status, headers } = response
  return status === 200
    ? { status, headers, text: textOf(body), end: body }
    : { status, headers, text: '', error: errorOf(body), end: body }
}

async function streamed(response: Response, textOf: (event: Json) => string, errorOf: (body: Json) => unknown): Promise<Told> {
  const { status, headers } = response
  if (status !== 200) {
    const body = await jsonOf(response)
    return { status, headers, text: '', error: errorOf(body), end: body }
  }
  let text = ''
  let end: unknown
  let error: unknown
  for await (const { data } of readEvents(response)) {
    if (data === '[DONE]') continue
    const event = JSON.parse(data)
    text += textOf(event)
    error = errorOf(event) ?? error
    // Anthropic's last event says nothing more.
    if (event.type !== 'message_stop') end = event
  }
  return { status, headers, text, ...(error === undefined ? {} : { error }), end }
}

const openaiError = (body: Json) => at(body, 'error', 'code') ?? at(body, 'response', 'error', 'code')

export const dialects = [
  'predict',
  'predict as a stream',
  'the socket',
  'chat',
  'chat as a stream',
  'responses',
  'responses as a stream',
  'messages',
  'messages as a stream',
  'ollama',
  'ollama as a stream',
] as const
export type Dialect = (typeof dialects)[number]

export const asks: Readonly<Record<Dialect, Ask>> = {
  predict: async (world, model, more, signal) =>
    whole(
      await world.call('/predict', { prompt: 'Hi', model, ...more }, options(signal)),
      (body) => textAt(body, 'choices', 0, 'text'),
      (body) => at(body, 'error', 'code'),
    ),
  'predict as a stream': async (world, model, more, signal) => {
    const response = await world.call('/predict', { prompt: 'Hi', model, stream: true, ...more }, options(signal))
    const { status, headers } = response
    if (status !== 200) {
      const body = await jsonOf(response)
      return { status, headers, text: '', error: at(body, 'error', 'code'), end: body }
    }
    const events: ParsedEvent[] = []
    for await (const event of readEvents(response)) events.push(event)
    const { text, end } = joinEvents(events)
    const last = JSON.parse(end?.data ?? 'null')
    return { status, headers, text, end: last, ...(end?.event === 'error' ? { error: at(last, 'error', 'code') } : {}) }
  },
  'the socket': async (world, model, more) => {
    using socket = await world.socket()
    socket.send({ prompt: 'Hi', model, ...more })
    const told = await socket.answer()
    const end = told.at(-1)
    const error = end?.type === 'error' ? { error: at(end, 'error', 'code') } : {}
    return { status: 101, headers: new Headers(), text: joinTokens(told), end, ...error }
  },
  chat: async (world, model, more, signal) =>
    whole(
      await world.call('/v1/chat/completions', { messages, model, ...more }, options(signal)),
      (body) => textAt(body, 'choices', 0, 'message', 'content'),
      openaiError,
    ),
  'chat as a stream': async (world, model, more, signal) =>
    streamed(
      await world.call(
        '/v1/chat/completions',
        { messages, model, stream: true, stream_options: { include_usage: true }, ...more },
        options(signal),
      ),
      (event) => textAt(event, 'choices', 0, 'delta', 'content'),
      openaiError,
    ),
  responses: async (world, model, more, signal) =>
    whole(
      await world.call('/v1/responses', { input: 'Hi', model, ...more }, options(signal)),
      (body) => outputText(body),
      openaiError,
    ),
  'responses as a stream': async (world, model, more, signal) =>
    streamed(
      await world.call('/v1/responses', { input: 'Hi', model, stream: true, ...more }, options(signal)),
      (event) => (event.type === 'response.output_text.delta' ? textAt(event, 'delta') : ''),
      openaiError,
    ),
  messages: async (world, model, more, signal) =>
    whole(
      await world.call('/v1/messages', { messages, model, max_tokens: 100, ...more }, options(signal)),
      (body) => contentText(body),
      (body) => at(body, 'error', 'type'),
    ),
  'messages as a stream': async (world, model, more, signal) =>
    streamed(
      await world.call('/v1/messages', { messages, model, max_tokens: 100, stream: true, ...more }, options(signal)),
      (event) => textAt(event, 'delta', 'text'),
      (event) => at(event, 'error', 'type'),
    ),
  ollama: async (world, model, more, signal) =>
    whole(
      await world.call('/api/chat', { messages, model, stream: false, ...more }, options(signal)),
      (body) => textAt(body, 'message', 'content'),
      (body) => at(body, 'error'),
    ),
  'ollama as a stream': async (world, model, more, signal) => {
    const response = await world.call('/api/chat', { messages, model, ...more }, options(signal))
    const { status, headers } = response
    const lines = (await response.text())
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
    const error = lines.map((line) => at(line, 'error')).find((told) => told !== undefined)
    const text = lines.map((line) => textAt(line, 'message', 'content')).join('')
    return { status, headers, text, end: lines.at(-1), ...(error === undefined ? {} : { error }) }
  },
}

const options = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal })

function outputText(body: Json): string {
  const items = Array.isArray(body.output) ? body.output : []
  return items.map((item: unknown) => textAt(item, 'content', 0, 'text')).join('')
}

function contentText(body: Json): string {
  const blocks = Array.isArray(body.content) ? body.content : []
  return blocks.map((block: unknown) => textAt(block, 'text')).join('')
}
