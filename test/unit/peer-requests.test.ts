import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { saying } from '../answer-scripts.ts'
import { type OpenaiError, postV1 } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

// What llama-server's and vLLM's public tests ask of requests that are wrong (docs/peer-behaviours.md), on every route of this service.

type Operation = Readonly<{ requestBody?: Readonly<{ required?: boolean; content: Readonly<Record<string, unknown>> }> }>
type Api = Readonly<{ paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }>
type Route = Readonly<{ method: string; path: string; takesJson: boolean }>

const host = createScriptedHost(() => saying('ok'))
let server: TestServer
let closed: TestServer
let routes: readonly Route[]
let admin: Readonly<Record<string, string>>

beforeAll(async () => {
  server = await startServer({ host })
  closed = await startServer({ host, settings: { ALLOW_ANONYMOUS: 'false' } })
  admin = { authorization: `Bearer ${await server.login('root')}` }
  const { paths } = await bodyOf<Api>(await fetch(`${server.url}/openapi.json`))
  routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { requestBody }]) => {
      const takesJson = requestBody?.required === true && 'application/json' in requestBody.content
      return { method: method.toUpperCase(), path: path.replace(/\{[^}]+\}/g, 'x'), takesJson }
    }),
  )
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await closed[Symbol.asyncDispose]()
})

const json = { 'content-type': 'application/json' }

/** The form of failures at an address. */
function formOf(path: string): object {
  const message = expect.stringMatching(/./)
  if (path.startsWith('/v1/messages')) return { type: 'error', error: { type: expect.any(String), message } }
  if (path.startsWith('/v1/'))
    return { error: { message, type: expect.any(String), param: expect.toBeOneOf([null, expect.any(String)]) } }
  return path.startsWith('/api/') ? { error: message } : { error: { code: expect.any(String), message } }
}

const notUtf8 = (before: string, after: string) =>
  Buffer.concat([Buffer.from(before), Buffer.from([0xc3, 0x28]), Buffer.from(after)])

describe('a body', () => {
  test.each<readonly [what: string, body: string | Buffer]>([
    ['a text', '"this is no object"'],
    ['a list', '["not", "an", "object"]'],
    ['a number', '42'],
    ['null', 'null'],
    ['true', 'true'],
    ['no JSON', '{"a": 1,}'],
    ['JSON with a number that is none', '{"a": NaN}'],
    ['nothing', ''],
    ['not UTF-8', notUtf8('{"a":"', '"}')],
  ])('that is %s is refused on every route, in the form of its dialect', async (_, body) => {
    const taking = routes.filter(({ takesJson }) => takesJson)
    expect(taking.length).toBeGreaterThan(30)
    // There null is said to be nothing, which is enough to begin with.
    const mayBeNull = (path: string) => body === 'null' && path.endsWith('/re-embed')
    const wrong: unknown[] = []
    for (const { method, path } of taking) {
      const response = await fetch(server.url + path, { method, headers: { ...json, ...admin }, body })
      const answer = await response.text()
      if (mayBeNull(path)) continue
      if (response.status !== 400) wrong.push([method, path, response.status, answer.slice(0, 100)])
      else expect(JSON.parse(answer), path).toMatchObject(formOf(path))
    }
    expect(wrong).toEqual([])
  })

  test('in another encoding than UTF-8 is refused, also where it says so, and reaches no model', async () => {
    const asked = host.asked.length
    const said = { 'content-type': 'application/json; charset=iso-8859-1' }
    for (const headers of [json, said]) {
      const body = Buffer.from('{"messages":[{"role":"user","content":"mañana"}]}', 'latin1')
      const response = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body })
      expect([response.status, (await bodyOf<OpenaiError>(response)).error.message]).toEqual([
        400,
        expect.stringContaining('UTF-8'),
      ])
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const body = notUtf8('{"model":"scripted","prompt":"', '"}')
    expect((await fetch(`${server.url}/api/generate`, { method: 'POST', headers: form, body })).status).toBe(400)
    expect(host.asked).toHaveLength(asked)
  })

  test.each([undefined, 'application/xml', 'text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream'])(
    'of the type %s is none that /v1 takes',
    async (type) => {
      const body = Buffer.from('{"messages":[{"role":"user","content":"x"}]}')
      const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
      const response = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
    },
  )
})

test('a body that is packed is refused with that reason', async () => {
  const headers = { ...json, 'content-encoding': 'gzip' }
  const body = gzipSync('{"messages":[{"role":"user","content":"x"}]}')
  const response = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body })
  expect([response.status, await response.json()]).toMatchObject([
    400,
    { error: { message: expect.stringContaining('Content-Encoding') } },
  ])
})

