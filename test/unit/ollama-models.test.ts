import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createClient } from '../../src/client.ts'
import type { HostedModel, ModelHost } from '../../src/engine/provider.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { linesOf, type OllamaLine, ollamaClient, postApi } from '../ollama-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

/** A host whose list is the one of the fake engine, with changes. */
function hostWith(changes: (model: HostedModel) => Partial<HostedModel>, models = ['fake']): ModelHost {
  const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }), models })
  return { ...host, list: async () => (await host.list()).map((model) => ({ ...model, ...changes(model) })) }
}

const small = { pieces: ['a', 'b'] }
const header = {
  architecture: 'gemma3',
  quantization: 'Q4_K_M',
  parameters: 268_098_176,
  sizeBytes: 123,
  trainedContext: 32_768,
  estimatedBytes: 1,
}

async function addFile(
  { dataDir }: TestServer,
  name: string,
  metadata: Readonly<Record<string, string | number>>,
): Promise<void> {
  const path = join(dataDir, 'models', name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, ggufBytes({ metadata }))
}

describe('the official client', () => {
  test('lists the models that can be asked, under names that it can send back', async () => {
    const kinds: Readonly<Record<string, HostedModel['kind']>> = { 'a/vectors': 'embedding', ranks: 'reranker', lora: 'adapter' }
    const aliases: Readonly<Record<string, string[]>> = { chat: ['mine', 'gpt:oss'] }
    const host = hostWith(
      ({ name }) => ({
        header,
        kind: kinds[name] ?? 'chat',
        aliases: aliases[name] ?? [],
        problem: name === 'broken' ? 'Cut off.' : undefined,
      }),
      ['chat', 'broken', ...Object.keys(kinds)],
    )
    await using server = await startServer({ host })
    await addFile(server, 'chat.gguf', {})
    const { models } = await ollamaClient(server).list()
    expect(models.map(({ name }) => name)).toEqual(['a/vectors:latest', 'chat:latest', 'mine:latest', 'gpt:oss'])
    expect(models[1]).toEqual({
      name: 'chat:latest',
      model: 'chat:latest',
      modified_at: expect.stringMatching(/^20\d\d-/),
      size: 123,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      details: {
        parent_model: '',
        format: 'gguf',
        family: 'gemma3',
        families: ['gemma3'],
        parameter_size: '268.10M',
        quantization_level: 'Q4_K_M',
      },
    })
    const { message } = await ollamaClient(server).chat({ model: 'chat:latest', messages: [{ role: 'user', content: 'x' }] })
    expect(message.content).toBe('a')
  })

  test('is told what the file of a model says, and the window that it gets here', async () => {
    const host = hostWith(() => ({ header, info: undefined, state: 'unloaded' }))
    await using server = await startServer({ host, settings: { CONTEXT_SIZE: '8192' } })
    const template = '{% if tools %}{{ tools }}{% endif %}{% if enable_thinking %}<think>{% endif %}'
    await addFile(server, 'fake.gguf', {
      'general.architecture': 'gemma3',
      'gemma3.context_length': 32_768,
      'gemma3.embedding_length': 640,
      'tokenizer.chat_template': template,
    })
    const shown = await ollamaClient(server).show({ model: 'fake:latest' })
    expect(shown).toMatchObject({
      template,
      capabilities: ['completion', 'tools', 'thinking'],
      details: { family: 'gemma3', quantization_level: 'Q4_K_M' },
      modified_at: expect.stringMatching(/^20\d\d-/),
      model_info: {
        'general.architecture': 'gemma3',
        'general.parameter_count': 268_098_176,
        'gemma3.context_length': 8192,
        'gemma3.embedding_length': 640,
      },
    })
    expect(shown.model_info).not.toHaveProperty(['tokenizer.chat_template'])
    // As Ollama's command line says it.
    const whole = { model: 'fake', name: '', system: '', template: '', verbose: false, options: null }
    for (const body of [{ name: 'fake' }, whole]) expect(await bodyOf(await postApi(server, '/show', body))).toEqual(shown)
    await expect(ollamaClient(server).show({ model: 'nobody' })).rejects.toMatchObject({ status_code: 404 })
    expect((await postApi(server, '/show', {})).status).toBe(400)
    expect(await bodyOf(await postApi(server, '/show', { model: 'fake', verbose: true }))).toEqual({
      error: '"verbose" must be false, but is true.',
    })
  })

  test('is told the window of a model in memory as it is', async () => {
    await using server = await startServer({ host: hostWith(() => ({ header })), settings: { CONTEXT_SIZE: '8192' } })
    expect((await ollamaClient(server).show({ model: 'fake' })).model_info).toMatchObject({ 'gemma3.context_length': 4096 })
  })

  test('sees which models are in memory, and until when', async () => {
    const usedAt = Date.UTC(2026, 0, 1)
    for (const [keepAlive, expires] of [
      ['5m', '2026-01-01T00:05:00.000Z'],
      ['forever', '2262-04-11T23:47:16.854Z'],
    ] as const) {
      const host = hostWith(
        ({ name }) => ({ header, usedAt, memoryBytes: 456, ...(name === 'idle' ? { state: 'unloaded' } : {}) }),
        ['fake', 'idle'],
      )
      await using server = await startServer({ host, settings: { KEEP_ALIVE: keepAlive } })
      expect((await ollamaClient(server).ps()).models).toEqual([
        {
          name: 'fake:latest',
          model: 'fake:latest',
          size: 456,
          size_vram: 0,
          digest: expect.any(String),
          details: expect.objectContaining({ family: 'gemma3' }),
          expires_at: expires,
          context_length: 4096,
        },
      ])
    }
  })

  test('gets a version that it works with', async () => {
    await using server = await startServer({ host: createFakeEngine({ answer: () => small }) })
    expect((await ollamaClient(server).version()).version).toMatch(/^0\.\d+\.\d+$/)
    for (const path of ['/', '/api/version', '/api/tags'])
      expect((await fetch(server.url + path, { method: 'HEAD' })).status).toBe(200)
  })

  test('embeds texts: one, several, none, cut to fewer numbers', async () => {
    const model = createFakeModel({ name: 'words', maxTokens: 20 })
    await using server = await startServer({ host: createFakeEngine({ answer: () => small }), embedders: embeddersOf(model) })
    const client = ollamaClient(server)
    const both = await client.embed({ model: 'words:latest', input: ['one two', 'three'] })
    expect(both).toMatchObject({ model: 'words:latest', prompt_eval_count: 12, total_duration: expect.any(Number) })
    expect(both.embeddings.map(({ length }) => length)).toEqual([32, 32])
    expect((await client.embed({ model: 'words', input: 'one two' })).embeddings).toEqual([both.embeddings[0]])
    expect((await client.embed({ model: 'words', input: '' })).embeddings).toEqual([])
    const [cut = []] = (await client.embed({ model: 'words', input: 'one two', dimensions: 16 })).embeddings
    expect([cut.length, Math.hypot(...cut)]).toEqual([16, expect.closeTo(1, 5)])
    expect((await client.embeddings({ model: 'words', prompt: 'one two' })).embedding).toEqual(both.embeddings[0])
    expect(model.requests.map(({ truncate }) => truncate)).toEqual([true, true, true, false])
    await expect(client.embed({ model: 'words', input: 'one', dimensions: 33 })).rejects.toThrow(
      '"dimensions" must be at most 32',
    )
    await expect(client.embed({ model: 'nobody', input: 'one' })).rejects.toMatchObject({ status_code: 404 })
  })
})

