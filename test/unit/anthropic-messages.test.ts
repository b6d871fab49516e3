import Anthropic from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'
import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema'
import { describe, expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { type AnthropicError, anthropicClient, calls, ends, hello, postMessages, says, thinks } from '../anthropic-client.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { openaiClient } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

const scripted = (...events: readonly GenerateEvent[]) => startServer({ host: createScriptedHost(() => events) })

describe('the official client', () => {
  test('reads a whole answer', async () => {
    await using server = await scripted(...thinks('Hm.'), ...says('Hola', '.'), ...ends())
    const message: Anthropic.Message = await anthropicClient(server).messages.create(hello)
    expect(message).toMatchObject({
      id: expect.stringMatching(/^msg_/),
      type: 'message',
      role: 'assistant',
      model: 'scripted',
      content: [
        { type: 'thinking', thinking: 'Hm.', signature: '' },
        { type: 'text', text: 'Hola.' },
      ],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 7, output_tokens: 3, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
    })
  })

  test.each<[GenerateEvent[], string, string | null]>([
    [ends('stop', 'END'), 'stop_sequence', 'END'],
    [ends('length'), 'max_tokens', null],
    [ends('content-filter'), 'refusal', null],
  ])('learns why an answer ended', async (end, reason, sequence) => {
    await using server = await scripted(...says('a'), ...end)
    const message = await anthropicClient(server).messages.create(hello)
    expect([message.stop_reason, message.stop_sequence]).toEqual([reason, sequence])
    expect(message.stop_details?.type).toBe(reason === 'refusal' ? 'refusal' : undefined)
  })

  test('gets what the OpenAI endpoint gives, from the same model', async () => {
    const answer = (prompt: string) => ({ pieces: [`${prompt.length} `, 'letters', ' END', ' more'] })
    await using server = await startServer({ host: createFakeEngine({ answer }) })
    const messages = [{ role: 'user' as const, content: 'How many?' }]
    const message = await anthropicClient(server).messages.create({
      model: 'fake',
      max_tokens: 50,
      messages,
      stop_sequences: ['END'],
    })
    const completion = await openaiClient(server).chat.completions.create({
      model: 'fake',
      max_tokens: 50,
      messages,
      stop: 'END',
    })
    expect(message.content).toEqual([{ type: 'text', text: completion.choices[0]?.message.content, citations: null }])
  })

  test('runs tools until the model has its answer, whole and streamed', async () => {
    const isDone = ({ prompt }: GenerateRequest) => prompt.type === 'chat' && prompt.messages.at(-1)?.role === 'tool'
    const call = [...says('I look.'), ...calls(0, 'call_1', 'weather', '{"city":', '"Bilbao"}'), ...ends('tool-calls')]
    const host = createScriptedHost((request) => (isDone(request) ? [...says('It rains.'), ...ends()] : call))
    await using server = await startServer({ host })
    const asked: string[] = []
    const weather = betaTool({
      name: 'weather',
      description: 'Tells the weather.',
      inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } as const,
      run: ({ city }) => {
        asked.push(city)
        return 'rain'
      },
    })
    const params = { ...hello, tools: [weather] }
    const whole = await anthropicClient(server).beta.messages.toolRunner(params)
    let streamed: Anthropic.Beta.BetaMessage | undefined
    for await (const stream of anthropicClient(server).beta.messages.toolRunner({ ...params, stream: true }))
      streamed = await stream.finalMessage()
    expect([whole.content[0], streamed?.content[0]]).toMatchObject([{ text: 'It rains.' }, { text: 'It rains.' }])
    expect(asked).toEqual(['Bilbao', 'Bilbao'])
    expect(host.asked.at(-1)?.prompt).toMatchObject({
      messages: [
        { role: 'user' },
        { role: 'assistant', content: 'I look.', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Bilbao"}' }] },
        { role: 'tool', toolCallId: 'call_1', content: 'rain' },
      ],
    })
  })

  test('parses the JSON that it asked for by a schema', async () => {
    const host = createScriptedHost(() => [...says('{"sum":', '4}'), ...ends()])
    await using server = await startServer({ host })
    const schema = {
      type: 'object',
      properties: { sum: { type: 'number' } },
      required: ['sum'],
      additionalProperties: false,
    } as const
    const message = await anthropicClient(server).messages.parse({
      ...hello,
      output_config: { format: jsonSchemaOutputFormat(schema) },
    })
    expect(message.parsed_output).toEqual({ sum: 4 })
    expect(host.asked[0]?.format?.type).toBe('json-schema')
  })

  test('counts tokens, lists models page by page and describes one', async () => {
    await using server = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: [] }), models: ['a', 'b', 'c'] }),
    })
    const client = anthropicClient(server)
    const messages = [{ role: 'user' as const, content: 'Hola' }]
    const { input_tokens: tokens } = await client.messages.countTokens({ model: 'a', messages })
    const { input_tokens: more } = await client.beta.messages.countTokens({ model: 'a', messages, system: 'Be brief.' })
    expect(more).toBeGreaterThan(tokens)
    const names: string[] = []
    for await (const { id, type } of client.models.list({ limit: 2 })) names.push(`${type} ${id}`)
    expect(names.slice(0, 3)).toEqual(['model a', 'model b', 'model c'])
    expect((await client.models.list({ before_id: 'c', limit: 1 })).data.map(({ id }) => id)).toEqual(['b'])
    expect(await client.models.retrieve('b')).toMatchObject({ type: 'model', id: 'b', display_name: 'b' })
    await expect(client.models.retrieve('none')).rejects.toThrow(Anthropic.NotFoundError)
  })

  test('frees the model when it leaves a stream', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), pauseMs: 1 })
    await using server = await startServer({ host })
    const stream = anthropicClient(server).messages.stream({ ...hello, model: 'fake', max_tokens: 3000 })
    await new Promise<void>((resolve) => stream.once('text', () => resolve()))
    expect(host.status().active).toBe(1)
    stream.abort()
    await expect(stream.finalMessage()).rejects.toThrow(Anthropic.APIUserAbortError)
    await expect.poll(() => host.status().active).toBe(0)
  })
})

