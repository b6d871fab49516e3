import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { AppError, type ErrorCode } from '../../src/errors.ts'
import { refuses, streams } from '../cloud-server.ts'
import { anthropicSse, block, messageEnd } from '../cloud-transcripts.ts'
import { kinds } from '../cloud-world.ts'
import { asks, at, dialects } from '../dialects.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { answerAll, jsonOf, modelOf, type ServiceWorld, startServiceWorld, type WorldOptions } from '../service-world.ts'
import { readEvents } from '../sse-parser.ts'

const hello = { claude: streams(kinds.claude.hello), openai: streams(kinds.custom.hello) }

async function startWorld(options: WorldOptions = {}): Promise<ServiceWorld> {
  const world = await startServiceWorld(options)
  answerAll(world, hello)
  return world
}

const get = async (world: ServiceWorld, path: string) => jsonOf(await world.call(path))
const post = async (world: ServiceWorld, path: string, body: unknown = {}): Promise<Record<string, unknown>> => {
  const response = await world.admin(path, body)
  return { status: response.status, ...(await jsonOf(response)) }
}
const whoAnswers = async (world: ServiceWorld, body: object = {}) => {
  const answer = await jsonOf(await world.call('/predict', { prompt: 'Hi', ...body }))
  return `${answer.why} ${answer.provider}/${answer.model} ${answer.ran_on}`
}

describe('what answers who names nothing', () => {
  test('is what LLM_PROVIDER and DEFAULT_MODEL say', async () => {
    const world = await startWorld({ settings: { LLM_PROVIDER: 'claude', DEFAULT_MODEL: modelOf.claude } })
    expect(await whoAnswers(world)).toBe('default claude/claude-test cloud')
    expect(await get(world, '/model')).toEqual({
      model_name: 'claude-test',
      provider: 'claude',
      ran_on: 'cloud',
      loaded: true,
      state: 'ready',
    })
    expect(await get(world, '/health/ready')).toEqual({ status: 'ready' })
    expect(await whoAnswers(world, { model: 'scripted' })).toBe('requested hf/scripted local')
  })

  test('is the first model of the provider where no model is named', async () => {
    const world = await startWorld({ settings: { LLM_PROVIDER: 'openai' } })
    expect(await whoAnswers(world)).toBe('default openai/gpt-test cloud')
    expect(await get(world, '/model')).toMatchObject({ model_name: 'gpt-test' })
  })

  test('is nobody, and the service not ready, where the provider has no model to begin with', async () => {
    const world = await startWorld({ settings: { LLM_PROVIDER: 'openai' }, file: () => undefined })
    expect(await get(world, '/health/ready')).toMatchObject({ error: { message: expect.stringContaining('No model') } })
    expect((await asks.predict(world, 'gpt-test')).text).toBe('Hello there')
    expect((await world.call('/predict', { prompt: 'Hi' })).status).toBe(503)
  })

  test('is what an admin selects, also without naming a model, and after the next start', async () => {
    const world = await startWorld()
    expect(await post(world, '/model', { provider: 'claude' })).toMatchObject({
      status: 200,
      provider: 'claude',
      model_name: 'claude-test',
    })
    expect(await whoAnswers(world)).toBe('default claude/claude-test cloud')
    expect(await post(world, '/admin/reload')).toMatchObject({ provider: 'claude' })
    expect(await post(world, '/model', { provider: 'gpu', model_name: modelOf.gpu })).toMatchObject({
      status: 200,
      provider: 'gpu',
    })
    expect(await whoAnswers(world)).toBe('default gpu/qwen-test cloud')
    expect(await post(world, '/model', { provider: 'hf' })).toMatchObject({ status: 200, provider: 'hf', model_name: 'scripted' })
    expect(await whoAnswers(world)).toBe('default hf/scripted local')
    expect(await post(world, '/model', {})).toMatchObject({ status: 400 })
    expect(await post(world, '/model', { provider: 'gpu', model_name: 'none' })).toMatchObject({ status: 404 })
    expect(await post(world, '/model', { provider: 'nobody' })).toMatchObject({
      status: 400,
      error: { details: [{ field: 'provider' }], message: expect.stringContaining('docs/cloud.md') },
    })
    expect(await whoAnswers(world)).toBe('default hf/scripted local')
  })

  test('follows config.json after a reload, and LLM_PROVIDER where that says nothing', async () => {
    const world = await startWorld({ settings: { LLM_PROVIDER: 'openai' } })
    await world.write('config.json', { selected_model: 'claude-test', provider: 'claude' })
    expect(await post(world, '/admin/reload')).toMatchObject({ status: 200, provider: 'claude', model_name: 'claude-test' })
    expect(await whoAnswers(world)).toBe('default claude/claude-test cloud')
    await world.write('config.json', { selected_model: null, provider: 'hf' })
    expect(await post(world, '/admin/reload')).toMatchObject({ status: 200, provider: 'hf' })
    await world.write('config.json', { selected_model: null, provider: null })
    expect(await post(world, '/admin/reload')).toMatchObject({ status: 200, provider: 'openai' })
  })
})

