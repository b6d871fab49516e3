import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { openCatalog, openEmbedders } from '../../src/service.ts'
import { anthropicClient } from '../anthropic-client.ts'
import { ollamaClient } from '../ollama-client.ts'
import { type OpenaiError, openaiClient, postV1, streamV1, textOf } from '../openai-client.ts'
import { openRealHost, type RealHost, realModel } from '../real-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

// What other servers' public tests hold them to and only a real model can show (docs/peer-behaviours.md).

const config = loadConfig({ environment: { MODELS_DIR: 'model_llm' } })
const embedding = await openEmbedders(config, openCatalog(config))
const contextSize = 512
let real: RealHost
let server: TestServer

beforeAll(async () => {
  real = await openRealHost({ CONTEXT_SIZE: String(contextSize), MAX_PARALLEL: '4' })
  server = await startServer({ host: real.host, ...embedding })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await real.remove()
})

const model = realModel
const prompts = [
  'Write a very long book.',
  'What is a lighthouse?',
  'The sky is blue and I love it.',
  'Write a joke.',
  'In 1969,',
  'Un día',
]
const system = 'Book'
const user = { role: 'user' as const, content: 'What is the best book' }
const messages = [{ role: 'system' as const, content: system }, user]

async function completed(prompt: string, options: object = {}, on: TestServer = server): Promise<string> {
  return textOf((await streamV1(on, '/completions', { prompt, max_tokens: 16, temperature: 1, seed: 42, ...options })).chunks)
}

describe('the same seed', () => {
  test('gives the same answers, however many run at once in however many places; another one gives others', async () => {
    const alone: string[] = []
    for (const prompt of prompts) alone.push(await completed(prompt))
    for (const places of [1, 2]) {
      const few = await openRealHost({ CONTEXT_SIZE: String(contextSize), MAX_PARALLEL: String(places) })
      await using other = await startServer({ host: few.host })
      for (const requests of [2, 3, 6]) {
        const asked = prompts.slice(0, requests)
        expect(await Promise.all(asked.map((prompt) => completed(prompt, {}, other)))).toEqual(alone.slice(0, requests))
      }
      await few.remove()
    }
    const seeds = await Promise.all([0, 1, 2, 3].map((seed) => completed('I believe the meaning of life is', { seed })))
    expect(new Set(seeds).size).toBe(4)
  })

  test('gives choices that differ from each other, and the same ones again', async () => {
    const ask = () =>
      openaiClient(server).chat.completions.create({ model, messages, n: 3, seed: 5, temperature: 1, max_tokens: 12 })
    const { choices } = await ask()
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2])
    const texts = choices.map(({ message }) => message.content)
    expect(new Set(texts).size).toBe(3)
    expect((await ask()).choices.map(({ message }) => message.content)).toEqual(texts)
  })
})

describe('tokens', () => {
  test('of a conversation are as many in all dialects, asked for and counted', async () => {
    const asked = { model, max_tokens: 8, temperature: 0 }
    const { usage } = await openaiClient(server).chat.completions.create({ ...asked, messages })
    const count = usage?.prompt_tokens
    expect(usage).toMatchObject({ completion_tokens: 8, total_tokens: (count ?? 0) + 8 })
    const { input_tokens: responses } = await openaiClient(server).responses.inputTokens.count({ model, input: messages })
    const anthropic = anthropicClient(server).messages
    const { input_tokens: counted } = await anthropic.countTokens({ model, system, messages: [user] })
    const answered = await anthropic.create({ ...asked, system, messages: [user] })
    const ollama = await ollamaClient(server).chat({ model, messages, options: { temperature: 0, num_predict: 8 } })
    expect([responses, counted, ollama.prompt_eval_count, ollama.eval_count]).toEqual([count, count, count, 8])
    const { input_tokens: read, cache_read_input_tokens: remembered, output_tokens: written } = answered.usage
    expect([read + (remembered ?? 0), written]).toEqual([count, 8])
  })

  test('of a prompt that were remembered are told: the more, the longer the beginning that is the same', async () => {
    const ask = async (content: string) => {
      const asked = { model, max_tokens: 4, messages: [{ role: 'user' as const, content }] }
      const { usage } = await openaiClient(server).chat.completions.create(asked)
      return [usage?.prompt_tokens ?? 0, usage?.prompt_tokens_details?.cached_tokens ?? 0] as const
    }
    const numbers = Array.from({ length: 60 }, (_, index) => index * 7).join(' ')
    const [prompt, none] = await ask(`${numbers} 1 2 3 4 5 6`)
    const [again, most] = await ask(`${numbers} 1 2 3 4 5 6`)
    const [, fewer] = await ask(`${numbers} 1 2 9 9 9 9`)
    expect(again).toBe(prompt)
    expect(none).toBeLessThan(20)
    expect(most).toBe(prompt - 1)
    expect(fewer).toBeLessThan(most)
    expect(fewer).toBeGreaterThan(prompt / 2)
  })

  test('of the answer fill the window exactly where nothing else ends it, and a longer prompt is refused in every dialect', async () => {
    const bias = { 1: -100, 106: -100 }
    const { choices, usage } = await openaiClient(server).completions.create({
      ...{ model, prompt: 'Hi how are you', temperature: 0, max_tokens: 5000, logit_bias: bias },
    })
    expect([choices[0]?.finish_reason, usage?.total_tokens]).toEqual(['length', contextSize])
    const content = 'What is the best book? '.repeat(100)
    const long = [{ role: 'user' as const, content }]
    const { error } = await bodyOf<OpenaiError>(await postV1(server, '/chat/completions', { messages: long }))
    expect(error).toMatchObject({ code: 'context_length_exceeded', type: 'invalid_request_error' })
    expect(error.message).toMatch(/[5-9]\d\d.*512/)
    const refusals = [
      () => openaiClient(server).completions.create({ model, prompt: content }),
      () => openaiClient(server).responses.create({ model, input: content, stream: true }),
      () => anthropicClient(server).messages.create({ model, max_tokens: 5, messages: long }),
      () => ollamaClient(server).chat({ model, messages: long, stream: true }),
    ]
    for (const refuse of refusals) await expect(refuse()).rejects.toThrow(/[5-9]\d\d.*512/)
  })
})