const messages = [{ role: 'user', content: 'x' }]
const chat = (body: object, headers: Readonly<Record<string, string>> = {}) =>
  postV1(server, '/chat/completions', { messages, ...body }, headers)

describe('a field that there is not', () => {
  test('is named with all others, of the request or of an object in it', async () => {
    const several = await bodyOf<OpenaiError>(await chat({ temprature: 1, max_tokenz: 5, seed: 1 }))
    expect(several.error).toMatchObject({ param: 'temprature', message: expect.stringMatching(/"temprature".*"max_tokenz"/) })
    const biased = await bodyOf<OpenaiError>(await chat({ logit_bias: { bad1: 50, 7: 1, bad2: 20 } }))
    expect(biased.error).toMatchObject({ param: 'logit_bias.bad1', message: expect.stringMatching(/bad1.*\[0-9\].*bad2/) })
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`field_${index}`, 1]))
    expect((await bodyOf<OpenaiError>(await chat(many))).error.message.length).toBeLessThan(1000)
  })

  test.each([
    ...[{ min_tokens: 3 }, { ignore_eos: true }, { stop_token_ids: [1] }, { include_stop_str_in_output: true }],
    ...[{ structured_outputs: { regex: 'a' } }, { guided_json: {} }, { grammar: 'root ::= "a"' }, { json_schema: {} }],
    ...[{ prompt_logprobs: 1 }, { n_probs: 1 }, { echo: true }, { best_of: 2 }, { use_beam_search: true }, { id_slot: 0 }],
    ...[{ add_generation_prompt: true }, { continue_final_message: true }, { chat_template_kwargs: {} }, { cache_prompt: false }],
    ...[{ truncate_prompt_tokens: 4 }, { return_token_ids: true }, { timings_per_token: true }, { return_progress: true }],
  ])('of other servers is refused by name, not passed over: %j', async (body) => {
    const response = await chat(body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { param: Object.keys(body)[0], type: 'invalid_request_error' } })
  })

  test.each([
    [
      { stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } },
      'stream_options.continuous_usage_stats',
    ],
    [{ stream: false, stream_options: { include_usage: null } }, 'stream_options'],
    [{ stream_options: {} }, 'stream_options'],
    [{ logit_bias: { 1: 'much' } }, 'logit_bias.1'],
    [{ logit_bias: { '-1': 1 } }, 'logit_bias.-1'],
    [{ logit_bias: [[1, -100]] }, 'logit_bias'],
    [{ logprobs: true, top_logprobs: -1 }, 'top_logprobs'],
    [{ response_format: { type: 'sound' } }, 'response_format.type'],
    [{ response_format: { type: 'json_object', schema: 123 } }, 'response_format.schema'],
    [{ tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: {} }, 'tool_choice'],
    [{ tools: null, tool_choice: 'required' }, 'tool_choice'],
    [{ tools: [], tool_choice: { type: 'function', function: { name: 'f' } } }, 'tool_choice'],
  ])('or a value that is none: %j', async (body, param) => {
    const response = await chat(body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { param } })
  })

  test('with null is left out, of tools, formats and streams too', async () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }]
    expect((await chat({ tools, tool_choice: null })).status).toBe(200)
    const asked = host.asked.at(-1)?.prompt
    expect(asked).toMatchObject({ tools: { choice: 'auto', parallel: true } })
    expect((await chat({ tool_choice: null, response_format: { type: 'json_object' }, stream_options: null })).status).toBe(200)
    expect(host.asked.at(-1)?.format).toEqual({ type: 'json-object' })
    expect((await postV1(server, '/responses', { input: 'x', tools: [], parallel_tool_calls: null })).status).toBe(200)
  })
})

describe('a model that is not there', () => {
  const input = { model: 'not-there', max_tokens: 5, messages }
  test.each<readonly [path: string, body: object]>([
    ['/v1/chat/completions', { messages }],
    ['/v1/completions', { prompt: 'x' }],
    ['/v1/responses', { input: 'x' }],
    ['/v1/responses/input_tokens', { input: 'x' }],
    ['/v1/embeddings', { input: 'x' }],
    ['/v1/rerank', { query: 'x', documents: ['y'] }],
    ['/v1/messages', input],
    ['/v1/messages/count_tokens', { messages }],
    ['/api/chat', { messages }],
    ['/api/generate', { prompt: 'x' }],
    ['/api/embed', { input: 'x' }],
    ['/api/embeddings', { prompt: 'x' }],
    ['/api/show', {}],
    ['/predict', { prompt: 'x' }],
  ])('is a 404 in the form of the dialect: %s', async (path, body) => {
    for (const streamed of [
      {},
      ...(/chat|completions|responses$|messages$|generate|predict/.test(path) ? [{ stream: true }] : []),
    ]) {
      const sent = JSON.stringify({ ...body, model: 'not-there', ...streamed })
      const response = await fetch(server.url + path, { method: 'POST', headers: json, body: sent })
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject(formOf(path))
    }
  })
})

