import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import type { ChatMessage, Prompt } from '../../src/engine/provider.ts'
import type { RecordedAnswer } from '../../src/predict/predict.ts'
import { createRecorder } from '../../src/predictions/recorder.ts'
import type { PredictionBody, PredictionsPage } from '../../src/predictions/schema.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { bodyOf, startServer } from '../server.ts'

let get: <T>(path: string) => Promise<T>
let userId: string
let record: (answer: RecordedAnswer) => Promise<void>
let failed: number

beforeEach(async () => {
  const server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }),
    settings: { PREDICTION_RETENTION_DAYS: '0' },
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const headers = { authorization: `Bearer ${await server.login('ana')}` }
  get = async (path) => bodyOf(await fetch(server.url + path, { headers }))
  userId = (await get<{ id: string }>('/auth/me')).id
  const { db, close } = await openStorage({ url: await databaseAt(`${server.dataDir}/simpleia.db`) })
  onTestFinished(close)
  failed = 0
  const count = (outcome: 'stored' | 'failed') => {
    if (outcome === 'failed') failed += 1
  }
  record = createRecorder({ db, isOn: true, log: { error: () => {} }, count, now: Date.now }).record
})

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const words = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => text.isWellFormed() && !text.includes('\0'))
const schema = fc.constantFrom({ type: 'object' }, { type: 'object', properties: { a: { type: 'integer' } } })
const call = fc.record({ id: words, name: words, arguments: words })
/** Without the fields that are undefined. */
const given = <T extends object>(fields: T): T => JSON.parse(JSON.stringify(fields))

const messages: fc.Arbitrary<ChatMessage> = fc.oneof(
  fc.record({ role: fc.constant('system' as const), content: words }),
  fc.record(
    { role: fc.constant('user' as const), content: words, images: fc.array(words, { maxLength: 2 }) },
    { requiredKeys: ['role', 'content'] },
  ),
  fc.record(
    { role: fc.constant('assistant' as const), content: words, toolCalls: fc.array(call, { maxLength: 2 }), reasoning: words },
    { requiredKeys: ['role', 'content'] },
  ),
  fc.record({ role: fc.constant('tool' as const), content: words, toolCallId: words }),
)
const tools = fc.record({
  tools: fc.array(fc.record({ name: words, description: words, parameters: schema }, { requiredKeys: ['name', 'parameters'] }), {
    maxLength: 2,
  }),
  choice: fc.oneof(fc.constantFrom('auto' as const, 'none' as const, 'required' as const), fc.record({ name: words })),
  parallel: fc.boolean(),
})
const prompts: fc.Arbitrary<Prompt> = fc.oneof(
  fc.record({ type: fc.constant('text' as const), text: words }),
  fc.record(
    {
      type: fc.constant('chat' as const),
      messages: fc.array(messages, { maxLength: 5 }),
      tools,
      reasoning: fc.constantFrom('none' as const, 'low' as const, 'high' as const),
    },
    { requiredKeys: ['type', 'messages'] },
  ),
)
const number = fc.integer({ min: 0, max: 1000 })
const sampling = fc.record(
  {
    temperature: number,
    topP: number,
    topK: number,
    minP: number,
    repeatPenalty: number,
    frequencyPenalty: number,
    presencePenalty: number,
    logitBias: fc.dictionary(fc.nat(99).map(String), number, { maxKeys: 3 }),
    seed: maybe(number),
  },
  { requiredKeys: ['temperature', 'topP', 'topK', 'minP', 'repeatPenalty', 'seed'] },
)
const formats = fc.oneof(
  fc.constant({ type: 'json-object' } as const),
  fc.record({ type: fc.constant('json-schema' as const), schema, field: fc.constant('format') }),
)
const requests = fc.record(
  {
    prompt: prompts,
    maxTokens: maybe(number),
    choices: fc.constant(1),
    sampling,
    stop: fc.array(words, { maxLength: 2 }),
    format: formats,
    logprobs: fc.integer({ min: 0, max: 20 }),
    question: words,
    model: fc.constant(undefined),
    provider: fc.constant(undefined),
  },
  { requiredKeys: ['prompt', 'maxTokens', 'choices', 'sampling', 'stop', 'model', 'provider'] },
)
const choices = fc.array(
  fc.record({
    index: fc.nat(9),
    text: words,
    reasoning: fc.oneof(fc.constant(''), words),
    reasoningSignature: fc.constant(undefined),
    toolCalls: fc.array(call, { maxLength: 2 }),
    tokens: fc.constant([]),
    reason: fc.constantFrom('stop' as const, 'length' as const, 'tool-calls' as const, 'stopped' as const),
    stopText: maybe(words),
  }),
  { minLength: 1, maxLength: 3 },
)
const usage = maybe(fc.record({ promptTokens: number, completionTokens: number, cachedPromptTokens: number }))
const timings = maybe(
  fc.record({ queueMs: number, promptMs: number, firstTokenMs: number, generationMs: number, tokensPerSecond: number }),
)

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
/** The fields of what the service holds, under the names that they have on the wire. */
const onTheWire = (fields: object) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [snake(name), value]))

