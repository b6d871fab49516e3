import OpenAI from 'openai'
import type { TestServer } from './server.ts'
import { type ParsedEvent, readEvents } from './sse-parser.ts'

/** The official client, pointed at a test server. It does not try again: a test wants the first answer. */
export const openaiClient = ({ url }: Pick<TestServer, 'url'>, options: { maxRetries?: number; apiKey?: string } = {}) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0, ...options })

export type OpenaiError = Readonly<{
  error: Readonly<{ message: string; type: string; param: string | null; code: string | null }>
}>

export type Chunk = Readonly<{
  id: string
  object: string
  created: number
  model: string
  choices: ReadonlyArray<
    Readonly<{
      index: number
      text?: string
      delta?: Readonly<{ role?: string; content?: string }>
      finish_reason: string | null
    }>
  >
  usage?: Readonly<Record<string, unknown>> | null
}>

export const postV1 = (
  { url }: Pick<TestServer, 'url'>,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> =>
  fetch(`${url}/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

/** The events of a stream as sent, read as JSON where they are. */
export async function streamV1(
  server: TestServer,
  path: string,
  body: object,
): Promise<Readonly<{ events: readonly ParsedEvent[]; chunks: readonly Chunk[] }>> {
  const events: ParsedEvent[] = []
  for await (const event of readEvents(await postV1(server, path, { ...body, stream: true }))) events.push(event)
  return { events, chunks: events.filter(({ data }) => data !== '[DONE]').map(({ data }) => JSON.parse(data)) }
}

export const textOf = (chunks: readonly Chunk[], index = 0): string =>
  chunks
    .flatMap(({ choices }) => choices)
    .map((choice) => (choice.index === index ? (choice.delta?.content ?? choice.text ?? '') : ''))
    .join('')
