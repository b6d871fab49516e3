import { describe, expect, test } from 'vitest'
import type { GenerateEvent, Provider } from '../../src/engine/provider.ts'
import { createProviders } from '../../src/engine/providers.ts'
import { AppError, type ErrorCode } from '../../src/errors.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

const says = (text: string): readonly GenerateEvent[] => [
  { type: 'text-delta', index: 0, text },
  { type: 'choice-end', index: 0, reason: 'stop' },
  generationEnd(),
]

/** A provider of the cloud whose models are those that it lists; `failure` comes in place of an answer. */
function cloud(name: string, { models = ['small', 'large'], failure }: { models?: string[]; failure?: ErrorCode } = {}) {
  const asked: string[] = []
  let closed = 0
  const provider: Provider = {
    name,
    ranOn: 'cloud',
    models: models.map((model) => ({ name: model })),
    async choose(model = models[0]) {
      if (model === undefined || !models.includes(model)) throw new AppError('not_found', `${name} has no "${model}".`)
      return { name: model, identity: `${name}:${model}` }
    },
    async *generate({ model }) {
      asked.push(model)
      if (failure !== undefined) throw new AppError(failure, `${name} fails.`)
      yield* says(`${name} ${model}`)
    },
    countTokens: async () => 1,
    async close() {
      closed += 1
    },
  }
  return { provider, asked, closed: () => closed }
}

const local = (answer: () => Iterable<GenerateEvent> = () => says('local')) => createScriptedHost(answer)

type Routes = Readonly<Record<string, readonly string[]>>
const elsewhere = (providers: readonly Provider[], routes: Routes = {}) => ({
  providers,
  routes: new Map(Object.entries(routes)),
})

async function namesOf(providers: ReturnType<typeof createProviders>, model?: string, provider?: string): Promise<string> {
  const { candidates, why } = await providers.choose({ model, provider })
  const names = await Promise.all(candidates.map(async (one) => `${one.provider.name}/${(await one.choose()).name}`))
  return `${why}: ${names.join(' ')}`
}

describe('who answers', () => {
  const { provider: claude } = cloud('claude')
  const providers = createProviders(local(), elsewhere([claude], { careful: ['hf', 'claude/large'] }))

  test('is the model of this machine, unless something else is named', async () => {
    expect(await namesOf(providers)).toBe('default: hf/scripted')
    expect(await namesOf(providers, 'scripted')).toBe('requested: hf/scripted')
    expect(await namesOf(providers, 'claude')).toBe('requested: claude/small')
    expect(await namesOf(providers, 'claude/large')).toBe('requested: claude/large')
    expect(await namesOf(providers, undefined, 'claude')).toBe('requested: claude/small')
    expect(await namesOf(providers, 'large', 'claude')).toBe('requested: claude/large')
    expect(await namesOf(providers, 'hf/scripted')).toBe('requested: hf/scripted')
    expect(await namesOf(providers, 'careful')).toBe('requested: hf/scripted claude/large')
  })

  test('is nobody where the name is unknown, even if a provider of the cloud has it', async () => {
    await expect(namesOf(providers, 'large')).rejects.toMatchObject({ code: 'not_found' })
    await expect(namesOf(providers, 'x', 'openai')).rejects.toMatchObject({ code: 'invalid', details: [{ field: 'provider' }] })
  })

  test('is the local model where an installed one has the name of a provider or a route', async () => {
    const { provider } = cloud('scripted')
    expect(await namesOf(createProviders(local(), elsewhere([provider])), 'scripted')).toBe('requested: hf/scripted')
    const routed = createProviders(local(), elsewhere([cloud('claude').provider], { scripted: ['claude'] }))
    expect(await namesOf(routed, 'scripted')).toBe('requested: hf/scripted')
  })

  test('follows the selection, whose models need not be named with their provider', async () => {
    const chosen = createProviders(local(), elsewhere([cloud('claude').provider]))
    await chosen.select('claude', 'large')
    expect(await namesOf(chosen)).toBe('default: claude/large')
    expect(await namesOf(chosen, 'small')).toBe('requested: claude/small')
    expect(await namesOf(chosen, 'scripted')).toBe('requested: hf/scripted')
    await expect(chosen.select('claude', 'none')).rejects.toMatchObject({ code: 'not_found' })
    expect(chosen.selected()).toEqual({ provider: 'claude', model: 'large' })
  })

  test('follows the route that is called default, where there is one', async () => {
    const routed = createProviders(local(), elsewhere([cloud('claude').provider], { default: ['claude', 'hf'] }))
    expect(await namesOf(routed)).toBe('default: claude/small hf/scripted')
  })

  test('cannot be a provider that is not there, or one of two of a name', async () => {
    expect(() => createProviders(local(), elsewhere([claude, claude]))).toThrow('Two providers')
    expect(() => createProviders(local(), elsewhere([], { a: ['hf', 'gone/x'] }))).toThrow('"gone/x"')
    expect(() => createProviders(local(), elsewhere([claude], { claude: ['hf'] }))).toThrow('name of a provider')
    expect(() => createProviders(local(), elsewhere([]), { provider: 'claude', model: undefined })).toThrow('not configured')
  })

  test('changes as a whole on a reload, and falls back to this machine', async () => {
    const first = cloud('claude')
    const reloaded = createProviders(local(), elsewhere([first.provider]), { provider: 'claude', model: 'small' })
    await expect(reloaded.prepare(elsewhere([], { a: ['gone'] }))).rejects.toMatchObject({ code: 'invalid' })
    expect([reloaded.selected().provider, first.closed()]).toEqual(['claude', 0])
    const apply = await reloaded.prepare(elsewhere([cloud('openai').provider]))
    expect([await namesOf(reloaded), first.closed()]).toEqual(['default: claude/small', 0])
    await apply()
    expect([await namesOf(reloaded), await namesOf(reloaded, 'openai'), first.closed()]).toEqual([
      'default: hf/scripted',
      'requested: openai/small',
      1,
    ])
  })
})

