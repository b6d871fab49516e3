import type Anthropic from '@anthropic-ai/sdk'
import fc from 'fast-check'
import type OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ToolCall } from '../../src/engine/provider.ts'
import { inOrder, joinThoughts, splitThoughts, type Thought } from '../../src/engine/thoughts.ts'
import { anthropicClient } from '../anthropic-client.ts'
import { type CloudServer, startCloudServer, streams } from '../cloud-server.ts'
import { anthropicMessage, block, textBlock, thinkingBlock, toolBlock } from '../cloud-transcripts.ts'
import { createCloudWorld, kinds } from '../cloud-world.ts'
import { openaiClient } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { startServer, type TestServer } from '../server.ts'

const call = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Lima' } }

/** Blocks of thought, text and a call, as Claude streams them, and as it wants them back. */
const answers: Readonly<Record<string, readonly Readonly<{ type: string }>[]>> = {
  'one thought': [think('One.', 's1'), call],
  'a thought, then a text': [think('One.', 's1'), say('I look.'), call],
  'two thoughts': [think('One.', 's1'), think('Two.', 's2'), call],
  'a thought after a text': [say('Well.'), think('One.', 's1'), call],
  'thoughts between texts': [think('One.', 's1'), say('I look.'), think('Two.', 's2'), say(' Now.'), call],
  'a hidden thought': [hidden('aGlkZGVu'), call],
  'hidden thoughts among others': [think('One.', 's1'), hidden('aGlk'), say('So.'), hidden('ZGVu'), think('Two.', 's2'), call],
  'thoughts without their text': [think('', 's1'), think('', 's2'), call],
}

function think(thinking: string, signature: string) {
  return { type: 'thinking', thinking, signature }
}
function hidden(data: string) {
  return { type: 'redacted_thinking', data }
}
function say(text: string) {
  return { type: 'text', text }
}

function transcript(blocks: readonly Readonly<{ type: string; [field: string]: unknown }>[]): string {
  const written = blocks.map((one, index) => {
    if (one.type === 'thinking') {
      const text = String(one.thinking)
      return thinkingBlock(index, String(one.signature), ...(text === '' ? [] : [text.slice(0, 2), text.slice(2)]))
    }
    if (one.type === 'text') return textBlock(index, String(one.text))
    if (one.type === 'redacted_thinking') return block(index, one)
    return toolBlock(index, 'toolu_1', 'weather', '{"city":', '"Lima"}')
  })
  return anthropicMessage('tool_use', ...written)
}

let cloud: CloudServer
let server: TestServer
beforeAll(async () => {
  cloud = await startCloudServer(streams(kinds.claude.hello))
  const { provider } = createCloudWorld('claude', [cloud.url])
  server = await startServer({
    host: createScriptedHost(() => []),
    readElsewhere: async () => ({ providers: [{ ...provider, ranOn: 'cloud' }], routes: new Map() }),
  })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await cloud.close()
})

/** The blocks of the answer that is sent back. */
function sentBack(): unknown {
  const body: unknown = cloud.requests.at(-1)?.body
  return body && typeof body === 'object' && 'messages' in body && Array.isArray(body.messages)
    ? body.messages[1].content
    : undefined
}

const model = 'claude/test-model'
/** What was answered, as it may be sent. */
const sendable = (output: readonly OpenAI.Responses.ResponseOutputItem[]): OpenAI.Responses.ResponseInputItem[] =>
  JSON.parse(JSON.stringify(output))

const question = { role: 'user' as const, content: 'Sun?' }
const schema = { type: 'object' as const, properties: { city: { type: 'string' } } }

