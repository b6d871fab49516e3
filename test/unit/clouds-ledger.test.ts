import { describe, expect, test } from 'vitest'
import { beginsWith, isSilent, refuses, says, streams } from '../cloud-server.ts'
import { anthropicSse, messageEnd, messageStart, textBlock } from '../cloud-transcripts.ts'
import { kinds } from '../cloud-world.ts'
import { asks, at, dialects } from '../dialects.ts'
import { answerAll, jsonOf, keyOf, modelOf, type ServiceWorld, startServiceWorld, type WorldOptions } from '../service-world.ts'
import { readEvents } from '../sse-parser.ts'
import { createCli } from './cli-world.ts'

const hello = { claude: streams(kinds.claude.hello), openai: streams(kinds.custom.hello) }

async function startWorld(options: WorldOptions = {}): Promise<ServiceWorld> {
  const world = await startServiceWorld(options)
  answerAll(world, hello)
  return world
}

type Item = Readonly<Record<string, unknown>>
async function ledgerOf(world: ServiceWorld): Promise<Readonly<{ items: readonly Item[]; totals: Item }>> {
  return JSON.parse(await (await world.admin('/admin/egress')).text())
}

const messages = [{ role: 'user', content: 'Hi' }]

describe('the ledger', () => {
  test('has the host, model, bytes, tokens, cost and user of each answer of a cloud', async () => {
    const world = await startWorld()
    const counted = { input_tokens: 100, cache_read_input_tokens: 1000, cache_creation_input_tokens: 10, output_tokens: 1 }
    world.clouds.claude.answer(
      streams(anthropicSse(messageStart(counted), ...textBlock(0, 'Hi'), ...messageEnd('end_turn', { output_tokens: 20 }))),
    )
    const body = { model: 'claude/claude-test', max_tokens: 9, messages }
    const answer = await jsonOf(await world.admin('/v1/messages', body))
    expect(answer.usage).toMatchObject({ input_tokens: 110, cache_read_input_tokens: 1000, output_tokens: 20 })
    await world.admin('/predict', { prompt: 'Hi', provider: 'gpu' })
    await world.admin('/predict', { prompt: 'Hi', provider: 'box' })
    const { items, totals } = await ledgerOf(world)
    const sent = JSON.stringify(world.clouds.claude.requests[0]?.body).length
    // 110 tokens at 3, 1,000 at 0.3 and 20 at 15 dollars for a million.
    expect(items).toMatchObject([
      { provider: 'gpu', model: 'qwen-test', hosts: ['gpu.example'], prompt_tokens: 25, cost_microdollars: null, status: 200 },
      {
        provider: 'claude',
        model: 'claude-test',
        hosts: ['api.anthropic.com'],
        purpose: 'answer',
        state: 'ended',
        username: 'root',
        requests: 1,
        status: 200,
        prompt_tokens: 1110,
        cached_prompt_tokens: 1000,
        completion_tokens: 20,
        cost_microdollars: 930,
      },
    ])
    expect(items[1]?.bytes_out).toBeGreaterThan(sent)
    expect(items[1]?.bytes_out).toBeLessThan(sent + 1000)
    expect(items[1]?.bytes_in).toBeGreaterThan(300)
    expect(totals).toMatchObject({ errands: 2, cost_microdollars: 930, unpriced_answers: 1 })
    expect(await jsonOf(await world.admin('/auth/usage'))).toMatchObject({ user: { cost_usd: 0.00093, requests: 3 } })
    const metrics = await (await world.call('/metrics')).text()
    expect(metrics).toContain('simpleia_egress_requests_total{purpose="answer",provider="claude"} 1')
  })

  test('has an answer once, however often it comes from the cache', async () => {
    const world = await startWorld()
    const body = { prompt: 'Hi', model: 'claude/claude-test', temperature: 0 }
    const [first, second] = [await jsonOf(await world.admin('/predict', body)), await jsonOf(await world.admin('/predict', body))]
    expect([first.cached, second.cached, second.ran_on]).toEqual([false, true, 'cloud'])
    expect((await ledgerOf(world)).totals.errands).toBe(1)
    expect(await jsonOf(await world.admin('/auth/usage'))).toMatchObject({ user: { requests: 2, prompt_tokens: 25 } })
  })

  test('tells the counting of tokens apart, which costs nothing', async () => {
    const world = await startWorld()
    world.clouds.claude.answer(says(200, 'application/json', '{"input_tokens":12}'))
    const counted = await jsonOf(await world.call('/v1/messages/count_tokens', { model: 'claude/claude-test', messages }))
    expect(counted).toEqual({ input_tokens: 12 })
    const { items, totals } = await ledgerOf(world)
    expect(items).toMatchObject([{ purpose: 'token-count', provider: 'claude', state: 'ended' }])
    expect(totals.unpriced_answers).toBe(0)
    expect((await world.call('/v1/messages/count_tokens', { model: 'openai/gpt-test', messages })).status).toBe(400)
  })

  test('is shown by the command line', async () => {
    const world = await startWorld()
    await world.admin('/predict', { prompt: 'Hi', provider: 'claude' })
    const { run } = await createCli({ PORT: String(world.port) })
    await run('login root', 'root-has-a-long-password\n')
    const { code, output } = await run('admin egress')
    expect([code, output]).toEqual([0, expect.stringMatching(/answer\troot .*\tclaude claude-test\tapi\.anthropic\.com\t200\t/)])
  })

  test('has a refusal, and an answer that was given up, with its bytes', async () => {
    const world = await startWorld()
    world.clouds.openai.answer(refuses(401, kinds.openai.failure('No.', 'invalid_request_error')))
    await asks.predict(world, 'openai/gpt-test')
    world.clouds.claude.answer(beginsWith(kinds.claude.begun))
    const leaving = new AbortController()
    const response = await world.call(
      '/predict',
      { prompt: 'Hi', model: 'claude/claude-test', stream: true },
      { signal: leaving.signal },
    )
    for await (const _event of readEvents(response)) break
    leaving.abort()
    await (await world.clouds.claude.request(0)).closed
    const ended = async () => (await ledgerOf(world)).items
    await expect.poll(ended).toMatchObject([
      { provider: 'claude', state: 'ended', status: 200, prompt_tokens: null },
      { provider: 'openai', state: 'ended', status: 401, cost_microdollars: null },
    ])
    const [given] = await ended()
    expect(given?.bytes_in).toBeGreaterThan(100)
    expect(given?.bytes_out).toBeGreaterThan(100)
  })
})

