import { afterAll, beforeAll, expect, test } from 'vitest'
import { ollamaClient, postApi } from '../ollama-client.ts'
import { postV1 } from '../openai-client.ts'
import { openRealHost, type RealHost, realModel } from '../real-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let real: RealHost
let server: TestServer
beforeAll(async () => {
  real = await openRealHost({ CONTEXT_SIZE: '512' })
  server = await startServer({ host: real.host, settings: { MODELS_DIR: real.modelsDir, CONTEXT_SIZE: '512' } })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await real.remove()
})

test('the official client finds the real model, asks it by the name that it found, and is told about it', async () => {
  const client = ollamaClient(server)
  const { models } = await client.list()
  expect(models.map(({ name }) => name)).toEqual([`${realModel}:latest`])
  expect(models[0]).toMatchObject({
    size: 253_113_024,
    details: { family: 'gemma3', parameter_size: '268.10M', quantization_level: expect.stringContaining('Q4_K') },
  })
  const name = models[0]?.name ?? ''
  expect(await client.show({ model: name })).toMatchObject({
    capabilities: ['completion'],
    model_info: { 'general.architecture': 'gemma3', 'gemma3.context_length': 512, 'gemma3.embedding_length': 640 },
  })
  expect((await client.ps()).models).toMatchObject([{ name, context_length: 512 }])
  const options = { temperature: 0, num_predict: 8 }
  const answer = await client.generate({ model: name, prompt: 'The capital of France is', raw: true, options })
  expect(answer).toMatchObject({ eval_count: 8, done_reason: 'length' })
  const predicted = await server.predict({ prompt: 'The capital of France is', temperature: 0, max_length: 8 })
  expect(answer.response).toBe((await bodyOf(predicted)).choices[0]?.text)
  expect(answer.eval_duration).toBeGreaterThan(0)
  const streamed: string[] = []
  for await (const { response = '' } of await client.generate({
    model: name,
    prompt: 'The capital of France is',
    raw: true,
    options,
    stream: true,
  }))
    streamed.push(response)
  expect(streamed.join('')).toBe(answer.response)
})

test('a conversation has the same answer here and under /v1', async () => {
  const messages = [{ role: 'user', content: 'Name a colour of the sky.' }]
  const openai = await bodyOf<{ choices: { message: { content: string } }[] }>(
    await postV1(server, '/chat/completions', { messages, seed: 11, max_tokens: 12 }),
  )
  const ollama = await ollamaClient(server).chat({ model: realModel, messages, options: { seed: 11, num_predict: 12 } })
  expect(ollama.message.content).toBe(openai.choices[0]?.message.content)
})

test('an answer keeps to a schema, and a prompt that does not fit is refused with both numbers', async () => {
  const format = {
    type: 'object',
    properties: { colour: { enum: ['red', 'blue'] } },
    required: ['colour'],
    additionalProperties: false,
  }
  const client = ollamaClient(server)
  const { message } = await client.chat({
    model: realModel,
    messages: [{ role: 'user', content: 'A colour?' }],
    format,
    options: { seed: 1 },
  })
  expect(JSON.parse(message.content)).toEqual({ colour: expect.toBeOneOf(['red', 'blue']) })
  const long = await postApi(server, '/generate', { model: realModel, prompt: 'word '.repeat(600), options: { num_ctx: 8192 } })
  expect([long.status, await long.json()]).toEqual([400, { error: expect.stringMatching(/512/) }])
})