describe.each(Object.entries(answers))('%s of Claude', (_name, blocks) => {
  beforeEach(() => cloud.answer(streams(transcript(blocks)), streams(kinds.claude.hello)))

  test.each([
    ['whole', undefined],
    ['whole', 'omitted'],
    ['streamed', undefined],
    ['streamed', 'omitted'],
  ] as const)('come back as they were by Messages: %s, display %s', async (form, display) => {
    const client = anthropicClient(server)
    const thinking: Anthropic.ThinkingConfigParam = { type: 'adaptive', ...(display === undefined ? {} : { display }) }
    const asked = { model, max_tokens: 5000, thinking, tools: [{ name: 'weather', input_schema: schema }] }
    const first = { ...asked, messages: [question] }
    const { content } =
      form === 'whole' ? await client.messages.create(first) : await client.messages.stream(first).finalMessage()
    const shown = content.flatMap((one) => (one.type === 'thinking' ? [one.thinking] : [])).join('')
    expect(shown === '').toBe(display === 'omitted' || !JSON.stringify(blocks).includes('One.'))
    const result = { type: 'tool_result' as const, tool_use_id: 'toolu_1', content: 'Yes.' }
    await client.messages.create({
      ...asked,
      messages: [question, { role: 'assistant', content }, { role: 'user', content: [result] }],
    })
    expect(sentBack()).toEqual(blocks)
  })

  test.each(['whole', 'streamed', 'remembered'])('come back as they were by Responses: %s', async (form) => {
    const client = openaiClient(server)
    const tools: OpenAI.Responses.Tool[] = [{ type: 'function', name: 'weather', parameters: schema, strict: false }]
    const asked = { model, reasoning: { effort: 'high' as const }, tools }
    const first = { ...asked, input: [question] }
    const response =
      form === 'streamed' ? await client.responses.stream(first).finalResponse() : await client.responses.create(first)
    const result = { type: 'function_call_output' as const, call_id: 'toolu_1', output: 'Yes.' }
    if (form === 'remembered') await client.responses.create({ ...asked, previous_response_id: response.id, input: [result] })
    else await client.responses.create({ ...asked, input: [question, ...sendable(response.output), result] })
    expect(sentBack()).toEqual(blocks)
  })
})

test('blocks of Messages are the same whole and streamed', async () => {
  const client = anthropicClient(server)
  for (const blocks of Object.values(answers)) {
    cloud.answer(streams(transcript(blocks)))
    const asked = { model, max_tokens: 5000, messages: [question] }
    const whole = await client.messages.create(asked)
    const streamed = await client.messages.stream(asked).finalMessage()
    expect(JSON.parse(JSON.stringify(streamed.content))).toEqual(whole.content)
  }
})

const thoughts = fc.array(
  fc.record({
    text: fc.string({ unit: 'grapheme' }),
    signature: fc.oneof(fc.constant(''), fc.base64String({ minLength: 4 }), fc.constant('blocks:x'), fc.constant('redacted:eA')),
    textBefore: fc.nat(20),
    callsBefore: fc.nat(4),
  }),
)

test('any thoughts survive the way there and back, and changed ones are refused', () => {
  fc.assert(
    fc.property(thoughts, (given) => {
      const { reasoning, signature } = joinThoughts(given)
      const text = given.map((one) => one.text).join('')
      expect(reasoning).toBe(text)
      if (given.every((one) => one.signature === '')) expect(signature).toBeUndefined()
      else expect(splitThoughts(reasoning, signature)).toEqual(given)
      if (signature?.startsWith('blocks:')) expect(() => splitThoughts(`${reasoning}!`, signature)).toThrow('belong together')
    }),
  )
  expect(() => splitThoughts('', 'blocks:nonsense')).toThrow('belong together')
})

test('wherever thoughts claim to stand, an answer keeps its text, its calls and its thoughts', () => {
  const calls = fc.array(fc.record({ id: fc.string(), name: fc.string(), arguments: fc.constant('{}') }), { maxLength: 4 })
  fc.assert(
    fc.property(thoughts, fc.string(), calls, (given: readonly Thought[], text, made: readonly ToolCall[]) => {
      const pieces = inOrder(given, text, made)
      expect(pieces.flatMap((piece) => (piece.type === 'text' ? [piece.text] : [])).join('')).toBe(text)
      expect(pieces.flatMap((piece) => (piece.type === 'call' ? [piece.call] : []))).toEqual(made)
      expect(pieces.flatMap((piece) => (piece.type === 'thought' ? [piece.thought] : []))).toEqual(given)
    }),
  )
})
