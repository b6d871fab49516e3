import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Provider } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { anthropicClient, hello, postMessages } from '../anthropic-client.ts'
import { postV1 } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

/** Takes any name, as a cloud does whose models are not listed. */
const claude: Provider = {
  name: 'claude',
  ranOn: 'cloud',
  models: [],
  choose: async (model = 'x') => ({ name: model, identity: model }),
  // biome-ignore lint/correctness/useYield: it never answers.
  async *generate() {
    throw new AppError('storage_full', 'There is no room.')
  },
  countTokens: async () => 1,
  close: async () => {},
}

let server: TestServer
beforeAll(async () => {
  server = await startServer({
    host: createScriptedHost(() => []),
    readElsewhere: async () => ({ providers: [claude], routes: new Map() }),
  })
})
afterAll(() => server[Symbol.asyncDispose]())

const ask = (name: string, headers: Record<string, string> = {}) => fetch(`${server.url}/v1/models/${name}`, { headers })
const version = { 'anthropic-version': '2023-06-01' }

test('who asks for a model in a dialect is answered in it, errors and all', async () => {
  expect(await bodyOf(await ask('scripted', version))).toMatchObject({ type: 'model', id: 'scripted' })
  const unknown = await ask('nope', version)
  expect([unknown.status, unknown.headers.get('request-id')]).toEqual([404, expect.any(String)])
  expect(await bodyOf(unknown)).toMatchObject({
    type: 'error',
    error: { type: 'not_found_error' },
    request_id: expect.any(String),
  })
  expect(await bodyOf(await ask('nope'))).toMatchObject({ error: { code: 'model_not_found', param: 'model' } })
  const error = await anthropicClient(server)
    .models.retrieve('nope')
    .catch((failure: unknown) => failure)
  expect(error).toMatchObject({ status: 404, type: 'not_found_error' })
})

test('a guard refuses in the dialect of who asks', async () => {
  await using closed = await startServer({ host: createScriptedHost(() => []), settings: { ALLOW_ANONYMOUS: 'false' } })
  const refused = await fetch(`${closed.url}/v1/models/scripted`, { headers: version })
  expect(refused.status).toBe(401)
  expect(await bodyOf(refused)).toMatchObject({ type: 'error', error: { type: 'authentication_error' } })
})

test('a model answers to the name that it was asked for', async () => {
  expect(await bodyOf(await ask('claude/some-model', version))).toMatchObject({ type: 'model', id: 'claude/some-model' })
  expect(await bodyOf(await ask('claude/some-model'))).toMatchObject({ object: 'model', id: 'claude/some-model' })
  expect((await anthropicClient(server).models.retrieve('claude/some-model')).id).toBe('claude/some-model')
})

test('official clients are told not to try again what lasts, in both dialects', async () => {
  const model = 'claude/x'
  const responses = [
    await postMessages(server, { ...hello, model }),
    await postV1(server, '/chat/completions', { model, messages: hello.messages }),
  ]
  for (const response of responses) expect([response.status, response.headers.get('x-should-retry')]).toEqual([507, 'false'])
})