describe('text', () => {
  test('of the log-probabilities is that of the answer, whole and streamed', async () => {
    const { completions } = openaiClient(server).chat
    const asked = { model, messages, temperature: 0, max_tokens: 8, logprobs: true, top_logprobs: 5 }
    const [choice] = (await completions.create(asked)).choices
    const tokens = choice?.logprobs?.content ?? []
    expect(tokens).toHaveLength(8)
    expect(tokens.map(({ token }) => token).join('')).toBe(choice?.message.content)
    for (const { logprob, bytes, top_logprobs: top } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0)
      expect(bytes?.length).toBeGreaterThan(0)
      expect(top).toHaveLength(5)
    }
    const streamed: typeof tokens = []
    let text = ''
    for await (const { choices } of await completions.create({ ...asked, stream: true })) {
      text += choices[0]?.delta.content ?? ''
      streamed.push(...(choices[0]?.logprobs?.content ?? []))
    }
    expect([text, streamed]).toEqual([choice?.message.content, tokens])
    const [bare] = (await completions.create({ ...asked, top_logprobs: 0 })).choices
    expect(bare?.logprobs?.content?.every(({ top_logprobs: top }) => top.length === 0)).toBe(true)
    expect((await completions.create({ model, messages, max_tokens: 2 })).choices[0]?.logprobs).toBeNull()
  })

  test('ends before a stop text that lies across tokens, in every dialect', async () => {
    const ask = (stop?: string[]) => {
      return openaiClient(server).chat.completions.create({
        model,
        messages,
        temperature: 0,
        max_tokens: 40,
        ...(stop && { stop }),
      })
    }
    const whole = (await ask()).choices[0]?.message.content ?? ''
    const at = Math.floor(whole.length / 2)
    const stop = whole.slice(at, at + 5)
    const expected = whole.slice(0, whole.indexOf(stop))
    expect((await ask(['never written', stop])).choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: expected },
    })
    const { chunks } = await streamV1(server, '/chat/completions', { messages, temperature: 0, max_tokens: 40, stop })
    expect(textOf(chunks)).toBe(expected)
    const anthropic = await anthropicClient(server).messages.create({
      ...{ model, max_tokens: 40, temperature: 0, system, stop_sequences: [stop] },
      messages: [user],
    })
    expect(anthropic).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: stop, content: [{ text: expected }] })
    const options = { temperature: 0, num_predict: 40, stop: [stop] }
    const ollama = await ollamaClient(server).chat({ model, messages, options })
    expect(ollama).toMatchObject({ done_reason: 'stop', message: { content: expected } })
  })

  test('that an assistant’s message begins is gone on with, and is no part of the answer', async () => {
    const { completions } = openaiClient(server).chat
    const ask = (content: string | { type: 'text'; text: string }[]) => {
      const begun = [...messages, { role: 'assistant' as const, content }]
      return completions.create({ model, messages: begun, temperature: 0, max_tokens: 8 })
    }
    const plain = await ask('The best book is')
    expect(plain.choices[0]?.message.content).not.toContain('The best book is')
    const longer = await ask(`The best book is${plain.choices[0]?.message.content}`)
    expect(longer.usage?.prompt_tokens).toBeGreaterThan(plain.usage?.prompt_tokens ?? 0)
    expect((await ask([{ type: 'text', text: 'The best book is' }])).choices).toEqual(plain.choices)
  })

  test('with a NUL or half a character pair in it is read to its end', async () => {
    const count = async (prompt: string) => {
      const body = { prompt, max_tokens: 1 }
      const { usage } = await bodyOf<{ usage: { prompt_tokens: number } }>(await postV1(server, '/completions', body))
      return usage.prompt_tokens
    }
    const [short, long, half] = [
      await count('a\0'),
      await count(`a\0${' word'.repeat(20)}`),
      await count(`a\ud83d${' word'.repeat(20)}`),
    ]
    expect(long - short).toBe(20)
    expect(half).toBeGreaterThan(20)
  })
})

