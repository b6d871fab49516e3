import fc from 'fast-check'
import { fastify } from 'fastify'
import { describe, expect, test } from 'vitest'
import { anthropicRoutes } from '../../src/dialects/anthropic.ts'
import { toMessageEvents } from '../../src/dialects/anthropic-stream.ts'
import type { GenerateEvent } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createSchemaCompilers } from '../../src/http/schema-compilers.ts'
import type { Predict, Target } from '../../src/predict/predict.ts'
import { anthropicClient, calls, ends, hello, postMessages, says, streamMessages, thinks } from '../anthropic-client.ts'
import { createScriptedHost, noTimings } from '../scripted-host.ts'
import { startServer } from '../server.ts'
import { parseEventStream, readEvents } from '../sse-parser.ts'

const scripted = (events: readonly GenerateEvent[]) => startServer({ host: createScriptedHost(() => events) })

const everything: GenerateEvent[] = [
  ...thinks('Let me', ' see.'),
  { type: 'reasoning-delta', index: 0, text: '', signature: 'signed' },
  ...says('I look', ' it up.'),
  ...calls(0, 'call_1', 'weather', '{"city":', '"Bilbao"}'),
  ...calls(1, 'call_2', 'time', ''),
  ...ends('tool-calls'),
]

describe('the events of a stream', () => {
  test('come in the order and with the names that the official client wants', async () => {
    await using server = await scripted(everything)
    const events = await streamMessages(server, hello)
    expect(events.every(({ event, data }) => JSON.parse(data).type === event)).toBe(true)
    const told = events.map(({ data }) => JSON.parse(data))
    expect(told.map(({ type, index, delta, content_block: block }) => [type, index, delta?.type ?? block?.type])).toEqual([
      ['message_start', undefined, undefined],
      ['content_block_start', 0, 'thinking'],
      ['content_block_delta', 0, 'thinking_delta'],
      ['content_block_delta', 0, 'thinking_delta'],
      ['content_block_delta', 0, 'signature_delta'],
      ['content_block_stop', 0, undefined],
      ['content_block_start', 1, 'text'],
      ['content_block_delta', 1, 'text_delta'],
      ['content_block_delta', 1, 'text_delta'],
      ['content_block_stop', 1, undefined],
      ['content_block_start', 2, 'tool_use'],
      ['content_block_delta', 2, 'input_json_delta'],
      ['content_block_delta', 2, 'input_json_delta'],
      ['content_block_stop', 2, undefined],
      ['content_block_start', 3, 'tool_use'],
      ['content_block_stop', 3, undefined],
      ['message_delta', undefined, undefined],
      ['message_stop', undefined, undefined],
    ])
    expect(told[0].message).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: 'scripted',
      content: [],
      stop_reason: null,
    })
    expect(told[10].content_block).toMatchObject({ id: 'call_1', name: 'weather', input: {} })
  })

  test('tell the size of the prompt at the start, and what of it was remembered at the end', async () => {
    const { model, messages } = hello
    const usage = { promptTokens: 70, completionTokens: 3, cachedPromptTokens: 50, reasoningTokens: 2 }
    const script = [...says('a'), ...ends().slice(0, 1), { type: 'generation-end' as const, usage, timings: noTimings }]
    await using server = await scripted(script)
    const events = (await streamMessages(server, hello)).map(({ data }) => JSON.parse(data))
    const { input_tokens: counted } = await anthropicClient(server).messages.countTokens({ model, messages })
    expect(counted).toBeGreaterThan(0)
    expect(events[0].message.usage).toMatchObject({ input_tokens: counted, output_tokens: 0, cache_read_input_tokens: 0 })
    expect(events.at(-2).usage).toMatchObject({
      input_tokens: 20,
      cache_read_input_tokens: 50,
      cache_creation_input_tokens: 0,
      output_tokens: 3,
      output_tokens_details: { thinking_tokens: 2 },
    })
  })

  test('do not count a prompt where counting would leave the machine', async () => {
    const host = createScriptedHost(() => [...says('a'), ...ends()])
    let counts = 0
    const countTokens = async () => {
      counts += 1
      return 5
    }
    await using server = await startServer({ host: { ...host, ranOn: 'cloud', countTokens } })
    const [start] = await streamMessages(server, hello)
    expect([JSON.parse(start?.data ?? '').message.usage.input_tokens, counts]).toEqual([0, 0])
  })

  test('hold no thoughts where the caller wants none shown, but their signature', async () => {
    await using server = await scripted(everything)
    const body = { ...hello, thinking: { type: 'adaptive', display: 'omitted' } }
    const events = (await streamMessages(server, body)).map(({ data }) => JSON.parse(data))
    expect(events.slice(1, 4).map(({ delta, content_block: block }) => delta ?? block)).toEqual([
      { type: 'thinking', thinking: '', signature: '' },
      { type: 'signature_delta', signature: expect.stringMatching(/^omitted:[\w-]+$/) },
      undefined,
    ])
    const whole = JSON.parse(await (await postMessages(server, body)).text())
    expect(whole.content[0]).toEqual({ type: 'thinking', thinking: '', signature: events[2]?.delta.signature })
  })
})

