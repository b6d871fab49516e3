import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { App } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { jsonSchemaToGrammar } from '../../src/engine/json-grammar.ts'
import { openService } from '../../src/service.ts'
import { isLong, someOf } from '../case-count.ts'
import { beginGrammar, follow, parseGbnf } from '../gbnf.ts'
import { type NamedSchema, namedSchemas } from '../json-schemas.ts'
import { postV1 } from '../openai-client.ts'
import { createSchemaValidator } from '../schema-validator.ts'
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
    RATE_LIMIT_REQUESTS: '100000',
    LOG_LEVEL: 'silent',
  }
  app = await openService(loadConfig({ environment: settings }), { version: 'test' })
  url = await app.http.listen({ host: '127.0.0.1', port: 0 })
  await vi.waitFor(async () => expect((await fetch(`${url}/health/ready`)).status).toBe(200), { timeout: 60_000, interval: 100 })
})
afterAll(async () => {
  await app.close({ graceMs: 0 })
  await rm(dataDir, { recursive: true, force: true })
})

type Answer = Readonly<{ choices: ReadonlyArray<Readonly<{ message: { content: string }; finish_reason: string }>> }>
type Written = Readonly<{ name: string; schema: NamedSchema[1]; text: string; reason: string }>

const atOnce = 16
// A schema in the name would be most of the work.
const subject = (name: string) => name.split(': {', 1)[0]

async function write([name, schema]: NamedSchema, seed: number): Promise<Written> {
  const response = await postV1({ url }, '/chat/completions', {
    messages: [{ role: 'user', content: `Write an example in JSON: ${subject(name)}` }],
    temperature: 1,
    seed,
    max_tokens: 192,
    response_format: { type: 'json_schema', json_schema: { name: 'example', schema, strict: true } },
  })
  const body = await bodyOf<Answer>(response)
  const choice = body.choices?.[0]
  if (choice === undefined) expect.fail(`${name}: ${JSON.stringify(body)}`)
  return { name, schema, text: choice.message.content, reason: choice.finish_reason }
}

/** All of them, so many at a time, in order. */
async function writeAll(): Promise<readonly Written[]> {
  const written: Written[] = []
  const waiting = someOf(namedSchemas, 4).entries()
  const work = async () => {
    for (const [place, one] of waiting) written[place] = await write(one, place)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return written
}

test('two hundred schemas: at temperature 1 each answer that ends fits its schema', { timeout: 600_000 }, async () => {
  const ajv = createSchemaValidator()
  const written = await writeAll()
  expect(written.length).toBeGreaterThanOrEqual(isLong ? 200 : 50)
  const ended = written.filter(({ reason }) => reason === 'stop')
  for (const { name, schema, text } of ended) {
    const fits = ajv.validate(schema, JSON.parse(text))
    if (!fits) expect.fail(`${name}: ${text} does not fit: ${ajv.errorsText()}`)
  }
  // What is cut off is the beginning of an answer that would fit.
  for (const { name, schema, text, reason } of written.filter((one) => one.reason !== 'stop')) {
    expect([name, reason]).toEqual([name, 'length'])
    expect([name, text, follow(beginGrammar(parseGbnf(jsonSchemaToGrammar(schema))), text) !== undefined]).toEqual([
      name,
      text,
      true,
    ])
  }
  expect(ended.length / written.length).toBeGreaterThanOrEqual(0.95)
})