describe('an empty question', () => {
  test('loads the model, and with keep_alive 0 an admin unloads it', async () => {
    const loads: string[] = []
    const host = createFakeEngine({ answer: () => small, models: ['first', 'second'], onLoad: (name) => loads.push(name) })
    await using server = await startServer({ host })
    const stateOf = async () => (await host.list()).find(({ name }) => name === 'second')?.state
    const authorization = `Bearer ${await server.login('root')}`
    for (const [path, body, empty] of [
      ['/chat', { messages: [] }, { message: { role: 'assistant', content: '' } }],
      ['/generate', { prompt: '' }, { response: '' }],
    ] as const) {
      const created = { model: 'second', created_at: expect.any(String), done: true }
      expect(await bodyOf(await postApi(server, path, { model: 'second', ...body }))).toEqual({
        ...created,
        ...empty,
        done_reason: 'load',
      })
      expect(await stateOf()).toBe('ready')
      const unload = { model: 'second', ...body, keep_alive: 0 }
      const refused = await postApi(server, path, unload)
      expect([refused.status, await refused.json()]).toEqual([403, { error: 'Only an admin may take a model out of memory.' }])
      expect(await stateOf()).toBe('ready')
      expect(await bodyOf(await postApi(server, path, unload, { authorization }))).toEqual({
        ...created,
        ...empty,
        done_reason: 'unload',
      })
      expect(await stateOf()).toBe('unloaded')
    }
    expect(loads).toEqual(['first', 'second', 'second'])
    expect((await postApi(server, '/generate', { model: 'nobody' })).status).toBe(404)
  })

  test('keep_alive 0 with a question unloads after the answer, for an admin only', async () => {
    const unloaded: string[] = []
    const host = createScriptedHost(() => [{ type: 'choice-end', index: 0, reason: 'stop' }, generationEnd()])
    await using server = await startServer({ host: { ...host, unload: async (name) => void unloaded.push(name) } })
    const authorization = `Bearer ${await server.login('root')}`
    const user = `Bearer ${await server.login('ana')}`
    const ask = (keepAlive: unknown, stream: boolean, token: string) =>
      postApi(server, '/generate', { model: 'scripted', prompt: 'x', keep_alive: keepAlive, stream }, { authorization: token })
    for (const stream of [true, false]) {
      await linesOf(await ask(0, stream, user))
      await linesOf(await ask('5m', stream, authorization))
    }
    expect(unloaded).toEqual([])
    await linesOf(await ask('0s', false, authorization))
    expect(unloaded).toEqual(['scripted'])
    await linesOf(await ask(0, true, authorization))
    while (unloaded.length < 2) await new Promise((resolve) => setImmediate(resolve))
    // A key of an admin may do what its scopes say, and no more.
    const root = createClient({ baseUrl: server.url, token: authorization.slice('Bearer '.length) })
    for (const scopes of [['inference'], ['inference', 'admin']] as const) {
      const { key } = await root.addKey({ name: scopes.join(' and '), scopes })
      await linesOf(await ask(0, false, `Bearer ${key}`))
    }
    expect(unloaded).toHaveLength(3)
  })
})

