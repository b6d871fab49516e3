import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { GenerateEvent, TokenLogprob } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { joinLines, linesOf, type OllamaLine, ollamaClient, postApi } from '../ollama-client.ts'
import { postV1 } from '../openai-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

const messages = [{ role: 'user', content: 'Hola' }]
const twenty = Array.from({ length: 20 }, (_, index) => `t${index} `)
const text = (piece: string): GenerateEvent => ({ type: 'text-delta', index: 0, text: piece })
const thought = (piece: string): GenerateEvent => ({ type: 'reasoning-delta', index: 0, text: piece })
const call = (index: number, name: string, ...pieces: string[]): GenerateEvent[] => [
  { type: 'tool-call-start', index: 0, call: index, id: `id-${index}`, name },
  ...pieces.map((piece) => ({ type: 'tool-call-delta' as const, index: 0, call: index, text: piece })),
]
const ended = (reason: 'stop' | 'length' | 'tool-calls' | 'content-filter' = 'stop'): GenerateEvent[] => [
  { type: 'choice-end', index: 0, reason },
  generationEnd(),
]

const scripted = (...events: readonly GenerateEvent[]) => {
  const host = createScriptedHost(() => events)
  return startServer({ host }).then((server) => ({ ...server, host }))
}
const repeating = (pieces: readonly string[] = twenty) =>
  startServer({ host: createFakeEngine({ answer: () => ({ pieces }), models: ['fake'] }) })

describe('the official client', () => {
  test('reads a stream to its end, and its numbers', async () => {
    await using server = await repeating()
    const parts: string[] = []
    const dones: boolean[] = []
    for await (const { message, done, model, ...end } of await ollamaClient(server).chat({
      model: 'fake',
      messages,
      stream: true,
    })) {
      parts.push(message.content)
      dones.push(done)
      expect(model).toBe('fake')
      if (done) expect(end).toMatchObject({ done_reason: 'stop', eval_count: 20, prompt_eval_count: 21 })
    }
    expect(parts.join('')).toBe(twenty.join(''))
    expect(dones.indexOf(true)).toBe(dones.length - 1)
  })

  test('gets a whole answer of a conversation and of a prompt', async () => {
    await using server = await repeating()
    const client = ollamaClient(server)
    const chat = await client.chat({ model: 'fake:latest', messages })
    expect(chat).toMatchObject({ model: 'fake:latest', message: { role: 'assistant', content: twenty.join('') }, done: true })
    const generated = await client.generate({ model: 'fake', prompt: 'Hola', options: { num_predict: 3 } })
    expect(generated).toMatchObject({ response: 't0 t1 t2 ', done: true, done_reason: 'length', eval_count: 3 })
  })

  test('leaves a stream, and the model is free', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['again '], end: false }), contextSize: 100_000 })
    await using server = await startServer({ host })
    const client = ollamaClient(server)
    const stream = await client.chat({ model: 'fake', messages, stream: true })
    const read = async () => {
      for await (const { message } of stream) if (message.content !== '') client.abort()
    }
    await expect(read()).rejects.toThrow('abort')
    while (host.status().active > 0) await new Promise((resolve) => setImmediate(resolve))
  })

  test('calls tools and sends their results back, without ids', async () => {
    await using server = await scripted(
      text('Let me see.'),
      ...call(0, 'add', '{"a":', '1}'),
      ...call(1, 'now'),
      ...ended('tool-calls'),
    )
    const client = ollamaClient(server)
    const tools = [{ type: 'function', function: { name: 'add', description: 'Adds', parameters: { type: 'object' } } }]
    const { message, done_reason } = await client.chat({ model: 'scripted', messages, tools })
    expect(message).toEqual({
      role: 'assistant',
      content: 'Let me see.',
      tool_calls: [
        { id: 'id-0', function: { index: 0, name: 'add', arguments: { a: 1 } } },
        { id: 'id-1', function: { index: 1, name: 'now', arguments: {} } },
      ],
    })
    expect(done_reason).toBe('stop')
    const results = [
      { role: 'tool', content: '12:00', tool_name: 'now' },
      { role: 'tool', content: '2', tool_name: 'add' },
    ]
    await client.chat({ model: 'scripted', messages: [...messages, message, ...results], tools })
    expect(server.host.asked[1]?.prompt).toMatchObject({
      messages: [
        { role: 'user' },
        {
          toolCalls: [
            { id: 'id-0', name: 'add', arguments: '{"a":1}' },
            { id: 'id-1', arguments: '{}' },
          ],
        },
        { role: 'tool', toolCallId: 'id-1', content: '12:00' },
        { role: 'tool', toolCallId: 'id-0', content: '2' },
      ],
      tools: { tools: [{ name: 'add', description: 'Adds', parameters: { type: 'object' } }], choice: 'auto', parallel: true },
    })
  })

  test('streams calls whole, one a line, and thoughts apart from the text', async () => {
    await using server = await scripted(
      thought('Hm'),
      thought('…'),
      text('So.'),
      ...call(0, 'add', '{"a"', ':1}'),
      ...call(1, 'now', '{}'),
      ...ended('tool-calls'),
    )
    const stream = await ollamaClient(server).chat({ model: 'scripted', messages, stream: true, think: true })
    const parts = []
    for await (const { message } of stream) parts.push(message)
    expect(
      parts.map(({ content, thinking, tool_calls: calls }) => [content, thinking, calls?.map((one) => one.function.name)]),
    ).toEqual([
      ['', 'Hm', undefined],
      ['', '…', undefined],
      ['So.', undefined, undefined],
      ['', undefined, ['add']],
      ['', undefined, ['now']],
      ['', undefined, undefined],
    ])
  })

  test('is told what is wrong, and by which status', async () => {
    await using server = await repeating()
    const client = ollamaClient(server)
    await expect(client.chat({ model: 'nobody', messages })).rejects.toMatchObject({
      status_code: 404,
      error: expect.stringContaining('No model is called "nobody"'),
    })
    const options = { temperature: -1 }
    await expect(client.generate({ model: 'fake', prompt: 'x', options })).rejects.toMatchObject({
      status_code: 400,
      error: '"options.temperature" must be >= 0, but is -1.',
    })
    await expect(client.generate({ model: 'fake', prompt: 'x', stream: true, suffix: 'y' })).rejects.toThrow(
      '"suffix" must be left out',
    )
  })
})

