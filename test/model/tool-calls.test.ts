import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ChatPrompt, Tools } from '../../src/engine/provider.ts'
import { collect } from '../../src/predict/collect.ts'
import { qwen25 } from '../chat-templates.ts'
import { withChatTemplate } from '../gguf-template.ts'
import { openRealHost, type RealHost, realModel, realModelFile } from '../real-host.ts'

let real: RealHost
beforeAll(async () => {
  real = await openRealHost()
})
afterAll(async () => {
  await real.host.close()
  await real.remove()
})

const tools: Tools['tools'] = [
  {
    name: 'get_weather',
    description: 'Tells the weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 30 }, unit: { type: 'string', enum: ['C', 'F'] } },
      required: ['city', 'unit'],
    },
  },
  { name: 'get_time', description: 'Tells the time.', parameters: { type: 'object', properties: {} } },
]

async function ask(prompt: Omit<ChatPrompt, 'type'>, model = realModel) {
  const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 }
  const request = {
    prompt: { type: 'chat', ...prompt },
    maxTokens: 120,
    choices: 1,
    stop: [],
    user: 'test',
    sampling,
    model,
  } as const
  const { choices } = await collect(real.host.generate(request, new AbortController().signal))
  return choices[0]
}

const messages = [{ role: 'user', content: 'What is the weather in Paris?' }] as const

test('a base model calls a function when it must', async () => {
  const answer = await ask({ messages, tools: { tools, choice: 'required', parallel: true } })
  expect(answer).toMatchObject({ text: '', reason: 'tool-calls' })
  expect(answer?.toolCalls).toHaveLength(1)
  expect(['get_weather', 'get_time']).toContain(answer?.toolCalls[0]?.name)
})

test('a base model calls the function that it must, with arguments of its schema', async () => {
  const answer = await ask({ messages, tools: { tools, choice: { name: 'get_weather' }, parallel: false } })
  expect(answer).toMatchObject({ reason: 'tool-calls', toolCalls: [{ name: 'get_weather' }] })
  const { city, unit } = JSON.parse(answer?.toolCalls[0]?.arguments ?? '')
  expect(typeof city).toBe('string')
  expect(['C', 'F']).toContain(unit)
})

test('a model that may call a function writes a valid call, or an answer that looks like none', async () => {
  for (const content of ['What is the weather in Paris?', 'Say hello.', '{"name":']) {
    const answer = await ask({ messages: [{ role: 'user', content }], tools: { tools, choice: 'auto', parallel: true } })
    if (answer?.reason === 'tool-calls') for (const call of answer.toolCalls) JSON.parse(call.arguments)
    else expect(answer?.text.trimStart().startsWith('{')).toBe(false)
  }
})

test('a call is written with the marks of the template', async () => {
  await writeFile(join(real.modelsDir, 'hermes.gguf'), await withChatTemplate(realModelFile, qwen25))
  const answer = await ask({ messages, tools: { tools, choice: { name: 'get_weather' }, parallel: false } }, 'hermes')
  expect(answer).toMatchObject({ text: '', reason: 'tool-calls', toolCalls: [{ name: 'get_weather' }] })
})

test('an answer goes on where it was begun', async () => {
  const answer = await ask({
    messages: [
      { role: 'user', content: 'Count to five.' },
      { role: 'assistant', content: '1, 2, 3, ' },
    ],
  })
  expect(answer?.text.trimStart().startsWith('4')).toBe(true)
})
