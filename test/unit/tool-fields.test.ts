import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Tool } from '../../src/engine/provider.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { startServer, type TestServer } from '../server.ts'

const host = createScriptedHost(() => [
  { type: 'text-delta', index: 0, text: 'x' },
  { type: 'choice-end', index: 0, reason: 'stop' },
  generationEnd(),
])
let server: TestServer
beforeAll(async () => {
  server = await startServer({ host })
})
afterAll(() => server[Symbol.asyncDispose]())

const messages = [{ role: 'user', content: 'x' }]
const schema = { type: 'object' }
const functions = ['a', 'b'].map((name) => ({ type: 'function', function: { name, parameters: schema } }))
const inputs = ['a', 'b'].map((name) => ({ name, input_schema: schema }))

test.each([
  ['/v1/chat/completions', { messages, tools: functions }, ['tools.0.function.parameters', 'tools.1.function.parameters']],
  [
    '/v1/responses',
    { input: 'x', tools: functions.map((tool) => ({ type: 'function', ...tool.function })) },
    ['tools.0.parameters', 'tools.1.parameters'],
  ],
  ['/v1/messages', { max_tokens: 5, messages, tools: inputs }, ['tools.0.input_schema', 'tools.1.input_schema']],
  [
    // One that is not shown keeps its number.
    '/v1/messages',
    { max_tokens: 5, messages, tools: [{ ...inputs[0], defer_loading: true }, inputs[1]] },
    ['tools.1.input_schema'],
  ],
  ['/api/chat', { messages, stream: false, tools: functions }, ['tools.0.function.parameters', 'tools.1.function.parameters']],
])('%s says where the request holds the parameters of each tool', async (path, body, fields) => {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model: 'scripted', ...body }),
  })
  expect(response.status).toBe(200)
  const prompt = host.asked.at(-1)?.prompt
  const tools: readonly Tool[] = prompt?.type === 'chat' ? (prompt.tools?.tools ?? []) : []
  expect(tools.map(({ field }) => field)).toEqual(fields)
})