describe('a reload', () => {
  test('puts other providers and prices in place', async () => {
    const world = await startWorld()
    await world.write('providers.json', {
      providers: [{ name: 'new', type: 'openai', api_key: 'sk-new', models: ['gpt-test', 'gpt-other'] }],
      routes: { careful: ['hf', 'new'] },
    })
    expect((await post(world, '/admin/reload')).status).toBe(200)
    expect(await get(world, '/providers')).toEqual({
      providers: [
        { name: 'hf', ran_on: 'local', selected: true, models: [] },
        { name: 'claude', ran_on: 'cloud', selected: false, models: [] },
        { name: 'openai', ran_on: 'cloud', selected: false, models: [] },
        { name: 'new', ran_on: 'cloud', selected: false, models: ['gpt-test', 'gpt-other'] },
      ],
      routes: ['careful'],
    })
    expect((await get(world, '/v1/models')).data).toMatchObject([
      { id: 'scripted' },
      { id: 'careful' },
      { id: 'new/gpt-test' },
      { id: 'new/gpt-other' },
    ])
    expect(await get(world, '/v1/models/new/gpt-other')).toMatchObject({ id: 'new/gpt-other' })
    expect(await get(world, '/v1/models/claude/not-listed')).toMatchObject({ id: 'claude/not-listed' })
    expect(await whoAnswers(world, { model: 'new/gpt-other' })).toBe('requested new/gpt-other cloud')
    expect(world.clouds.openai.requests[0]?.headers.authorization).toBe('Bearer sk-new')
    expect((await asks.predict(world, 'gpu/qwen-test')).status).toBe(404)
  })

  test('lets answers under way come to their end', async () => {
    const world = await startWorld()
    const begun = Promise.withResolvers<ServerResponse>()
    world.clouds.claude.answer((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(kinds.claude.begun)
      begun.resolve(response)
    })
    const answer = asks['messages as a stream'](world, 'claude/claude-test')
    const response = await begun.promise
    await world.write('providers.json', { providers: [] })
    expect((await post(world, '/admin/reload')).status).toBe(200)
    response.end(anthropicSse(...block(1, { type: 'text', text: ' and bye' }), ...messageEnd('end_turn')))
    expect((await answer).text).toBe('Hello and bye')
    expect((await answer).error).toBeUndefined()
  })

  test.each<readonly [what: string, name: 'providers.json' | 'config.json' | 'prices.json', content: unknown, says: string]>([
    [
      'a field that is none',
      'providers.json',
      { providers: [{ name: 'a', type: 'custom', base_url: 'http://x' }] },
      '/providers/0',
    ],
    ['no JSON', 'providers.json', '{"providers": [', 'must be JSON'],
    ['a route that leads nowhere', 'providers.json', { routes: { a: ['gone'] } }, '"a"'],
    ['a provider that is selected and gone', 'config.json', { selected_model: null, provider: 'gone' }, '"gone"'],
    ['a model that the provider lacks', 'config.json', { selected_model: 'none', provider: 'new' }, '"none"'],
    ['a price that is none', 'prices.json', { as_of: 'now', dollars_per_million_tokens: { m: 1 } }, '"m"'],
  ])('of files with %s changes nothing, and says where', async (_what, name, content, says) => {
    const world = await startWorld()
    expect(await post(world, '/model', { provider: 'claude' })).toMatchObject({ status: 200 })
    await world.write('providers.json', {
      providers: [{ name: 'new', type: 'openai', api_key: 'sk-new', models: ['gpt-test'] }],
    })
    await world.write(name, content)
    const { status, error } = await post(world, '/admin/reload')
    expect([400, 404]).toContain(status)
    expect(at(error, 'message')).toContain(says)
    expect(await whoAnswers(world)).toBe('default claude/claude-test cloud')
    expect(await whoAnswers(world, { model: 'gpu/qwen-test' })).toBe('requested gpu/qwen-test cloud')
    expect((await world.call('/predict', { prompt: 'Hi', provider: 'new' })).status).toBe(400)
  })
})