describe('a format', () => {
  test.each<readonly [schema: Record<string, unknown>, expected: RegExp]>([
    [{ const: '42' }, /^"42"$/],
    [{ const: 'foooooo' }, /^"foooooo"$/],
    [{ type: 'array', items: { type: 'integer' }, maxItems: 2 }, /^\[\s*(-?\d+(,\s*-?\d+)?)?\s*\]$/],
    [{ type: 'string', pattern: '^(\\d{1,3}\\.){3}\\d{1,3}$' }, /^"(\d{1,3}\.){3}\d{1,3}"$/],
    [{ enum: ['Python', 'Rust'] }, /^"(Python|Rust)"$/],
  ])('%j is kept to', async (schema, expected) => {
    const format = { type: 'json_schema' as const, json_schema: { name: 'x', schema } }
    const asked = { model, messages, response_format: format, max_tokens: 60, temperature: 1 }
    for (const seed of [1, 2, 3]) {
      const { choices } = await openaiClient(server).chat.completions.create({ ...asked, seed })
      expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: expect.stringMatching(expected) } })
    }
  })

  const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'] }
  const tools = [{ type: 'function' as const, function: { name: 'get_weather', parameters } }]
  const named = { type: 'function' as const, function: { name: 'get_weather' } }

  test.each(['required', named] as const)('of a call that must be made is kept to, cut short too: %j', async (choice) => {
    const asked = { model, messages, tools, tool_choice: choice, temperature: 1, seed: 3 }
    const { completions } = openaiClient(server).chat
    const cut = (await completions.create({ ...asked, max_tokens: 1 })).choices[0]
    expect(cut?.finish_reason).toBe('length')
    const [whole] = (await completions.create({ ...asked, max_tokens: 100 })).choices
    expect(whole).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
    const [call] = whole?.message.tool_calls ?? []
    expect(call).toMatchObject({ type: 'function', function: { name: 'get_weather' } })
    const written = call?.type === 'function' ? call.function.arguments : ''
    expect(JSON.parse(written)).toEqual({ city: expect.any(String) })
    const streamed = await completions.stream({ ...asked, max_tokens: 100 }).finalChatCompletion()
    const [again] = streamed.choices[0]?.message.tool_calls ?? []
    expect(again).toMatchObject({ function: { arguments: written } })
    expect(again?.id).not.toBe(call?.id)
  })
})

describe('vectors', () => {
  const texts = [
    'I believe the meaning of life is',
    'This is a test',
    'I believe the meaning of life is',
    'word '.repeat(200).trim(),
  ]

  test('have unit length, their own place, and are the same for the same text, alone and beside others', async () => {
    const { embeddings } = openaiClient(server)
    const { data, usage } = await embeddings.create({ model: 'all-MiniLM-L6-v2', input: texts, encoding_format: 'float' })
    expect(data.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    for (const { embedding: vector } of data)
      expect([vector.length, Math.round(Math.hypot(...vector) * 1000)]).toEqual([384, 1000])
    for (const [place, value] of (data[2]?.embedding ?? []).entries())
      expect(value).toBeCloseTo(data[0]?.embedding[place] ?? 9, 3)
    let sum = 0
    for (const [index, input] of texts.entries()) {
      const one = await embeddings.create({ model: 'all-MiniLM-L6-v2', input })
      sum += one.usage.prompt_tokens
      const cosine = (one.data[0]?.embedding ?? []).reduce((dot, value, at) => dot + value * (data[index]?.embedding[at] ?? 0), 0)
      expect(cosine).toBeGreaterThan(0.9999)
    }
    expect(usage).toEqual({ prompt_tokens: sum, total_tokens: sum })
    expect((await embeddings.create({ model: 'all-MiniLM-L6-v2', input: 'This is a test' })).usage.prompt_tokens).toBe(6)
  })

  test('of a text that is too long are refused with both numbers, and cut only where that is asked for', async () => {
    const input = 'word '.repeat(10_000)
    const asked = openaiClient(server).embeddings.create({ model: 'all-MiniLM-L6-v2', input: ['fine', input] })
    await expect(asked).rejects.toMatchObject({ status: 400, message: expect.stringMatching(/1000\d.*256|256.*1000\d/) })
    const ollama = ollamaClient(server)
    const cut = await ollama.embed({ model: 'all-MiniLM-L6-v2', input, truncate: true })
    expect([cut.embeddings[0]?.length, cut.prompt_eval_count]).toEqual([384, 256])
    await expect(ollama.embed({ model: 'all-MiniLM-L6-v2', input, truncate: false })).rejects.toMatchObject({ status_code: 400 })
  })
})