describe('on the wire', () => {
  test('a stream is the default: lines of JSON, the last one with the numbers in nanoseconds', async () => {
    const timings = { queueMs: 1, promptMs: 2.5, firstTokenMs: 4, generationMs: 6, tokensPerSecond: 1 }
    const usage = { promptTokens: 7, completionTokens: 3, cachedPromptTokens: 0 }
    const end: GenerateEvent = { type: 'generation-end', usage, timings }
    await using server = await scripted(text('a\nb'), text('\u2028😀'), { type: 'choice-end', index: 0, reason: 'stop' }, end)
    const response = await postApi(server, '/chat', { model: 'scripted', messages })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-ndjson'])
    const lines = await linesOf(response)
    const head = { model: 'scripted', created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) }
    expect(lines).toEqual([
      { ...head, message: { role: 'assistant', content: 'a\nb' }, done: false },
      { ...head, message: { role: 'assistant', content: '\u2028😀' }, done: false },
      {
        ...head,
        message: { role: 'assistant', content: '' },
        done: true,
        done_reason: 'stop',
        total_duration: 10_000_000,
        load_duration: 1_000_000,
        prompt_eval_count: 7,
        prompt_eval_duration: 2_500_000,
        eval_count: 3,
        eval_duration: 6_000_000,
        prediction_id: response.headers.get('x-simpleia-prediction-id'),
      },
    ])
    const whole = await bodyOf<OllamaLine>(await postApi(server, '/generate', { model: 'scripted', prompt: 'x', stream: false }))
    const { message: _none, ...numbers } = lines[2] ?? {}
    expect(whole).toEqual({ ...numbers, ...head, prediction_id: expect.any(String), response: 'a\nb\u2028😀' })
  })

  test('a failure on the way is a line, and one at the start a status', async () => {
    const host = createScriptedHost(function* ({ prompt }) {
      if (prompt.type === 'chat') yield text('half')
      throw new AppError('unavailable', 'The model has died.')
    })
    await using server = await startServer({ host })
    const lines = await linesOf(await postApi(server, '/chat', { model: 'scripted', messages }))
    expect(lines).toEqual([expect.objectContaining({ done: false }), { error: 'The model has died.' }])
    const refused = await postApi(server, '/generate', { model: 'scripted', prompt: 'x', raw: true })
    expect([refused.status, await refused.json()]).toEqual([503, { error: 'The model has died.' }])
    expect(refused.headers.get('retry-after')).toBe('1')
  })

  test('a call that nobody can read is a failure, unless the answer was cut in it', async () => {
    await using server = await scripted(...call(0, 'add', '{"a":1}'), ...call(1, 'add', '{"a":'), ...ended('tool-calls'))
    const whole = await postApi(server, '/chat', { model: 'scripted', messages, stream: false })
    expect([whole.status, (await bodyOf<{ error: string }>(whole)).error]).toEqual([
      502,
      expect.stringContaining('no JSON object'),
    ])
    await using cut = await scripted(...call(0, 'add', '{"a":1}'), ...call(1, 'add', '{"a":'), ...ended('length'))
    for (const stream of [true, false]) {
      const { calls, reason } = joinLines(await linesOf(await postApi(cut, '/chat', { model: 'scripted', messages, stream })))
      expect([calls.map(({ id }) => id), reason]).toEqual([['id-0'], 'length'])
    }
  })

  test('log-probabilities come with their lines, and the alternatives where they were asked for', async () => {
    const token: TokenLogprob = { text: 'a', bytes: [97], logprob: -0.5, top: [{ text: 'a', bytes: [97], logprob: -0.5 }] }
    await using server = await scripted({ type: 'text-delta', index: 0, text: 'a', tokens: [token] }, ...ended())
    const body = { model: 'scripted', messages, logprobs: true, top_logprobs: 1 }
    const expected = [{ token: 'a', logprob: -0.5, bytes: [97], top_logprobs: [{ token: 'a', logprob: -0.5, bytes: [97] }] }]
    expect((await linesOf(await postApi(server, '/chat', body)))[0]?.logprobs).toEqual(expected)
    const whole = await bodyOf<OllamaLine>(await postApi(server, '/chat', { ...body, stream: false }))
    expect(whole.logprobs).toEqual(expected)
    expect(server.host.asked.map(({ logprobs }) => logprobs)).toEqual([1, 1])
  })

  test('what curl sends as a form is read as the JSON that it is, but not from a page of another site', async () => {
    await using server = await repeating()
    const body = { model: 'fake', prompt: 'x', stream: false }
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await postApi(server, '/generate', body, form)).status).toBe(200)
    expect((await postApi(server, '/generate', 'model=fake', form)).status).toBe(400)
    const foreign = await postApi(server, '/generate', body, { ...form, origin: 'https://evil.example' })
    expect([foreign.status, await foreign.json()]).toEqual([403, { error: expect.stringContaining('other sites') }])
  })
})