const failing = (code: ErrorCode) =>
  createScriptedHost(() => {
    throw new AppError(code, 'Not now.')
  })
const routed =
  (routes: Readonly<Record<string, readonly string[]>>): NonNullable<WorldOptions['file']> =>
  (usual) => ({ ...usual, routes })

describe('a route', () => {
  test.each(dialects)('from a busy model of this machine to a cloud is told by %s', async (dialect) => {
    const ask = asks[dialect]
    const world = await startWorld({ host: failing('busy'), file: routed({ careful: ['hf', 'claude'] }) })
    const { text, headers, end } = await ask(world, 'careful')
    expect(text).toBe('Hello there')
    const told = at(end, 'why') === undefined ? headers.get('x-simpleia-passed-by') : at(end, 'passed_by')
    expect(told).toEqual(typeof told === 'string' ? 'hf=busy' : [{ provider: 'hf', model: 'scripted', code: 'busy' }])
    expect(at(end, 'why') ?? headers.get('x-simpleia-why')).toBe('fallback')
    expect(at(end, 'ran_on') ?? headers.get('x-simpleia-ran-on')).toBe('cloud')
  })

  test('is taken by nobody unless it was written', async () => {
    const world = await startWorld({ host: failing('busy') })
    expect((await world.call('/predict', { prompt: 'Hi' })).status).toBe(503)
    expect(world.outside).toEqual([])
  })

  test('called default answers who names nothing, and GET /model shows it', async () => {
    const world = await startWorld({ host: failing('unavailable'), file: routed({ default: ['hf', 'openai/gpt-test'] }) })
    expect(await whoAnswers(world)).toBe('fallback openai/gpt-test cloud')
    expect(await get(world, '/model')).toMatchObject({ route: ['hf', 'openai/gpt-test'] })
  })

  test('goes on after a cloud that refuses, and no further than needed', async () => {
    const world = await startWorld({ file: routed({ careful: ['claude', 'openai', 'hf'] }) })
    world.clouds.claude.answer(refuses(529, kinds.claude.failure('Overloaded', 'overloaded_error')))
    expect(await whoAnswers(world, { model: 'careful' })).toBe('fallback openai/gpt-test cloud')
    expect(world.outside).toHaveLength(2)
  })

  test('counts as one request of who asks', async () => {
    const world = await startWorld({ host: failing('busy'), file: routed({ careful: ['hf', 'claude'] }) })
    expect((await world.admin('/predict', { prompt: 'Hi', model: 'careful' })).status).toBe(200)
    expect(await jsonOf(await world.admin('/auth/usage'))).toMatchObject({
      user: { requests: 1, prompt_tokens: 25, completion_tokens: 15 },
    })
  })
})