describe('who leaves', () => {
  test.each(dialects.filter((dialect) => dialect !== 'the socket'))(
    'by %s is seen by the cloud within a second',
    async (dialect) => {
      const world = await startWorld()
      for (const [index, script] of [isSilent, beginsWith(kinds.claude.begun)].entries()) {
        world.clouds.claude.answer(script)
        const leaving = new AbortController()
        const asking = asks[dialect](world, 'claude/claude-test', {}, leaving.signal).catch(() => 'left')
        const seen = await world.clouds.claude.request(index)
        const startedAt = performance.now()
        leaving.abort()
        await seen.closed
        expect(performance.now() - startedAt).toBeLessThan(1000)
        expect(await asking).toBe('left')
      }
    },
  )

  test('by a socket, or stops there, is seen by the cloud', async () => {
    const world = await startWorld()
    world.clouds.claude.answer(beginsWith(kinds.claude.begun))
    for (const [index, leave] of ['stop', 'close'].entries()) {
      using socket = await world.socket()
      socket.send({ prompt: 'Hi', model: 'claude/claude-test' })
      expect(await socket.next()).toMatchObject({ type: 'token', text: 'Hello' })
      if (leave === 'stop') socket.send({ type: 'stop' })
      else socket.socket.close()
      await (await world.clouds.claude.request(index)).closed
      if (leave === 'stop') expect(await socket.next()).toMatchObject({ type: 'done', finish_reason: 'stopped' })
    }
  })
})