const anyEvents = fc
  .tuple(
    fc.array(fc.string({ unit: fc.constantFrom('\n', '\r', '"', '\\', '\u2028', '😀', 'a', '\u0000') }).map(thought), {
      maxLength: 4,
    }),
    fc.array(fc.string({ unit: fc.constantFrom('\n', '\r', '"', '{', '\u2028', '😀', 'a', '}') }).map(text), { maxLength: 6 }),
    fc.array(fc.tuple(fc.constantFrom('add', 'now'), fc.dictionary(fc.string(), fc.jsonValue())), { maxLength: 3 }),
    fc.constantFrom('stop' as const, 'length' as const, 'tool-calls' as const, 'content-filter' as const),
  )
  .map(([thoughts, texts, calls, reason]) => {
    const made = calls.flatMap(([name, value], index) => call(index, name, ...(JSON.stringify(value).match(/.{1,3}/gsu) ?? [])))
    return [...thoughts, ...texts, ...made, ...ended(reason)]
  })

test('a stream joined is the whole answer, whatever the model writes', async () => {
  let events: readonly GenerateEvent[] = []
  await using server = await startServer({ host: createScriptedHost(() => events) })
  await fc.assert(
    fc.asyncProperty(anyEvents, fc.constantFrom('/chat', '/generate'), async (script, path) => {
      events = script
      const body = {
        model: 'scripted',
        messages: path === '/chat' ? messages : undefined,
        prompt: path === '/chat' ? undefined : 'x',
      }
      const stream = joinLines(await linesOf(await postApi(server, path, body)))
      const whole = joinLines(await linesOf(await postApi(server, path, { ...body, stream: false })))
      expect(stream).toEqual(whole)
    }),
    { numRuns: 60 },
  )
})

test('a question has the same text here and under /v1, with a seed and without', async () => {
  await using server = await startServer({ host: createFakeEngine({ answer: (prompt) => ({ pieces: Array.from(prompt) }) }) })
  for (const options of [{}, { temperature: 0.7, seed: 5, top_k: 3, num_predict: 4 }]) {
    const { num_predict: limit, ...sampling } = { num_predict: undefined, ...options }
    const openai = await bodyOf<{ choices: { message: { content: string } }[] }>(
      await postV1(server, '/chat/completions', { model: 'fake', messages, ...sampling, max_tokens: limit ?? null }),
    )
    const ollama = await bodyOf<OllamaLine>(await postApi(server, '/chat', { model: 'fake', messages, options, stream: false }))
    expect(ollama.message?.content).toBe(openai.choices[0]?.message.content)
    expect(ollama.message?.content).not.toBe('')
  }
})
