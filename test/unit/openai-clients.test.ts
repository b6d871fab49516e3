import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'
import { expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { calling, saying } from '../answer-scripts.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { startServer } from '../server.ts'

/** Thinks, calls a function, and answers with what it gave. */
function answer({ prompt }: GenerateRequest): GenerateEvent[] {
  const last = prompt.type === 'chat' ? prompt.messages.at(-1) : undefined
  const thought: GenerateEvent = { type: 'reasoning-delta', index: 0, text: 'Hm.' }
  return [
    thought,
    ...(last?.role === 'tool' ? saying('It is ', last.content) : calling(['call_1', 'weather', '{"city":"Oslo"}'])),
  ]
}

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } as const

test('the AI SDK runs tools, whole and streamed, and tells reasoning apart', async () => {
  await using server = await startServer({ host: createScriptedHost(answer) })
  const provider = createOpenAICompatible({ name: 'simpleia', baseURL: `${server.url}/v1`, includeUsage: true })
  const weather = tool({
    description: 'Tells the weather.',
    inputSchema: jsonSchema<{ city: string }>(schema),
    execute: async ({ city }) => `cold in ${city}`,
  })
  const asked = { model: provider('scripted'), prompt: 'Oslo?', tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0 }
  const whole = await generateText(asked)
  expect([whole.text, whole.reasoningText, whole.steps.length]).toEqual(['It is cold in Oslo', 'Hm.', 2])
  const stream = streamText(asked)
  expect([await stream.text, await stream.reasoningText, (await stream.usage).totalTokens]).toEqual([
    'It is cold in Oslo',
    'Hm.',
    20,
  ])
})

test.each([false, true])('LangChain calls tools (by the Responses API: %j)', async (useResponsesApi) => {
  await using server = await startServer({ host: createScriptedHost(answer) })
  const model = new ChatOpenAI({
    model: 'scripted',
    apiKey: 'none',
    useResponsesApi,
    maxRetries: 0,
    configuration: { baseURL: `${server.url}/v1` },
  }).bindTools([{ type: 'function', function: { name: 'weather', description: 'Tells the weather.', parameters: schema } }])
  const question = new HumanMessage('Oslo?')
  const called = await model.invoke([question])
  expect(called.tool_calls).toMatchObject([{ id: 'call_1', name: 'weather', args: { city: 'Oslo' } }])
  const given = new ToolMessage({ content: 'cold in Oslo', tool_call_id: 'call_1' })
  expect((await model.invoke([question, called, given])).text).toBe('It is cold in Oslo')
  let streamed = ''
  for await (const chunk of await model.stream([question, called, given])) streamed += chunk.text
  expect(streamed).toBe('It is cold in Oslo')
})