function toBody(prompt: Prompt): object {
  if (prompt.type === 'text') return prompt
  const { reasoning, tools: offered, ...rest } = prompt
  return given({
    ...rest,
    messages: prompt.messages.map(onTheWire),
    reasoning_effort: reasoning,
    ...(offered === undefined
      ? {}
      : { tools: offered.tools, tool_choice: offered.choice, parallel_tool_calls: offered.parallel }),
  })
}

test('whatever was asked, and with whatever it was asked and answered, all of it is read as it was', async () => {
  const answers = fc.record({ request: requests, choices, usage, timings })
  const target = { provider: 'hf', model: 'base', ranOn: 'local', why: 'default', passedBy: [] } as const
  await fc.assert(
    fc.asyncProperty(answers, async ({ request, ...answer }) => {
      const id = randomUUID()
      const asker = { key: userId, authenticated: true, userId, keyId: undefined }
      await record({ id, asker, request: given(request), target, ...answer })
      const { sampling: chosen, maxTokens, format, question, logprobs } = request
      expect(await get<PredictionBody>(`/predictions/${id}`)).toEqual({
        id,
        created_at: expect.any(String),
        provider: 'hf',
        model: 'base',
        ran_on: 'local',
        rollout_id: null,
        rating: null,
        user: `user:${userId}`,
        prompt: toBody(request.prompt),
        choices: answer.choices.map(({ index, text, reason, reasoning, toolCalls }) => ({
          index,
          text,
          finish_reason: reason,
          ...(reasoning === '' ? {} : { reasoning }),
          ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
        })),
        parameters: given({
          ...onTheWire(chosen),
          max_tokens: maxTokens ?? null,
          choices: 1,
          stop: request.stop,
          logprobs,
          question,
          format: format?.type,
          json_schema: format !== undefined && 'schema' in format ? format.schema : undefined,
        }),
        usage:
          answer.usage === undefined
            ? null
            : { prompt_tokens: answer.usage.promptTokens, completion_tokens: answer.usage.completionTokens },
        timings: answer.timings === undefined ? null : onTheWire(answer.timings),
      })
    }),
    { numRuns: 60 },
  )
  expect(failed).toBe(0)
})

test('a list tells how what was asked begins, and no half of a character', async () => {
  const prompt = (...all: readonly ChatMessage[]): Prompt => ({ type: 'chat', messages: all })
  const asked = [
    [{ type: 'text', text: `${'x'.repeat(199)}🙂` }, 'x'.repeat(199)],
    [prompt({ role: 'user', content: 'First' }, { role: 'assistant', content: 'a' }, { role: 'user', content: 'Last' }), 'Last'],
    [prompt({ role: 'system', content: 'Nobody asks' }), ''],
    [prompt({ role: 'user', content: 'See', images: [`https://example.org/${'a'.repeat(70_000)}`] }), 'See'],
  ] as const
  const target = { provider: 'hf', model: 'base', ranOn: 'local', why: 'default', passedBy: [] } as const
  const sampled = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined }
  for (const [index, [one]] of asked.entries())
    await record({
      id: `${index}`,
      asker: { key: userId, authenticated: true, userId, keyId: undefined },
      request: { prompt: one, maxTokens: 1, choices: 1, sampling: sampled, stop: [], model: undefined, provider: undefined },
      target,
      choices: [],
      usage: undefined,
      timings: undefined,
    })
  const { items } = await get<PredictionsPage>('/predictions')
  const byId = items.toSorted((one, other) => one.id.localeCompare(other.id))
  expect(byId.map(({ question, answer }) => [question, answer])).toEqual(asked.map(([, question]) => [question, '']))
  expect((await get<PredictionBody>('/predictions/3')).prompt).toMatchObject({
    messages: [{ images: [expect.stringMatching(/^not remembered: image, 70020 characters/)] }],
  })
  expect(await get('/predictions/settings')).toMatchObject({ retention_days: null })
})

test('answers that end at once are all remembered, also beside one that cannot be', async () => {
  const answerOf = (id: string): RecordedAnswer => ({
    id,
    asker: { key: userId, authenticated: true, userId, keyId: undefined },
    request: {
      prompt: { type: 'text', text: `asked by ${id}` },
      maxTokens: 8,
      choices: 1,
      sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 },
      stop: [],
      model: undefined,
      provider: undefined,
    },
    target: { provider: 'hf', model: 'small', ranOn: 'local', why: 'default', passedBy: [] },
    choices: [
      {
        index: 0,
        text: 'said',
        reason: 'stop',
        reasoning: '',
        reasoningSignature: undefined,
        toolCalls: [],
        tokens: [],
        stopText: undefined,
      },
    ],
    usage: undefined,
    timings: undefined,
  })
  const ids = Array.from({ length: 150 }, () => randomUUID())
  // The second one of a name cannot be kept.
  await Promise.all([...ids, ids[3] ?? ''].map((id) => record(answerOf(id))))
  expect(failed).toBe(1)
  for (const id of ids) expect((await get<PredictionBody>(`/predictions/${id}`)).id).toBe(id)
})
