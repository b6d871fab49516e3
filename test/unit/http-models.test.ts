import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { onPostgres } from '../postgres/database-at.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

/** An engine with three models, of which one cannot be loaded; `loads` are those that were loaded after the start. */
function threeModels(): ModelHost & { loads: string[] } {
  const loads: string[] = []
  const models = ['first', 'second', 'broken']
  const engine = createFakeEngine({ answer: () => ({ pieces: ['a'] }), models, onLoad: (name) => loads.push(name) })
  return {
    ...engine,
    get loads() {
      return loads.slice(1)
    },
  }
}

type Model = Readonly<{ model_name: string; loaded: boolean; error: { code: string; message: string } }>

async function asAdmin(server: TestServer) {
  const authorization = `Bearer ${await server.login('root')}`
  return async (path: string, body?: object) => {
    const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
    const response = await fetch(server.url + path, {
      method: 'POST',
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, ...(await bodyOf<Model>(response)) }
  }
}

const current = async ({ url }: TestServer) => (await bodyOf<Model>(await fetch(`${url}/model`))).model_name
const saved = async ({ dataDir }: TestServer) => JSON.parse(await readFile(join(dataDir, 'config.json'), 'utf8'))

describe('choosing a model', () => {
  test('loads it, switches to it and writes the choice down', async () => {
    await using server = await startServer({ host: threeModels() })
    const post = await asAdmin(server)
    expect(await post('/model', { model_name: 'second', provider: 'hf' })).toMatchObject({
      status: 200,
      model_name: 'second',
      loaded: true,
    })
    expect(await current(server)).toBe('second')
    expect(await saved(server)).toEqual({ selected_model: 'second', provider: 'hf' })
    const { models, memory } = await bodyOf<{ models: unknown; memory: unknown }>(await fetch(`${server.url}/models`))
    expect(memory).toEqual({ budget_bytes: 0, used_bytes: expect.any(Number) })
    expect(models).toMatchObject([
      { name: 'broken', loaded: false, state: 'unloaded' },
      { name: 'first', loaded: false, state: 'unloaded', selected: false },
      { name: 'second', loaded: true, state: 'ready', selected: true },
    ])
  })

  test('that cannot be loaded keeps the old one, in memory and on disk', async () => {
    await using server = await startServer({ host: threeModels() })
    const post = await asAdmin(server)
    await post('/model', { model_name: 'second' })
    expect(await post('/model', { model_name: 'broken' })).toMatchObject({
      status: 400,
      error: { message: expect.stringContaining('cut off') },
    })
    expect(await post('/model', { model_name: '../../etc/passwd' })).toMatchObject({ status: 404 })
    expect(await current(server)).toBe('second')
    expect(await saved(server)).toMatchObject({ selected_model: 'second' })
  })

  test('of a provider that is not configured is refused before anything is loaded', async () => {
    const host = threeModels()
    await using server = await startServer({ host })
    const post = await asAdmin(server)
    expect(await post('/model', { model_name: 'second', provider: 'claude' })).toMatchObject({
      status: 400,
      error: { code: 'invalid' },
    })
    expect(await post('/model', { model_name: 'second', provider: 'nobody' })).toMatchObject({ status: 400 })
    expect(host.loads).toEqual([])
  })

  test('that is called as those of the hub are is asked for there, unless something here has the name; what the hub says is told', async () => {
    const answers = [() => new Response('', { status: 404 }), () => new Response('"no hub"')]
    const engine = createFakeEngine({ answer: () => ({ pieces: ['a'] }), models: ['first', 'our/own'] })
    const host: ModelHost = {
      ...engine,
      async choose(name) {
        if (name === 'our/adapter') throw new AppError('invalid', 'It answers nothing.')
        return engine.choose(name)
      },
    }
    await using server = await startServer({
      host,
      fetch: async () => answers.shift()?.() ?? expect.unreachable('one request too many'),
    })
    const post = await asAdmin(server)
    expect(await post('/model', { model_name: 'our/own' })).toMatchObject({ status: 200, model_name: 'our/own' })
    expect(await post('/model', { model_name: 'our/adapter' })).toMatchObject({ status: 404 })
    expect(answers).toHaveLength(2)
    expect(await post('/model', { model_name: 'their/model' })).toMatchObject({
      status: 404,
      error: { message: expect.stringMatching(/^No model is called "their\/model"\. The hub said: .* does not exist/) },
    })
    // Nothing is known of the model where what answers is no hub.
    expect(await post('/model', { model_name: 'their/model' })).toMatchObject({
      status: 502,
      error: { code: 'upstream', message: expect.stringContaining('Is HF_ENDPOINT a model hub?') },
    })
  })

  test('makes cached answers of another model unreachable', async () => {
    await using server = await startServer({ host: threeModels() })
    const post = await asAdmin(server)
    const cached = async () => (await bodyOf(await server.predict({ prompt: 'x', temperature: 0 }))).cached
    expect([await cached(), await cached()]).toEqual([false, true])
    await post('/model', { model_name: 'second' })
    expect(await cached()).toBe(false)
    await post('/model', { model_name: 'first' })
    expect(await cached()).toBe(true)
  })

  test('is for admins only, also where anonymous callers may ask', async () => {
    const host = threeModels()
    await using server = await startServer({ host })
    await server.login('root')
    const token = await server.login('ana')
    const statuses = []
    for (const path of ['/model', '/admin/reload', '/models/second/load']) {
      const body = JSON.stringify({ model_name: 'second' })
      const headers = { 'content-type': 'application/json' }
      statuses.push((await fetch(server.url + path, { method: 'POST', headers, body })).status)
      statuses.push(
        (await fetch(server.url + path, { method: 'POST', headers: { ...headers, authorization: `Bearer ${token}` }, body }))
          .status,
      )
    }
    expect(statuses).toEqual([401, 403, 401, 403, 401, 403])
    expect(host.loads).toEqual([])
  })
})

describe('several models', () => {
  test('are loaded and unloaded by an admin, beside the selected one', async () => {
    const host = threeModels()
    await using server = await startServer({ host })
    const post = await asAdmin(server)
    expect(await post('/models/second/load')).toMatchObject({
      status: 200,
      models: [{ name: 'second', loaded: true, state: 'ready', selected: false, requests_served: 0 }],
    })
    expect(await current(server)).toBe('first')
    expect((await bodyOf(await server.predict({ prompt: 'x', model: 'second' }))).model).toBe('second')
    expect(await post('/models/second/unload')).toMatchObject({ status: 200, models: [{ loaded: false, state: 'unloaded' }] })
    expect((await bodyOf(await server.predict({ prompt: 'x', model: 'second' }))).model).toBe('second')
    expect(host.loads).toEqual(['second', 'second'])
    expect((await bodyOf(await server.predict({ prompt: 'x' }))).model).toBe('first')
    expect(await saved(server).catch(() => undefined)).toBeUndefined()
  })

  test('that cannot be loaded, or do not exist, are refused with the reason', async () => {
    await using server = await startServer({ host: threeModels() })
    const post = await asAdmin(server)
    expect(await post('/models/broken/load')).toMatchObject({
      status: 400,
      error: { message: expect.stringContaining('cut off') },
    })
    expect(await post('/models/none/load')).toMatchObject({ status: 404, error: { code: 'not_found' } })
    expect(await post('/models/none/unload')).toMatchObject({ status: 404, error: { code: 'not_found' } })
    expect(await post('/models/first/repaint')).toMatchObject({ status: 404, error: { code: 'not_found' } })
    const { models } = await bodyOf<{ models: unknown }>(await fetch(`${server.url}/models`))
    expect(models).toMatchObject([{ name: 'broken', state: 'failed', reason: expect.stringContaining('cut off') }, {}, {}])
  })

  test('are all shown to OpenAI clients', async () => {
    await using server = await startServer({ host: threeModels() })
    const { data } = await bodyOf<{ data: ReadonlyArray<{ id: string }> }>(await fetch(`${server.url}/v1/models`))
    expect(data.map(({ id }) => id)).toEqual(['broken', 'first', 'second'])
  })
})

test('a model that has left memory is ready all the same: the next request brings it back', async () => {
  const host = threeModels()
  await using server = await startServer({ host })
  const post = await asAdmin(server)
  await post('/models/first/unload')
  expect(await bodyOf(await fetch(`${server.url}/model`))).toMatchObject({
    model_name: 'first',
    loaded: false,
    state: 'unloaded',
  })
  expect((await fetch(`${server.url}/health/ready`)).status).toBe(200)
  expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('simpleia_engine_ready 1')
  expect((await bodyOf(await server.predict({ prompt: 'x' }))).model).toBe('first')
  expect(host.loads).toEqual(['first'])
})

describe('reloading the file', () => {
  test('switches to what it says, and does nothing when that is loaded already', async () => {
    const host = threeModels()
    await using server = await startServer({ host })
    const post = await asAdmin(server)
    expect(await post('/admin/reload')).toMatchObject({ status: 200, model_name: 'first' })
    await writeFile(join(server.dataDir, 'config.json'), '{"selected_model":"second","provider":"hf"}')
    expect(await post('/admin/reload')).toMatchObject({ status: 200, model_name: 'second' })
    expect(await post('/admin/reload')).toMatchObject({ status: 200, model_name: 'second' })
    expect(host.loads).toEqual(['second'])
  })

  test('that is broken changes nothing and says what is wrong', async () => {
    await using server = await startServer({ host: threeModels() })
    const post = await asAdmin(server)
    await writeFile(join(server.dataDir, 'config.json'), '{"selected_model":')
    expect(await post('/admin/reload')).toMatchObject({ status: 400, error: { message: expect.stringContaining('config.json') } })
    expect(await current(server)).toBe('first')
  })
})

test('without a model the service says so, everywhere', async () => {
  const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }), models: [] })
  await using server = await startServer({ host })
  expect(await bodyOf(await fetch(`${server.url}/model`))).toEqual({
    model_name: null,
    ran_on: 'local',
    provider: 'hf',
    loaded: false,
    state: 'empty',
    reason: expect.stringContaining('POST /model'),
  })
  for (const body of [{ prompt: 'x' }, { prompt: 'x', stream: true }, { prompt: 'x', temperature: 0 }]) {
    const response = await server.predict(body)
    expect([response.status, (await bodyOf(response)).error.code]).toEqual([503, 'unavailable'])
  }
  expect((await fetch(`${server.url}/health/ready`)).status).toBe(503)
})

test('a choice that cannot be written down is told, though the model has switched; in PostgreSQL it is kept all the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-config-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await using server = await startServer({ host: threeModels(), settings: { CONFIG_FILE: folder } })
  const post = await asAdmin(server)
  const told = onPostgres ? { status: 200 } : { status: 503, error: { code: 'unavailable' } }
  expect(await post('/model', { model_name: 'second' })).toMatchObject(told)
  expect(await current(server)).toBe('second')
})