type Origin = Readonly<{ provider: string; ran_on: string; why: string; passed_by?: unknown; choices: { text: string }[] }>

describe('a fallback', () => {
  const failing = (code: ErrorCode) => () => {
    throw new AppError(code, 'Not now.')
  }

  async function ask(host: ReturnType<typeof local>, clouds: readonly Provider[], routes: Routes, body: object = {}) {
    await using server = await startServer({ host, readElsewhere: async () => elsewhere(clouds, routes) })
    const response = await server.predict({ prompt: 'x', temperature: 0, ...body })
    return { status: response.status, headers: response.headers, ...(await bodyOf<Origin>(response)) }
  }

  test('happens only where somebody wrote a route', async () => {
    const { provider, asked } = cloud('claude')
    expect(await ask(local(failing('busy')), [provider], {})).toMatchObject({ status: 503 })
    expect(asked).toEqual([])
  })

  test.each(['busy', 'unavailable', 'upstream', 'rate_limited', 'context_length_exceeded'] as const)(
    'goes on after %s, and the answer says so',
    async (code) => {
      const { provider } = cloud('claude')
      const routes = { careful: ['hf', 'claude/large'] }
      expect(await ask(local(failing(code)), [provider], routes, { model: 'careful' })).toMatchObject({
        status: 200,
        provider: 'claude',
        ran_on: 'cloud',
        why: 'fallback',
        passed_by: [{ provider: 'hf', model: 'scripted', code }],
        choices: [{ text: 'claude large' }],
      })
    },
  )

  test('does not hide what is wrong with the request', async () => {
    const { provider, asked } = cloud('claude')
    const answer = await ask(local(failing('invalid')), [provider], { default: ['hf', 'claude'] })
    expect([answer.status, asked]).toEqual([400, []])
  })

  test('ends with the error of the last one', async () => {
    const { provider } = cloud('claude', { failure: 'upstream' })
    expect(await ask(local(failing('busy')), [provider], { default: ['hf', 'claude'] })).toMatchObject({ status: 502 })
  })

  test('never begins once text has come', async () => {
    const { provider, asked } = cloud('claude')
    const breaks = function* (): Generator<GenerateEvent> {
      yield { type: 'text-delta', index: 0, text: 'half' }
      throw new AppError('upstream', 'Broken off.')
    }
    await using server = await startServer({
      host: local(breaks),
      readElsewhere: async () => elsewhere([provider], { default: ['hf', 'claude'] }),
    })
    const { text, end } = await server.stream({ prompt: 'x' })
    expect([text, end?.event, asked]).toEqual(['half', 'error', []])
  })

  test('is told in headers where the dialect has no field for it', async () => {
    const { provider } = cloud('claude')
    await using server = await startServer({
      host: local(failing('busy')),
      readElsewhere: async () => elsewhere([provider], { careful: ['hf', 'claude/large'] }),
    })
    for (const stream of [false, true]) {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'careful', messages: [{ role: 'user', content: 'x' }], stream }),
      })
      expect(Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('x-simpleia')))).toEqual({
        'x-simpleia-provider': 'claude',
        'x-simpleia-model': 'large',
        'x-simpleia-ran-on': 'cloud',
        'x-simpleia-why': 'fallback',
        'x-simpleia-passed-by': 'hf=busy',
        'x-simpleia-prediction-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      })
      await response.text()
    }
  })
})

describe('the service', () => {
  test('lists who can answer, and switches while it runs', async () => {
    const claude = cloud('claude')
    await using server = await startServer({
      host: local(),
      readElsewhere: async () => elsewhere([claude.provider], { careful: ['hf', 'claude'] }),
    })
    const headers = { authorization: `Bearer ${await server.login('root')}`, 'content-type': 'application/json' }
    const get = async (path: string) => bodyOf<Record<string, unknown>>(await fetch(server.url + path))
    const select = (body: object) => fetch(`${server.url}/model`, { method: 'POST', headers, body: JSON.stringify(body) })
    expect(await get('/providers')).toEqual({
      providers: [
        { name: 'hf', ran_on: 'local', selected: true, models: [] },
        { name: 'claude', ran_on: 'cloud', selected: false, models: ['small', 'large'] },
      ],
      routes: ['careful'],
    })
    expect((await get('/v1/models')).data).toMatchObject([
      { id: 'scripted' },
      { id: 'careful' },
      { id: 'claude/small' },
      { id: 'claude/large' },
    ])
    expect((await select({ model_name: 'none', provider: 'claude' })).status).toBe(404)
    expect(await get('/model')).toMatchObject({ provider: 'hf', model_name: 'scripted', ran_on: 'local' })
    expect(await bodyOf(await select({ model_name: 'large', provider: 'claude' }))).toMatchObject({
      provider: 'claude',
      model_name: 'large',
      ran_on: 'cloud',
    })
    expect(await bodyOf<Origin>(await server.predict({ prompt: 'x' }))).toMatchObject({
      provider: 'claude',
      ran_on: 'cloud',
      why: 'default',
    })
    expect(await bodyOf(await select({ model_name: 'scripted' }))).toMatchObject({ provider: 'hf' })
    expect(await bodyOf<Origin>(await server.predict({ prompt: 'x' }))).toMatchObject({ provider: 'hf', ran_on: 'local' })
  })
})