describe('who may call', () => {
  const paths = [
    ['GET', '/tags'],
    ['GET', '/ps'],
    ['GET', '/version'],
    ['POST', '/show'],
    ['POST', '/chat'],
    ['POST', '/generate'],
    ['POST', '/embed'],
    ['POST', '/embeddings'],
    ['POST', '/pull'],
    ['POST', '/copy'],
    ['POST', '/create'],
    ['POST', '/push'],
    ['POST', '/blobs/sha256:1'],
    ['DELETE', '/delete'],
  ] as const
  const body = { model: 'scripted', prompt: 'x', name: 'x' }
  const call = ({ url }: TestServer, method: string, path: string, token?: string) =>
    fetch(`${url}/api${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
      ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
    })

  test('nobody without a token where anonymous callers are not allowed, and each failure has the form of this dialect', async () => {
    await using server = await startServer({ host: createScriptedHost(() => []), settings: { ALLOW_ANONYMOUS: 'false' } })
    for (const [method, path] of [...paths, ['GET', '/nowhere'] as const]) {
      const response = await call(server, method, path)
      expect([path, response.status]).toEqual([path, 401])
      expect(await bodyOf<OllamaLine>(response)).toEqual({ error: expect.stringMatching(/\.$/) })
    }
  })

  test('only an admin may change what is installed', async () => {
    await using server = await startServer({ host: createScriptedHost(() => []) })
    await server.login('root')
    const token = await server.login('ana')
    const changing = paths.slice(8)
    for (const [method, path] of changing) {
      const response = await call(server, method, path, token)
      expect([path, response.status, await response.json()]).toEqual([path, 403, { error: 'Only an admin may do this.' }])
    }
  })
})
