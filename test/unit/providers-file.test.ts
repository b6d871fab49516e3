import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readProviders } from '../../src/config/providers-file.ts'

type Keys = Parameters<typeof readProviders>[1]
const noKeys: Keys = { anthropicApiKey: undefined, openaiApiKey: undefined, customApiKey: undefined, customBaseUrl: undefined }

async function fileWith(content: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-providers-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const path = join(folder, 'providers.json')
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const read = async (content: unknown, settings = noKeys, environment = {}) =>
  readProviders(await fileWith(content), settings, environment)

test('without a file there are those that the settings have a key or an address for', async () => {
  expect(await readProviders('/nowhere/providers.json', noKeys, {})).toEqual({ providers: [], routes: new Map() })
  const settings = { ...noKeys, anthropicApiKey: 'secret-a', customBaseUrl: 'http://127.0.0.1:9/v1' }
  expect((await readProviders('/nowhere/providers.json', settings, {})).providers).toEqual([
    { name: 'claude', type: 'claude', apiKey: 'secret-a', baseUrls: [], models: [], limits: {} },
    { name: 'custom', type: 'custom', apiKey: undefined, baseUrls: ['http://127.0.0.1:9/v1'], models: [], limits: {} },
  ])
})

test('a file names several of each, with addresses, models, limits and the variables of their keys', async () => {
  const content = {
    providers: [
      { name: 'claude', type: 'claude', models: ['sonnet'], limits: { cost_per_day_usd: 5 } },
      {
        name: 'cluster',
        type: 'custom',
        base_urls: ['http://10.0.0.1:8000/v1', 'http://10.0.0.2:8000/v1'],
        api_key_env: 'CLUSTER_KEY',
        models: [{ name: 'qwen', context_size: 32_768, max_output_tokens: 4096 }],
        limits: { max_parallel: 8, max_retries: 0, first_token_seconds: 5, idle_seconds: 1.5, total_seconds: 60 },
      },
    ],
    routes: { careful: ['hf', 'cluster/qwen', 'claude'] },
  }
  const found = await read(content, { ...noKeys, anthropicApiKey: 'secret-a' }, { CLUSTER_KEY: 'secret-c' })
  expect(found.providers).toEqual([
    {
      name: 'claude',
      type: 'claude',
      apiKey: 'secret-a',
      baseUrls: [],
      models: [{ name: 'sonnet' }],
      limits: { costPerDayUsd: 5 },
    },
    {
      name: 'cluster',
      type: 'custom',
      apiKey: 'secret-c',
      baseUrls: ['http://10.0.0.1:8000/v1', 'http://10.0.0.2:8000/v1'],
      models: [{ name: 'qwen', contextSize: 32_768, maxOutputTokens: 4096 }],
      limits: { maxParallel: 8, maxRetries: 0, firstTokenSeconds: 5, idleSeconds: 1.5, totalSeconds: 60 },
    },
  ])
  expect(found.routes).toEqual(new Map([['careful', ['hf', 'cluster/qwen', 'claude']]]))
})

test('another server is never sent the key of an official one', async () => {
  const providers = [{ name: 'mine', type: 'openai', base_urls: ['https://mine.example/v1'] }]
  await expect(read({ providers }, { ...noKeys, openaiApiKey: 'secret-o' })).rejects.toThrow('needs a key')
})

test.each<readonly [name: string, content: unknown, says: string]>([
  ['that is no JSON', '{"providers": [{"api_key": "secret-x"', 'must be JSON'],
  [
    'with an unknown field',
    { providers: [{ name: 'a', type: 'custom', base_url: 'http://x' }] },
    '/providers/0/base_url is unknown',
  ],
  ['with a variable that is empty', { providers: [{ name: 'a', type: 'openai', api_key_env: 'EMPTY' }] }, 'EMPTY'],
  ['with an unknown type', { providers: [{ name: 'a', type: 'gemini' }] }, '/providers/0'],
  ['with a name that is a path', { providers: [{ name: 'a/b', type: 'openai', api_key: 'secret-x' }] }, '/providers/0/name'],
  ['with a custom server and no address', { providers: [{ name: 'a', type: 'custom' }] }, 'base_urls'],
  ['with a variable that is not set', { providers: [{ name: 'a', type: 'openai', api_key_env: 'GONE' }] }, 'GONE'],
  ['with the name of the local models', { providers: [{ name: 'hf', type: 'openai', api_key: 'secret-x' }] }, '"hf"'],
  ['with an empty route', { routes: { a: [] } }, '/routes'],
])('a file %s is refused, with the place and without a key', async (_, content, says) => {
  const error = await read(content, noKeys, { EMPTY: ' ' }).catch((reason: unknown) => reason)
  expect(String(error)).toContain(says)
  expect(String(error)).not.toContain('secret-x')
})

test('the example in the documentation is one that works', async () => {
  const example = /```json\n(\{\n {2}"providers"[\s\S]*?)```/.exec(await readFile('docs/cloud.md', 'utf8'))?.[1] ?? ''
  const { providers, routes } = await read(example, { ...noKeys, anthropicApiKey: 'secret-a' }, { CLUSTER_KEY: 'secret-c' })
  expect(providers.map(({ name, apiKey }) => [name, apiKey])).toEqual([
    ['claude', 'secret-a'],
    ['cluster', 'secret-c'],
  ])
  expect([...routes.keys()]).toEqual(['careful'])
})