describe('who has no key', () => {
  const open = ['/health', '/health/ready', '/auth/register', '/auth/login', '/auth/state', '/metrics']

  test('is refused on every route but those that are for all, before its body is read, with and without a slash at the end', async () => {
    const wrong: unknown[] = []
    for (const { method, path } of routes.filter((route) => !open.includes(route.path)))
      for (const [address, body, allowed] of [
        [path, '{', [401]],
        [`${path}/`, '{}', [401, 404]],
      ] as const) {
        const init = method === 'GET' || method === 'HEAD' ? { method } : { method, headers: json, body }
        const { status } = await fetch(closed.url + address, init)
        if (!allowed.some((one) => one === status)) wrong.push([method, address, status])
      }
    expect(wrong).toEqual([])
  })

  test('learns nothing by OPTIONS, whether or not it looks like a preflight', async () => {
    const preflight = { origin: 'http://dashboard.example', 'access-control-request-method': 'GET' }
    for (const path of ['/v1/models', '/metrics', '/v1/chat/completions', '/api/tags'])
      for (const headers of [{}, { 'access-control-request-method': 'GET' }, preflight]) {
        const response = await fetch(closed.url + path, { method: 'OPTIONS', headers })
        expect([401, 403, 404]).toContain(response.status)
        expect(response.headers.get('access-control-allow-origin')).toBeNull()
        expect(await response.text()).not.toMatch(/scripted|simpleia_/)
      }
  })

  test('finds no file behind an address that leads out of a folder', async () => {
    for (const path of [
      '/../package.json',
      '/%2e%2e/package.json',
      '/..%2fpackage.json',
      '/docs/static/..%2f..%2fpackage.json',
    ]) {
      const response = await fetch(closed.url + path)
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(await response.text()).not.toContain('"dependencies"')
    }
  })
})

describe('a key', () => {
  test('counts in either header, and a placeholder in one does not hide it in the other', async () => {
    const key = await closed.login('ana')
    const ask = async (headers: Readonly<Record<string, string>>) =>
      (await postV1(closed, '/chat/completions', { messages }, headers)).status
    const good = `Bearer ${key}`
    expect(await ask({ authorization: good })).toBe(200)
    expect(await ask({ authorization: `bearer ${key}` })).toBe(200)
    expect(await ask({ 'x-api-key': key })).toBe(200)
    expect(await ask({ authorization: good, 'x-api-key': key })).toBe(200)
    expect(await ask({ authorization: good, 'x-api-key': 'ollama' })).toBe(200)
    expect(await ask({ authorization: 'Bearer none', 'x-api-key': key })).toBe(200)
    // Where both look like keys, Authorization is meant.
    expect(await ask({ authorization: 'Bearer a.b.c', 'x-api-key': key })).toBe(401)
    for (const authorization of ['Bearer ', 'Bearer', `Basic ${key}`, key, 'Bearer none'])
      expect(await ask({ authorization })).toBe(401)
    expect((await postV1(closed, `/chat/completions?access_token=${key}`, { messages })).status).toBe(401)
  })

  test('beside a placeholder is that of its user where anonymous callers are welcome, too', async () => {
    const token = await server.login('eva')
    await chat({}, { authorization: 'Bearer none', 'x-api-key': token })
    expect(host.asked.at(-1)?.user).toMatch(/^user:/)
    await chat({}, { authorization: 'Bearer none', 'x-api-key': 'none' })
    expect(host.asked.at(-1)?.user).not.toMatch(/^user:/)
  })
})

test('line breaks in what a caller sends make no line of the log', async () => {
  const lines: string[] = []
  await using logged = await startServer({
    host,
    settings: { LOG_LEVEL: 'trace' },
    logStream: { write: (line) => lines.push(line) },
  })
  for (const path of ['/v1/responses/%0D%0AFORGED', '/v1/models/%0AFORGED', '/%0D%0AFORGED?a=%0AFORGED', '/api/blobs/%0AFORGED'])
    await fetch(logged.url + path, { method: path.startsWith('/api') ? 'HEAD' : 'GET' })
  await postV1(logged, '/chat/completions', { messages, model: 'a\r\nFORGED', user: '\nFORGED' })
  expect(lines.length).toBeGreaterThan(4)
  for (const line of lines) {
    expect(line.trimEnd()).not.toMatch(/[\r\n]/)
    expect(() => JSON.parse(line)).not.toThrow()
  }
})
