import { once } from 'node:events'
import { createServer } from 'node:http'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { openEgress } from '../open-egress.ts'

type Say = (baseURL: string, fetch: typeof globalThis.fetch) => Promise<string>

const openai: Say = async (baseURL, fetch) => {
  const client = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey: 'sk-x', fetch, maxRetries: 0 })
  let text = ''
  const stream = await client.chat.completions.create({
    model: 'm',
    stream: true,
    messages: [{ role: 'user', content: 'hello' }],
  })
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  return text
}

const anthropic: Say = async (baseURL, fetch) => {
  const client = new Anthropic({ baseURL, apiKey: 'sk-ant-x', fetch, maxRetries: 0 })
  let text = ''
  for await (const event of client.messages.stream({ model: 'm', max_tokens: 5, messages: [{ role: 'user', content: 'hello' }] }))
    if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text
  return text
}

const openaiEvents = [
  'data: {"choices":[{"index":0,"delta":{"content":"Bon"}}]}\n\n',
  'data: {"choices":[{"index":0,"delta":{"content":"jour"}}]}\n\ndata: [DONE]\n\n',
]
const anthropicEvents = [
  'event: message_start\ndata: {"type":"message_start","message":{"id":"1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n',
  'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
  'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Bonjour"}}\n\n',
  'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
]

test.each([
  ['OpenAI', openai, openaiEvents],
  ['Anthropic', anthropic, anthropicEvents],
] as const)('the library of %s streams through the way out, and both directions are counted', async (_name, say, events) => {
  let received = 0
  const server = createServer(async (request, response) => {
    for await (const chunk of request) received += chunk.length
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of events) response.write(event)
    response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const { egress, entries } = openEgress({
    fetch: (input, init) => fetch(String(input).replace('https://cloud.example', `http://127.0.0.1:${port}`), init),
  })
  const call = egress.begin({ purpose: 'answer', provider: 'x', model: 'm' })
  expect(await say('https://cloud.example', call.fetch)).toBe('Bonjour')
  await call.end()
  const [entry] = entries()
  expect(entry).toMatchObject({ hosts: ['cloud.example'], requests: 1, status: 200 })
  expect(entry?.bytesOut).toBeGreaterThan(received)
  expect(entry?.bytesIn).toBeGreaterThan(events.join('').length)
})

test.each([
  ['OpenAI', openai],
  ['Anthropic', anthropic],
] as const)('the library of %s tells in its cause why nothing may leave', async (_name, say) => {
  const { egress } = openEgress({ localOnly: true, fetch: () => expect.unreachable('a call left the machine') })
  const error: unknown = await say('https://cloud.example', egress.begin({ purpose: 'answer' }).fetch).catch(
    (thrown: unknown) => thrown,
  )
  const causes: unknown[] = []
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) causes.push(cause)
  expect(causes.find((cause) => cause instanceof AppError)).toMatchObject({ code: 'forbidden' })
})