describe('a failure', () => {
  function* failing(error: AppError, ...before: GenerateEvent[]): Generator<GenerateEvent> {
    yield* before
    throw error
  }

  test('before the first piece is an ordinary answer', async () => {
    await using server = await startServer({ host: createScriptedHost(() => failing(new AppError('busy', 'Full.'))) })
    const response = await postMessages(server, { ...hello, stream: true })
    expect([response.status, response.headers.get('retry-after')]).toEqual([529, '1'])
    expect(JSON.parse(await response.text()).error).toEqual({ type: 'overloaded_error', message: 'Full.' })
  })

  test('after it ends the stream with an error event, which the official client throws', async () => {
    const host = createScriptedHost(() => failing(new AppError('unavailable', 'The engine died.'), ...says('Ho')))
    await using server = await startServer({ host })
    const events = await streamMessages(server, hello)
    expect(events.at(-1)?.event).toBe('error')
    expect(JSON.parse(events.at(-1)?.data ?? '')).toEqual({
      type: 'error',
      error: { type: 'api_error', message: 'The engine died.' },
      request_id: expect.any(String),
    })
    const stream = anthropicClient(server).messages.stream(hello)
    await expect(stream.finalMessage()).rejects.toMatchObject({ type: 'api_error' })
  })
})

test('a silent stream says by pings that it lives, from before its first piece', async () => {
  const silences = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const first = Promise.withResolvers<void>()
  let waits = 0
  const target: Target = { provider: 'hf', model: 'scripted', ranOn: 'local', why: 'default', passedBy: [] }
  async function* events(): AsyncGenerator<GenerateEvent> {
    yield* [...says('Hola'), ...ends()]
  }
  const never = () => Promise.reject(new Error('This must not be asked.'))
  const predict: Predict = {
    choose: async () => target,
    countTokens: async () => ({ target, tokens: 5 }),
    complete: never,
    open: async () => {
      await first.promise
      const given = events()
      return { id: '1', target, events: given, [Symbol.asyncDispose]: () => given[Symbol.asyncDispose]() }
    },
  }
  await using http = fastify()
  http.setValidatorCompiler(createSchemaCompilers().validator)
  http.decorateReply('failure', undefined)
  await http.register(
    anthropicRoutes({
      predict,
      askerOf: () => ({ key: 'me', authenticated: false, userId: undefined, keyId: undefined }),
      limit: async () => {},
      waitInSilence: () => silences[waits++]?.promise ?? new Promise(() => {}),
    }),
  )
  const url = await http.listen({ host: '127.0.0.1', port: 0 })
  const answering = postMessages({ url }, { ...hello, stream: true })
  silences[0]?.resolve()
  const names: string[] = []
  for await (const { event } of readEvents(await answering)) {
    names.push(event)
    if (names.length === 1) silences[1]?.resolve()
    if (names.length === 2) first.resolve()
  }
  expect(names.slice(0, 4)).toEqual(['ping', 'ping', 'message_start', 'content_block_start'])
  expect(names.at(-1)).toBe('message_stop')
})