describe('where nothing may leave', () => {
  const settings = { LOCAL_ONLY: 'true' }
  const openaiCode = { chat: 'forbidden', responses: 'forbidden' }
  const codeOf = (dialect: string) =>
    dialect.startsWith('messages')
      ? 'permission_error'
      : dialect.startsWith('ollama')
        ? expect.stringContaining('LOCAL_ONLY')
        : (Reflect.get(openaiCode, dialect) ?? 'forbidden')

  test.each(dialects)('a cloud is refused by %s, and nothing goes out', async (dialect) => {
    const ask = asks[dialect]
    const world = await startWorld({ settings })
    for (const model of ['claude/claude-test', 'openai/gpt-test', 'gpu/qwen-test']) {
      const told = await ask(world, model)
      expect([told.status, told.error]).toEqual([dialect === 'the socket' ? 101 : 403, codeOf(dialect)])
    }
    expect(world.outside).toEqual([])
    expect((await ask(world, 'box/llama-test')).text).toBe('Hello there')
    expect((await jsonOf(await world.admin('/admin/egress'))).items).toEqual([])
  })

  test('a route passes a cloud by for this machine alone, and hides nothing otherwise', async () => {
    const world = await startWorld({
      settings,
      host: failing('busy'),
      file: routed({ first: ['claude', 'box'], last: ['hf', 'claude'], clouds: ['claude', 'openai'] }),
    })
    const answer = await jsonOf(await world.call('/predict', { prompt: 'Hi', model: 'first' }))
    expect(answer).toMatchObject({ provider: 'box', ran_on: 'local', passed_by: [{ provider: 'claude', code: 'forbidden' }] })
    for (const model of ['last', 'clouds']) expect((await asks.predict(world, model)).error).toBe('forbidden')
    expect(world.outside.filter((url) => !url.startsWith(world.clouds.box.url))).toEqual([])
  })

  test('a cloud cannot be selected, and one that is makes the service not ready', async () => {
    const world = await startWorld({ settings: { ...settings, LLM_PROVIDER: 'claude' } })
    expect(await get(world, '/health/ready')).toMatchObject({ error: { message: expect.stringContaining('LOCAL_ONLY') } })
    expect(await get(world, '/model')).toMatchObject({ provider: 'claude', loaded: false, state: 'failed' })
    expect(await post(world, '/model', { provider: 'openai' })).toMatchObject({ status: 403, error: { code: 'forbidden' } })
    expect(await post(world, '/model', { provider: 'box' })).toMatchObject({ status: 200, ran_on: 'local' })
    expect(await get(world, '/health/ready')).toEqual({ status: 'ready' })
    expect((await get(world, '/v1/models')).data).toMatchObject([{ id: 'scripted' }, { id: 'box/llama-test' }])
  })
})

describe('a question to documents', () => {
  async function startLibrary(options: WorldOptions = {}) {
    const world = await startWorld(options)
    await world.admin('/embed/add', { documents: [{ id: 'hours', text: 'The museum opens at ten.' }] })
    const ask = (body: object) => world.admin('/rag/query', { question: 'When does it open?', threshold: -1, ...body })
    return { world, ask }
  }

  test.each([
    ['a name with its provider', { model: 'claude/claude-test' }, 'claude', 'requested'],
    ['a provider', { provider: 'claude' }, 'claude', 'requested'],
    ['a provider and its model', { provider: 'gpu', model: 'qwen-test' }, 'gpu', 'requested'],
    ['nothing', {}, 'openai', 'default'],
  ])('goes where %s says', async (_what, body, provider, why) => {
    const { world, ask } = await startLibrary({ settings: { LLM_PROVIDER: 'openai' } })
    expect(await jsonOf(await ask(body))).toMatchObject({ answer: 'Hello there', provider, why, ran_on: 'cloud' })
    const events = []
    for await (const event of readEvents(await ask({ ...body, stream: true }))) events.push(event)
    expect(JSON.parse(events.at(-1)?.data ?? '')).toMatchObject({ provider, why, ran_on: 'cloud' })
    expect(world.outside).toHaveLength(2)
  })

  test('follows a route, and names who has answered', async () => {
    const { ask } = await startLibrary({ host: failing('busy'), file: routed({ default: ['hf', 'claude'] }) })
    expect(await jsonOf(await ask({}))).toMatchObject({
      answer: 'Hello there',
      provider: 'claude',
      why: 'fallback',
      passed_by: [{ provider: 'hf', code: 'busy' }],
    })
  })

  test('is told of a failure, in the same form', async () => {
    const { world, ask } = await startLibrary()
    world.clouds.claude.answer(refuses(429, kinds.claude.failure('Slow down.', 'rate_limit_error'), { 'retry-after': '61' }))
    const response = await ask({ provider: 'claude' })
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '61'])
  })
})
