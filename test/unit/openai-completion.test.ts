import { expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { saying, tokenOf } from '../answer-scripts.ts'
import { openaiClient, postV1, streamV1, textOf } from '../openai-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

const model = 'scripted'
const promptOf = ({ prompt }: GenerateRequest) => (prompt.type === 'text' ? prompt.text : '')

/** Answers each prompt with itself in capitals, `choices` times. */
function* shout(request: GenerateRequest): Generator<GenerateEvent> {
  for (let index = 0; index < request.choices; index += 1) {
    yield { type: 'text-delta', index, text: promptOf(request).toUpperCase() }
    yield { type: 'text-delta', index, text: `${index}` }
    yield { type: 'choice-end', index, reason: 'stop' }
  }
  yield generationEnd(7, 3)
}

test('several prompts are answered one after the other, whole and streamed', async () => {
  const host = createScriptedHost(shout)
  await using server = await startServer({ host })
  const asked = { model, prompt: ['a', 'b', 'c'], n: 2 }
  const expected = ['A0', 'A1', 'B0', 'B1', 'C0', 'C1']
  const whole = await openaiClient(server).completions.create(asked)
  expect(whole.choices.map(({ index, text }) => [index, text])).toEqual(expected.map((text, index) => [index, text]))
  expect(whole.usage).toMatchObject({ prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 })
  const { chunks } = await streamV1(server, '/completions', { ...asked, stream_options: { include_usage: true } })
  expect(expected.map((_, index) => textOf(chunks, index))).toEqual(expected)
  expect(chunks.at(-1)?.usage).toEqual(whole.usage)
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
  expect(host.asked.map(promptOf)).toEqual(['a', 'b', 'c', 'a', 'b', 'c'])
})

test('a later prompt that cannot be answered ends the stream with its error', async () => {
  const host = createScriptedHost((request) => {
    if (promptOf(request) === 'b') throw new AppError('context_length_exceeded', 'Too long.')
    return shout(request)
  })
  await using server = await startServer({ host })
  const { events, chunks } = await streamV1(server, '/completions', { prompt: ['a', 'b'] })
  expect(textOf(chunks.slice(0, -1))).toBe('A0')
  expect(JSON.parse(events.at(-1)?.data ?? '')).toMatchObject({ error: { code: 'context_length_exceeded' } })
  expect((await postV1(server, '/completions', { prompt: ['b', 'a'], stream: true })).status).toBe(400)
})

test('echo gives each prompt before its answer, whole and streamed', async () => {
  await using server = await startServer({ host: createScriptedHost(shout) })
  const asked = { model, prompt: ['one ', 'two '], echo: true }
  const { choices } = await openaiClient(server).completions.create(asked)
  expect(choices.map(({ text }) => text)).toEqual(['one ONE 0', 'two TWO 0'])
  const { chunks } = await streamV1(server, '/completions', asked)
  expect([textOf(chunks, 0), textOf(chunks, 1)]).toEqual(['one ONE 0', 'two TWO 0'])
})

test('log-probabilities have the older form, with places that go on over a stream', async () => {
  const half = { ...tokenOf(''), text: '\u{fffd}', bytes: [0xc3] }
  const rest = { ...tokenOf(''), text: '\u{fffd}', bytes: [0xa9] }
  const answer = (): GenerateEvent[] => [
    { type: 'text-delta', index: 0, text: '😀', tokens: [tokenOf('😀')] },
    { type: 'text-delta', index: 0, text: 'é', tokens: [half, rest] },
    { type: 'text-delta', index: 0, text: 'x', tokens: [tokenOf('x')] },
    { type: 'choice-end', index: 0, reason: 'stop' },
    generationEnd(),
  ]
  await using server = await startServer({ host: createScriptedHost(answer) })
  const asked = { model, prompt: 'x', logprobs: 2 }
  const { choices } = await openaiClient(server).completions.create(asked)
  const whole = choices[0]?.logprobs
  expect(whole).toMatchObject({
    tokens: ['😀', '\u{fffd}', '\u{fffd}', 'x'],
    token_logprobs: [-0.5, -0.5, -0.5, -0.5],
    text_offset: [0, 1, 2, 2],
  })
  expect(whole?.top_logprobs?.[3]).toEqual({ x: -0.5, other: -9999 })
  const streamed = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] } as Record<string, unknown[]>
  for await (const chunk of await openaiClient(server).completions.create({ ...asked, stream: true }))
    for (const [name, values] of Object.entries(chunk.choices[0]?.logprobs ?? {})) streamed[name]?.push(...values)
  expect(streamed).toEqual(whole)
})

test('an answer without text has a reason, and no log-probabilities were asked for', async () => {
  await using server = await startServer({ host: createScriptedHost(() => saying()) })
  const answer = await bodyOf<{ choices: unknown }>(await postV1(server, '/completions', { prompt: 'x' }))
  expect(answer.choices).toEqual([{ index: 0, text: '', logprobs: null, finish_reason: 'stop' }])
})