/** As engines answer: thoughts, then text, then calls. */
const scripts = fc
  .record({
    thoughts: fc.array(fc.string({ unit: 'binary' }), { maxLength: 3 }),
    signature: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
    texts: fc.array(fc.string({ unit: 'binary' }), { maxLength: 4 }),
    tools: fc.array(
      fc.record({
        input: fc.dictionary(fc.string(), fc.jsonValue()).filter((input) => !Object.hasOwn(input, '__proto__')),
        cuts: fc.array(fc.nat({ max: 30 })),
      }),
      { maxLength: 3 },
    ),
    reason: fc.constantFrom<'stop' | 'length' | 'content-filter'>('stop', 'length', 'content-filter'),
    stopText: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  })
  .map(({ thoughts, signature, texts, tools, reason, stopText }): GenerateEvent[] => [
    ...thinks(...thoughts),
    ...(signature === undefined ? [] : [{ type: 'reasoning-delta' as const, index: 0, text: '', signature }]),
    ...says(...texts),
    ...tools.flatMap(({ input, cuts }, call) => calls(call, `call_${call}`, `tool_${call}`, ...cut(JSON.stringify(input), cuts))),
    ...(tools.length > 0 ? ends('tool-calls') : ends(reason, reason === 'stop' ? stopText : undefined)),
  ])

function cut(text: string, lengths: readonly number[]): string[] {
  const pieces: string[] = []
  let rest = text
  for (const length of lengths) {
    pieces.push(rest.slice(0, length))
    rest = rest.slice(length)
  }
  return [...pieces, rest]
}

test('whatever is answered, the stream that the official client gathers is the whole answer', async () => {
  let script: readonly GenerateEvent[] = []
  await using server = await startServer({ host: createScriptedHost(() => script) })
  const client = anthropicClient(server)
  await fc.assert(
    fc.asyncProperty(scripts, async (events) => {
      script = events
      const { id: _one, ...whole } = await client.messages.create(hello)
      const { id: _other, ...streamed } = await client.messages.stream(hello).finalMessage()
      expect(JSON.parse(JSON.stringify(streamed))).toEqual({ ...whole, parsed_output: null })
    }),
    { numRuns: 60 },
  )
})

const anyEvents = fc
  .array(
    fc.oneof(
      fc.string().map((text) => says(text)),
      fc.string().map((text) => thinks(text)),
      fc.string().map((text) => calls(0, 'call', 'tool', text)),
    ),
    { maxLength: 10 },
  )
  .map((parts) => [...parts.flat(), ...ends()])

test('in whatever order pieces come, each block is closed before the next begins, and nothing is lost', async () => {
  await fc.assert(
    fc.asyncProperty(anyEvents, async (script) => {
      async function* events() {
        yield* script
      }
      let wire = ''
      for await (const frame of toMessageEvents(events(), { id: '1', model: 'm', inputTokens: 0, showsThinking: true }))
        wire += frame
      const told = parseEventStream(wire).map(({ data }) => JSON.parse(data))
      let open = -1
      let next = 0
      for (const { type, index } of told.filter((event) => 'index' in event)) {
        if (type === 'content_block_start') {
          expect([open, index]).toEqual([-1, next])
          open = index
          next += 1
        } else expect(index).toBe(open)
        if (type === 'content_block_stop') open = -1
      }
      expect(open).toBe(-1)
      const pieces = told.flatMap(({ delta }) => delta?.text ?? delta?.thinking ?? delta?.partial_json ?? [])
      const given = script.flatMap((event) => ('text' in event && event.text !== '' ? [event.text] : []))
      expect(pieces).toEqual(given)
      expect(told.at(-1)).toEqual({ type: 'message_stop' })
    }),
  )
})
