import { describe, expect, test } from 'vitest'
import { refuses, type Script, says, streams, tearsAfter } from '../cloud-server.ts'
import { kinds } from '../cloud-world.ts'
import { asks, at, dialects } from '../dialects.ts'
import { answerAll, modelOf, startServiceWorld } from '../service-world.ts'

const names = ['claude', 'openai', 'gpu', 'box'] as const
const nameOf = (name: (typeof names)[number]) => `${name}/${modelOf[name]}`

const tokensOf = (end: unknown) => {
  const usage = at(end, 'usage') ?? at(end, 'response', 'usage')
  return [
    at(usage, 'prompt_tokens') ?? at(usage, 'input_tokens') ?? at(end, 'prompt_eval_count'),
    at(usage, 'completion_tokens') ?? at(usage, 'output_tokens') ?? at(end, 'eval_count'),
  ]
}

describe.each(dialects)('%s', (dialect) => {
  const ask = asks[dialect]

  test('is answered by each provider, and says by whom and where', async () => {
    const world = await startServiceWorld()
    answerAll(world, { claude: streams(kinds.claude.hello), openai: streams(kinds.custom.hello) })
    for (const name of names) {
      const { status, text, headers, end, error } = await ask(world, nameOf(name))
      expect({ text, error, tokens: tokensOf(end) }, name).toEqual({ text: 'Hello there', error: undefined, tokens: [25, 15] })
      expect([200, 101]).toContain(status)
      expect(at(end, 'ran_on') ?? headers.get('x-simpleia-ran-on')).toBe(name === 'box' ? 'local' : 'cloud')
      expect(at(end, 'provider') ?? headers.get('x-simpleia-provider')).toBe(name)
      expect(at(world.clouds[name].requests[0]?.body, 'model')).toBe(modelOf[name])
    }
    expect(world.outside).toHaveLength(names.length)
  })

  const refusal = (status: number, type: string, headers?: Record<string, string>) => ({
    claude: refuses(status, kinds.claude.failure('It is so.', type), headers),
    openai: refuses(status, kinds.custom.failure('It is so.', type), headers),
  })
  const both = (script: Script) => ({ claude: script, openai: script })
  test.each<readonly [what: string, status: number, code: string, scripts: Readonly<Record<'claude' | 'openai', Script>>]>([
    ['a key that is refused', 502, 'upstream', refusal(401, 'authentication_error')],
    ['a model that is not there', 404, 'not_found', refusal(404, 'not_found_error')],
    ['a request that is refused', 400, 'invalid', refusal(400, 'invalid_request_error')],
    ['too many requests', 429, 'rate_limited', refusal(429, 'rate_limit_error', { 'retry-after': '61' })],
    ['a failure', 502, 'upstream', refusal(500, 'api_error')],
    ['nonsense', 502, 'upstream', both(says(200, 'text/html', '<html>'))],
  ])('tells of %s with the status %i', async (_what, status, code, scripts) => {
    const world = await startServiceWorld()
    answerAll(world, scripts)
    for (const name of names) {
      const told = await ask(world, nameOf(name))
      expect([told.status, told.text], name).toEqual([dialect === 'the socket' ? 101 : status, ''])
      expect(told.error).toEqual(errorOf(dialect, code))
      if (status === 429 && told.status === 429) expect(told.headers.get('retry-after')).toBe('61')
    }
  })

  test('tells of an answer that breaks off, after what had come', async () => {
    const world = await startServiceWorld()
    answerAll(world, { claude: tearsAfter(kinds.claude.begun), openai: tearsAfter(kinds.custom.begun) })
    const streamed = dialect.includes('stream') || dialect === 'the socket'
    for (const name of names) {
      const told = await ask(world, nameOf(name))
      expect(told.text, name).toBe(streamed ? 'Hello' : '')
      expect(told.error).toEqual(dialect === 'responses as a stream' ? 'server_error' : errorOf(dialect, 'upstream'))
      if (dialect !== 'the socket') expect(told.status).toBe(streamed ? 200 : 502)
    }
  })
})

/** What a dialect calls a failure; Ollama's has a text only. */
function errorOf(dialect: string, code: string): unknown {
  if (dialect.startsWith('ollama')) return expect.stringMatching(/provider "/)
  if (dialect.startsWith('messages')) return anthropicTypes.get(code)
  return dialect.startsWith('chat') || dialect.startsWith('responses') ? (openaiCodes.get(code) ?? code) : code
}

const anthropicTypes = new Map([
  ['upstream', 'api_error'],
  ['not_found', 'not_found_error'],
  ['invalid', 'invalid_request_error'],
  ['rate_limited', 'rate_limit_error'],
])
const openaiCodes = new Map([
  ['not_found', 'model_not_found'],
  ['invalid', 'invalid_value'],
  ['rate_limited', 'rate_limit_exceeded'],
])
