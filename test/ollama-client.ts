import { Ollama } from 'ollama'
import type { TestServer } from './server.ts'

/** The official client, pointed at a test server. */
export const ollamaClient = ({ url }: Pick<TestServer, 'url'>, token?: string) =>
  new Ollama({ host: url, ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }) })

export const postApi = (
  { url }: Pick<TestServer, 'url'>,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> =>
  fetch(`${url}/api${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

export type Call = Readonly<{ id: string; function: { index: number; name: string; arguments: unknown } }>

/** A line of a stream, or a whole answer, of either endpoint. */
export type OllamaLine = Readonly<{
  model: string
  created_at: string
  message?: Readonly<{ role: string; content: string; thinking?: string; tool_calls?: readonly Call[] }>
  response?: string
  thinking?: string
  tool_calls?: readonly Call[]
  logprobs?: ReadonlyArray<Readonly<{ token: string; logprob: number }>>
  done: boolean
  done_reason?: string
  error?: string
}> &
  Readonly<Partial<Record<'total_duration' | 'load_duration' | 'prompt_eval_count' | 'eval_count' | 'eval_duration', number>>>

/** The lines of a stream, each of which must be JSON. */
export async function linesOf(response: Response): Promise<OllamaLine[]> {
  const text = await response.text()
  return text
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => JSON.parse(line))
}

/** What the lines of a stream hold together. */
export function joinLines(lines: readonly OllamaLine[]) {
  const end = lines.at(-1)
  const join = (field: (line: OllamaLine) => string | undefined) => lines.map((line) => field(line) ?? '').join('')
  return {
    text: join(({ message, response }) => message?.content ?? response),
    thinking: join(({ message, thinking }) => message?.thinking ?? thinking),
    calls: lines.flatMap(({ message, tool_calls: calls }) => message?.tool_calls ?? calls ?? []),
    tokens: lines.flatMap(({ logprobs = [] }) => logprobs),
    reason: end?.done_reason,
    counts: [end?.prompt_eval_count, end?.eval_count],
  }
}