describe('a call whose arguments are no JSON', () => {
  test('is an error where the model wrote it so', async () => {
    await using server = await scripted(...calls(0, 'call_1', 'weather', '{"city":'), ...ends('tool-calls'))
    await expect(anthropicClient(server).messages.create(hello)).rejects.toThrow(Anthropic.InternalServerError)
  })

  test('has no input where max_tokens cut it off', async () => {
    await using server = await scripted(...calls(0, 'call_1', 'weather', '{"city":'), ...ends('length'))
    const { content, stop_reason: reason } = await anthropicClient(server).messages.create(hello)
    expect([content[0], reason]).toMatchObject([{ type: 'tool_use', input: {} }, 'max_tokens'])
  })
})

describe('an error', () => {
  test.each([
    ['invalid', Anthropic.BadRequestError, 400, 'invalid_request_error'],
    ['context_length_exceeded', Anthropic.BadRequestError, 400, 'invalid_request_error'],
    ['forbidden', Anthropic.PermissionDeniedError, 403, 'permission_error'],
    ['not_found', Anthropic.NotFoundError, 404, 'not_found_error'],
    ['quota_exceeded', Anthropic.RateLimitError, 429, 'rate_limit_error'],
    ['internal', Anthropic.InternalServerError, 500, 'api_error'],
    ['busy', Anthropic.OverloadedError, 529, 'overloaded_error'],
    ['unavailable', Anthropic.ServiceUnavailableError, 503, 'api_error'],
  ] as const)('%s is the class of the official client for it', async (code, expected, status, type) => {
    const host = createScriptedHost(() => {
      throw new AppError(code, 'No.')
    })
    await using server = await startServer({ host })
    const error = await anthropicClient(server)
      .messages.create(hello)
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(expected)
    expect(error).toMatchObject({ status, type, requestID: expect.stringMatching(/./) })
  })

  test('that a wait may mend is tried again by the official client, but not a quota', async () => {
    let asked = 0
    const failing = (code: 'busy' | 'quota_exceeded') =>
      createScriptedHost(() => {
        asked += 1
        if (asked === 1) throw new AppError(code, 'No.', { retryAfterSeconds: 1 })
        return [...says('Now.'), ...ends()]
      })
    await using busy = await startServer({ host: failing('busy') })
    const { content } = await anthropicClient(busy, { maxRetries: 1 }).messages.create(hello)
    expect([content[0], asked]).toMatchObject([{ text: 'Now.' }, 2])
    asked = 0
    await using spent = await startServer({ host: failing('quota_exceeded') })
    await expect(anthropicClient(spent, { maxRetries: 1 }).messages.create(hello)).rejects.toThrow(Anthropic.RateLimitError)
    expect(asked).toBe(1)
  })

  test('of any kind has the form and the request id of this dialect', async () => {
    await using server = await scripted()
    const responses = await Promise.all([
      postMessages(server, '{'),
      postMessages(server, 'x'.repeat(9_000_000)),
      postMessages(server, hello, {}, '/batches'),
      fetch(`${server.url}/v1/messages`),
    ])
    const bodies = await Promise.all(responses.map((response) => bodyOf<AnthropicError>(response)))
    expect(responses.map(({ status }) => status)).toEqual([400, 413, 404, 404])
    expect(bodies.map(({ error }) => error.type)).toEqual([
      'invalid_request_error',
      'request_too_large',
      'not_found_error',
      'not_found_error',
    ])
    for (const [index, body] of bodies.entries()) {
      expect(body.type).toBe('error')
      expect(responses[index]?.headers.get('request-id')).toBe(body.request_id)
    }
  })
})

describe('a caller', () => {
  const closed = { settings: { ALLOW_ANONYMOUS: 'false' } }

  test('is known by a token in x-api-key as in authorization', async () => {
    const host = createScriptedHost(() => [...says('Hola'), ...ends()])
    await using server = await startServer({ host, ...closed })
    const token = await server.login('ana')
    await anthropicClient(server, { apiKey: token }).messages.create(hello)
    await postMessages(server, hello, { 'x-api-key': token })
    expect(host.asked.map(({ user }) => user)).toEqual([expect.stringMatching(/^user:/), host.asked[0]?.user])
    expect((await postMessages(server, hello, { 'x-api-key': 'none' })).status).toBe(401)
  })

  test('without one is refused in the form of this dialect', async () => {
    await using server = await startServer({ host: createScriptedHost(() => []), ...closed })
    for (const apiKey of ['none', 'sk-ant-api03-x', 'a.b.c']) {
      const error = await anthropicClient(server, { apiKey })
        .messages.create(hello)
        .catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(Anthropic.AuthenticationError)
      expect(error).toMatchObject({ type: 'authentication_error', requestID: expect.stringMatching(/./) })
    }
  })

  test('with a placeholder is anonymous where that is allowed, but not with a token that is not good', async () => {
    await using server = await scripted(...says('Hola'), ...ends())
    await anthropicClient(server, { apiKey: 'ollama' }).messages.create(hello)
    await expect(anthropicClient(server, { apiKey: 'a.b.c' }).messages.create(hello)).rejects.toThrow(
      Anthropic.AuthenticationError,
    )
  })
})
