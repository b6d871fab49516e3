import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { App } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { openService } from '../../src/service.ts'
import { someOf } from '../case-count.ts'
import { type OpenaiError, postV1 } from '../openai-client.ts'
import { bodyOf } from '../server.ts'

let app: App
let url: string
let dataDir: string

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'simpleia-test-'))
  const settings = {
    DATA_DIR: dataDir,
    CONFIG_FILE: join(dataDir, 'config.json'),
    MODELS_DIR: 'model_llm',
    DEFAULT_MODEL: 'gemma-3-270m-q4_k_m',
  }
  const limits = { RATE_LIMIT_REQUESTS: '100000', LOG_LEVEL: 'silent' }
  app = await openService(loadConfig({ environment: { ...settings, ...limits } }), { version: 'test' })
  url = await app.http.listen({ host: '127.0.0.1', port: 0 })
  await vi.waitFor(async () => expect((await fetch(`${url}/health/ready`)).status).toBe(200), { timeout: 60_000, interval: 100 })
})
afterAll(async () => {
  await app.close({ graceMs: 0 })
  await rm(dataDir, { recursive: true, force: true })
})

type Answer = Readonly<{ choices: ReadonlyArray<Readonly<{ message: { content: string }; finish_reason: string }>> }>

const topics = ['dogs', 'Spain', 'a red car', 'tea', 'the sea', 'music', 'a small town', 'rain', 'bread', 'a bicycle'] as const

/** Five answers to each question: one without chance, and four as OpenAI has it. */
async function askAll(format: object, ask: (topic: string) => string) {
  const bodies = [...someOf(topics, 3).entries()].flatMap(([seed, topic]) => {
    const body = { messages: [{ role: 'user', content: ask(topic) }], seed, max_tokens: 256, response_format: format }
    return [
      { ...body, temperature: 0 },
      { ...body, temperature: 1, n: 4 },
    ]
  })
  const asked = await Promise.all(bodies.map(async (body) => bodyOf<Answer>(await postV1({ url }, '/chat/completions', body))))
  return asked
    .flatMap(({ choices }) => choices)
    .map(({ message, finish_reason }) => ({ text: message.content, reason: finish_reason }))
}

const person = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 60 },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    tags: { type: 'array', items: { type: 'string', maxLength: 20 }, maxItems: 4 },
    color: { enum: ['red', 'green', 'blue'] },
    code: { type: 'string', pattern: '^[A-Z]{2}-\\d{3}$' },
    note: { anyOf: [{ type: 'string', maxLength: 80 }, { type: 'null' }] },
    parent: { $ref: '#/$defs/parent' },
  },
  required: ['name', 'age', 'color', 'code'],
  additionalProperties: false,
  $defs: {
    parent: {
      type: 'object',
      properties: { name: { type: 'string', maxLength: 30 } },
      required: ['name'],
      additionalProperties: false,
    },
  },
}

describe('answers in JSON', () => {
  test('keep to their schema, all of them', { timeout: 600_000 }, async () => {
    const validate = new Ajv2020({ strict: false }).compile(person)
    const format = { type: 'json_schema', json_schema: { name: 'person', schema: person, strict: true } }
    const answers = await askAll(
      format,
      (topic) => `Describe, as JSON, a person who likes ${topic}: name, age, tags, color, code, note.`,
    )
    const whole = answers.filter(({ reason }) => reason === 'stop')
    for (const { text } of whole) expect([text, validate(JSON.parse(text))]).toEqual([text, true])
    expect(answers.filter(({ reason }) => reason !== 'stop').every(({ reason }) => reason === 'length')).toBe(true)
    expect(whole.length).toBeGreaterThan(answers.length / 2)
  })

  test('are objects that white space does not fill', { timeout: 600_000 }, async () => {
    const answers = await askAll({ type: 'json_object' }, (topic) => `Write a JSON object about ${topic}.`)
    for (const { text, reason } of answers) {
      expect(text).toMatch(/^\{/)
      expect(text).not.toMatch(/\s{21}/)
      if (reason === 'stop') expect(JSON.parse(text)).toBeTypeOf('object')
    }
  })

  test('come as a stream in the same words', async () => {
    const body = {
      messages: [{ role: 'user', content: 'A JSON object, please.' }],
      temperature: 0,
      max_tokens: 60,
      response_format: { type: 'json_object' },
    }
    const whole = await bodyOf<Answer>(await postV1({ url }, '/chat/completions', body))
    const stream = await (await postV1({ url }, '/chat/completions', { ...body, stream: true })).text()
    const pieces = [...stream.matchAll(/^data: (\{.*)$/gm)].map(
      ([, json = '{}']) => JSON.parse(json).choices[0]?.delta?.content ?? '',
    )
    expect(pieces.join('')).toBe(whole.choices[0]?.message.content)
  })
})

test('schemas that cannot be kept to are refused at once, and the same process goes on', async () => {
  // The engine is a child of this process.
  const engine = () => readFile(`/proc/self/task/${process.pid}/children`, 'utf8').catch(() => 'unknown here')
  const before = await engine()
  let nested = '{}'
  for (let level = 0; level < 5000; level++) nested = `{"type":"array","items":${nested}}`
  const schemas = [
    '{"type":123}',
    '{"type":"string","pattern":"^a\\\\!$"}',
    '{"$ref":"#/$defs/none"}',
    nested,
    JSON.stringify({ enum: Array.from({ length: 5000 }, (_, index) => `${index}`.padEnd(200, 'x')) }),
    undefined,
  ]
  for (const schema of schemas) {
    const format = `{"type":"json_schema","json_schema":{"name":"x"${schema === undefined ? '' : `,"schema":${schema}`}}}`
    const started = performance.now()
    const response = await postV1(
      { url },
      '/chat/completions',
      `{"messages":[{"role":"user","content":"x"}],"max_tokens":5,"response_format":${format}}`,
    )
    expect(performance.now() - started).toBeLessThan(1000)
    expect([400, 413]).toContain(response.status)
    expect((await bodyOf<OpenaiError>(response)).error.type).toBe('invalid_request_error')
  }
  expect(await engine()).toBe(before)
  const after = await postV1({ url }, '/chat/completions', { messages: [{ role: 'user', content: 'x' }], max_tokens: 5 })
  expect(after.status).toBe(200)
})

describe('a prompt that does not fit', () => {
  test.each(['/chat/completions', '/completions'])('is refused with both numbers: %s', async (path) => {
    const text = 'Madrid is the capital. '.repeat(2000)
    for (const stream of [false, true]) {
      const body = path === '/completions' ? { prompt: text } : { messages: [{ role: 'user', content: text }] }
      const response = await postV1({ url }, path, { ...body, stream })
      const { error } = await bodyOf<OpenaiError>(response)
      expect([response.status, error.code]).toEqual([400, 'context_length_exceeded'])
      expect(error.message).toMatch(/\d{4,}.*4,?096/)
    }
  })
})
