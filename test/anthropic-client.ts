import Anthropic from '@anthropic-ai/sdk'
import type { GenerateEvent } from '../src/engine/provider.ts'
import { generationEnd } from './scripted-host.ts'
import type { TestServer } from './server.ts'
import { type ParsedEvent, readEvents } from './sse-parser.ts'

type ClientOptions = Readonly<{ maxRetries?: number; apiKey?: string }>

/** The official client, pointed at a test server. It does not try again: a test wants the first answer. */
export const anthropicClient = ({ url }: Pick<TestServer, 'url'>, options: ClientOptions = {}) =>
  new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0, ...options })

export type AnthropicError = Readonly<{
  type: string
  error: Readonly<{ type: string; message: string }>
  request_id: string
}>

export const hello = { model: 'scripted', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hola' }] }

export const postMessages = (
  { url }: Pick<TestServer, 'url'>,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
  path = '',
): Promise<Response> =>
  fetch(`${url}/v1/messages${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

/** The events of a stream as sent. */
export async function streamMessages(server: Pick<TestServer, 'url'>, body: object): Promise<ParsedEvent[]> {
  const events: ParsedEvent[] = []
  for await (const event of readEvents(await postMessages(server, { ...body, stream: true }))) events.push(event)
  return events
}

export const says = (...texts: readonly string[]): GenerateEvent[] =>
  texts.map((text) => ({ type: 'text-delta', index: 0, text }))

export const thinks = (...texts: readonly string[]): GenerateEvent[] =>
  texts.map((text) => ({ type: 'reasoning-delta', index: 0, text }))

export const calls = (call: number, id: string, name: string, ...pieces: readonly string[]): GenerateEvent[] => [
  { type: 'tool-call-start', index: 0, call, id, name },
  ...pieces.map((text): GenerateEvent => ({ type: 'tool-call-delta', index: 0, call, text })),
]

type EndReason = Extract<GenerateEvent, { type: 'choice-end' }>['reason']

export const ends = (reason: EndReason = 'stop', stopText?: string): GenerateEvent[] => [
  { type: 'choice-end', index: 0, reason, ...(stopText === undefined ? {} : { stopText }) },
  generationEnd(),
]