describe('a limit on costs', () => {
  const withCeiling = (name: string, dollars: number): WorldOptions => ({
    file: (usual) => ({
      ...usual,
      providers: usual.providers.map((one) =>
        one.name === name ? { ...one, limits: { ...one.limits, cost_per_day_usd: dollars } } : one,
      ),
      routes: { careful: [name, 'hf'] },
    }),
  })

  test('of a provider stops it for the day, and a route goes on', async () => {
    const world = await startWorld(withCeiling('claude', 0.0003))
    // 25 tokens at 3 and 15 at 15 dollars for a million are 300 millionths.
    expect((await asks.chat(world, 'claude/claude-test')).status).toBe(200)
    const refused = await asks.chat(world, 'claude/claude-test')
    expect([refused.status, refused.error, refused.headers.get('x-should-retry')]).toEqual([429, 'insufficient_quota', 'false'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    const passed = await jsonOf(await world.call('/predict', { prompt: 'Hi', model: 'careful' }))
    expect(passed).toMatchObject({ provider: 'hf', why: 'fallback', passed_by: [{ provider: 'claude', code: 'quota_exceeded' }] })
    expect(world.outside).toHaveLength(1)
    await world.write('providers.json', { providers: [{ name: 'claude', type: 'claude', models: [modelOf.claude] }] })
    expect((await world.admin('/admin/reload', {})).status).toBe(200)
    expect((await asks.chat(world, 'claude/claude-test')).status).toBe(200)
  })

  test('cannot be held where the price is not known', async () => {
    const world = await startWorld(withCeiling('gpu', 1))
    expect(await asks.predict(world, 'gpu/qwen-test')).toMatchObject({ status: 403, error: 'forbidden' })
    expect(world.outside).toEqual([])
  })

  test('of a key counts what the cloud costs', async () => {
    const world = await startWorld()
    const made = await jsonOf(
      await world.admin('/auth/keys', { name: 'k', scopes: ['inference'], quota: { cost_per_day_usd: 0.0004 } }),
    )
    const headers = { authorization: `Bearer ${made.key}` }
    const statuses = []
    for (let number = 0; number < 3; number += 1) {
      const response = await world.call('/v1/chat/completions', { model: 'claude/claude-test', messages }, { headers })
      statuses.push(response.status)
      await response.text()
    }
    expect(statuses).toEqual([200, 200, 429])
    // What costs nothing is not barred.
    expect((await world.call('/v1/chat/completions', { model: 'scripted', messages }, { headers })).status).toBe(200)
  })
})

const names = ['claude', 'openai', 'gpu', 'box'] as const

describe('keys of providers', () => {
  test('are told to their provider alone', async () => {
    const logged: string[] = []
    const logStream = { write: (line: string) => void logged.push(line) }
    const world = await startWorld({ settings: { LOG_LEVEL: 'trace' }, logStream })
    const shown: string[] = []
    const keep = async (response: Response) => shown.push(JSON.stringify([...response.headers]), await response.text())
    const refuseAll = (status: number) => {
      for (const name of names) {
        const failure = kinds[name === 'claude' ? name : 'openai'].failure(`Bad key ${keyOf[name]}`, 'x')
        world.clouds[name].answer(refuses(status, failure))
      }
    }
    for (const prepare of [() => {}, () => refuseAll(401), () => refuseAll(400), () => refuseAll(500)]) {
      prepare()
      for (const name of names) await keep(await world.call('/predict', { prompt: 'Hi', provider: name, model: modelOf[name] }))
    }
    expect(
      world.clouds.claude.requests[0]?.headers['x-api-key'] ?? world.clouds.claude.requests[0]?.headers.authorization,
    ).toContain(keyOf.claude)
    expect(world.clouds.gpu.requests[0]?.headers.authorization).toBe(`Bearer ${keyOf.gpu}`)
    for (const path of [
      '/providers',
      '/model',
      '/models',
      '/v1/models',
      '/metrics',
      '/openapi.json',
      '/health',
      '/admin',
      '/docs',
    ])
      await keep(await world.admin(path))
    await keep(await world.admin('/admin/egress'))
    await world.write('providers.json', `{"providers": [{"name": "a", "type": "custom", "api_key": "${keyOf.box}", "oops": 1}]}`)
    await keep(await world.admin('/admin/reload', {}))
    await world.write('providers.json', `{"providers": [{"name": "a", "api_key": "${keyOf.box}"`)
    await keep(await world.admin('/admin/reload', {}))
    const text = [...shown, ...logged].join('\n')
    expect(logged.length).toBeGreaterThan(20)
    expect(names.filter((name) => text.includes(keyOf[name]))).toEqual([])
    expect(at(JSON.parse(shown[1] ?? ''), 'choices', 0, 'text')).toBe('Hello there')
  })
})
