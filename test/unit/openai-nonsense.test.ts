import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { saying } from '../answer-scripts.ts'
import { postV1 } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ host: createScriptedHost(() => saying('ok')) })
})
afterAll(() => server[Symbol.asyncDispose]())

const schema = { type: 'object', properties: { a: { type: 'integer' } } }
const pixel = 'data:image/png;base64,iVBORw0KGgo='

/** A request to each endpoint that uses most of what it takes. */
const requests = {
  '/chat/completions': {
    messages: [
      { role: 'system', content: [{ type: 'text', text: 'x' }] },
      { role: 'user', name: 'n', content: [{ type: 'image_url', image_url: { url: pixel, detail: 'low' } }] },
      {
        role: 'assistant',
        content: [{ type: 'refusal', refusal: 'x' }],
        reasoning_content: 'x',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: 'x' },
    ],
    tools: [{ type: 'function', function: { name: 'f', description: 'x', parameters: schema, strict: true } }],
    tool_choice: {
      type: 'allowed_tools',
      allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'f' } }] },
    },
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
    logit_bias: { 5: 1 },
    stop: ['a'],
    logprobs: true,
    top_logprobs: 1,
    stream_options: { include_usage: true },
    stream: true,
    metadata: { a: 'b' },
  },
  '/completions': { prompt: ['x', 'y'], n: 2, echo: true, stop: 'a', logit_bias: { 5: 1 }, best_of: 2, suffix: '' },
  '/responses': {
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'x' },
          { type: 'input_image', image_url: pixel },
        ],
      },
      {
        type: 'reasoning',
        id: 'r',
        summary: [{ type: 'summary_text', text: 'x' }],
        content: [{ type: 'reasoning_text', text: 'x' }],
      },
      { type: 'message', role: 'assistant', id: 'm', content: [{ type: 'output_text', text: 'x', annotations: [] }] },
      { type: 'function_call', call_id: 'a', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'a', output: [{ type: 'input_text', text: 'x' }] },
    ],
    instructions: 'x',
    tools: [{ type: 'function', name: 'f', parameters: schema }],
    tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'f' }] },
    text: { format: { type: 'json_schema', name: 'x', schema }, verbosity: 'medium' },
    reasoning: { effort: 'low', summary: 'auto' },
    include: ['message.output_text.logprobs'],
    metadata: { a: 'b' },
    top_logprobs: 1,
  },
} as const

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** The value with something else at a place that is found by following `path`. */
function spoil(value: unknown, path: readonly number[], other: unknown): unknown {
  const [step, ...rest] = path
  if (step === undefined || !isObject(value) || Object.keys(value).length === 0) return other
  const entries = Object.entries(value).map(([name, field], place, { length }) => {
    return [name, place === step % length ? spoil(field, rest, other) : field] as const
  })
  return Array.isArray(value) ? entries.map(([, field]) => field) : Object.fromEntries(entries)
}

test.each(Object.entries(requests))(
  '%s is answered, or refused by name, whatever a field holds',
  async (path, body) => {
    expect((await postV1(server, path, body)).status).toBe(200)
    const other = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(null, '', [], {}, [[]], [null], { type: 'x' }, 'resp_x', '__proto__', -1),
    )
    const property = fc.asyncProperty(fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }), other, async (place, value) => {
      const response = await postV1(server, path, spoil(body, place, value))
      if (response.status === 200) return void (await response.text())
      expect([400, 404]).toContain(response.status)
      expect(await bodyOf(response)).toEqual({
        error: {
          message: expect.any(String),
          type: 'invalid_request_error',
          param: expect.toBeOneOf([expect.any(String), null]),
          code: expect.any(String),
        },
      })
    })
    await fc.assert(property, { numRuns: 250 })
  },
  60_000,
)

const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

test.each([
  ['/chat/completions', '{"messages":DEEP}', 'messages'],
  ['/chat/completions', '{"messages":[{"role":"user","content":"x"}],"prediction":DEEP}', 'prediction'],
  [
    '/chat/completions',
    '{"messages":[{"role":"user","content":"x"}],"temperature":0,"tools":[{"type":"function","function":{"name":"f","parameters":DEEP}}]}',
    'tools',
  ],
  ['/responses', '{"input":"x","temperature":0,"text":{"format":{"type":"json_schema","schema":DEEP}}}', 'text'],
  ['/responses', '{"input":[{"role":"assistant","content":[{"type":"output_text","text":"x","parsed":DEEP}]}]}', 'input'],
])('%s with a hundred thousand levels is refused: %s', async (path, body, param) => {
  const response = await postV1(server, path, body.replace('DEEP', nested(100_000)))
  expect(response.status).toBe(400)
  expect(await bodyOf(response)).toMatchObject({ error: { param, code: 'invalid_value' } })
})
