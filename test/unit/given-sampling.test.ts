import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DefaultedSampling, GenerateEvent } from '../../src/engine/provider.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { startServer, type TestServer } from '../server.ts'

const says: GenerateEvent[] = [{ type: 'choice-end', index: 0, reason: 'stop' }, generationEnd()]
const host = createScriptedHost(() => says)
let server: TestServer
beforeAll(async () => {
  server = await startServer({ host })
})
afterAll(() => server[Symbol.asyncDispose]())

const messages = [{ role: 'user', content: 'x' }]
const model = 'scripted'
/** The defaults of the service, by their names in a body. */
const defaults = { temperature: 0.8, top_p: 0.95, top_k: 40, min_p: 0.05, repeat_penalty: 1 }
const fieldOf: Readonly<Record<keyof typeof defaults, DefaultedSampling>> = {
  temperature: 'temperature',
  top_p: 'topP',
  top_k: 'topK',
  min_p: 'minP',
  repeat_penalty: 'repeatPenalty',
}
type Field = keyof typeof defaults
const fields: readonly Field[] = ['temperature', 'top_p', 'top_k', 'min_p', 'repeat_penalty']

const ways: ReadonlyArray<readonly [path: string, body: (sampling: object) => object, fields: readonly Field[]]> = [
  ['/predict', (sampling) => ({ prompt: 'x', ...sampling }), fields],
  ['/v1/chat/completions', (sampling) => ({ model, messages, ...sampling }), fields],
  ['/v1/completions', (sampling) => ({ model, prompt: 'x', ...sampling }), fields],
  ['/v1/responses', (sampling) => ({ model, input: 'x', store: false, ...sampling }), fields],
  ['/v1/messages', (sampling) => ({ model, max_tokens: 5, messages, ...sampling }), ['temperature', 'top_p', 'top_k']],
  ['/api/chat', (options) => ({ model, messages, stream: false, options }), fields],
  ['/api/generate', (options) => ({ model, prompt: 'x', stream: false, options }), fields],
]

async function samplingOf(path: string, body: object) {
  const answer = await fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect([answer.status, await answer.text()]).toEqual([200, expect.anything()])
  return host.asked.at(-1)?.sampling
}

describe.each(ways)('%s', (path, bodyWith, known) => {
  test('tells a default that nobody chose from the same value that somebody did', async () => {
    const resolved = { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1 }
    expect(await samplingOf(path, bodyWith({}))).toMatchObject({ ...resolved, given: [] })
    for (const field of known) {
      const sampling = await samplingOf(path, bodyWith({ [field]: defaults[field] }))
      expect(sampling).toMatchObject({ ...resolved, given: [fieldOf[field]] })
    }
  })
})
