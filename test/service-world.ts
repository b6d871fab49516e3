import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openClouds } from '../src/clouds.ts'
import { readSelected } from '../src/config/selection.ts'
import { loadConfig } from '../src/config.ts'
import type { ModelHost } from '../src/engine/provider.ts'
import { type CloudServer, type Script, startCloudServer } from './cloud-server.ts'
import { createScriptedHost, generationEnd } from './scripted-host.ts'
import { type StartOptions, startServer, type TestServer } from './server.ts'

/** The hosts that the service of the tests can reach: each is a scripted server on loopback. */
export const hostOf = {
  claude: 'api.anthropic.com',
  openai: 'api.openai.com',
  gpu: 'gpu.example',
  spare: 'spare.example',
} as const
export type CloudName = keyof typeof hostOf

export const keyOf = {
  claude: 'sk-ant-canary-claude-0001',
  openai: 'sk-canary-openai-0002',
  gpu: 'canary-gpu-0003',
  box: 'canary-box-0004',
} as const

/** A model of each, and how a request names it. */
export const modelOf = { claude: 'claude-test', openai: 'gpt-test', gpu: 'qwen-test', box: 'llama-test' } as const

const limits = { max_retries: 0 }

/** providers.json of the tests; `box` is a server on this machine. */
export function usualProviders(box: string) {
  return {
    providers: [
      { name: 'claude', type: 'claude', models: [modelOf.claude], limits },
      { name: 'openai', type: 'openai', models: [modelOf.openai], limits },
      {
        name: 'gpu',
        type: 'custom',
        base_urls: [`https://${hostOf.gpu}/v1`],
        api_key_env: 'GPU_KEY',
        models: [modelOf.gpu],
        limits,
      },
      { name: 'box', type: 'custom', base_urls: [`${box}/v1`], api_key: keyOf.box, models: [modelOf.box], limits },
    ],
    routes: {},
  }
}

export const usualPrices = {
  as_of: 'now',
  dollars_per_million_tokens: {
    [modelOf.claude]: { input: 3, output: 15, cached_input: 0.3 },
    [modelOf.openai]: { input: 2, output: 8, cached_input: 0.5 },
  },
}

type Json = Readonly<Record<string, unknown>>

export type WorldOptions = Omit<Partial<StartOptions>, 'readElsewhere' | 'selected'> &
  Readonly<{
    host?: ModelHost
    /** providers.json, made of the usual one; a text is written as it stands, undefined: no file. */
    file?: (usual: ReturnType<typeof usualProviders>) => unknown
    prices?: unknown
  }>

export type ServiceWorld = TestServer &
  Readonly<{
    clouds: Readonly<Record<CloudName | 'box', CloudServer>>
    /** Addresses that the service has asked, in order. */
    outside: readonly string[]
    write(name: 'providers.json' | 'config.json' | 'prices.json', content: unknown): Promise<void>
    call(
      path: string,
      body?: unknown,
      more?: Readonly<{ headers?: Record<string, string>; signal?: AbortSignal }>,
    ): Promise<Response>
    /** As the admin `root`. */
    admin(path: string, body?: unknown): Promise<Response>
  }>

export const localAnswer = () =>
  createScriptedHost(() => [
    { type: 'text-delta', index: 0, text: 'local' },
    { type: 'choice-end', index: 0, reason: 'stop' },
    generationEnd(),
  ])

/** The whole service with its real clouds, whose servers are scripted; every other way out fails. */
export async function startServiceWorld(options: WorldOptions = {}): Promise<ServiceWorld> {
  const { host = localAnswer(), file = (usual) => usual, prices = usualPrices, settings = {}, ...parts } = options
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-clouds-'))
  const [claude, openai, gpu, spare, box] = await Promise.all(Array.from({ length: 5 }, () => startCloudServer()))
  if (!claude || !openai || !gpu || !spare || !box) throw new Error('A server is missing.')
  const clouds = { claude, openai, gpu, spare, box }
  const write: ServiceWorld['write'] = (name, content) =>
    writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  const providers = file(usualProviders(box.url))
  if (providers !== undefined) await write('providers.json', providers)
  await write('prices.json', prices)
  const variables = {
    CONFIG_FILE: join(folder, 'config.json'),
    ANTHROPIC_API_KEY: keyOf.claude,
    OPENAI_API_KEY: keyOf.openai,
    ...settings,
  }
  const environment = { GPU_KEY: keyOf.gpu }
  const config = loadConfig({ environment: variables })
  const outside: string[] = []
  const server = await startServer({
    ...parts,
    host,
    settings: variables,
    selected: await readSelected(config),
    readElsewhere: (egress) => openClouds(config, environment, egress),
    fetch: (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input)
      outside.push(url.href)
      return globalThis.fetch(inside(url, clouds), init)
    },
  })
  onTestFinished(async () => {
    for (const cloud of Object.values(clouds)) await cloud.close()
    await server[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  const call: ServiceWorld['call'] = (path, body, { headers = {}, signal } = {}) =>
    fetch(`${server.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
  let token: Promise<string> | undefined
  return {
    ...server,
    clouds,
    outside,
    write,
    call,
    async admin(path, body) {
      token ??= server.login('root')
      return call(path, body, { headers: { authorization: `Bearer ${await token}` } })
    },
  }
}

function inside(url: URL, clouds: ServiceWorld['clouds']): string {
  if (url.href.startsWith(clouds.box.url)) return url.href
  const name = Object.entries(hostOf).find(([, host]) => host === url.hostname)?.[0]
  const cloud = Object.entries(clouds).find(([known]) => known === name)?.[1]
  if (cloud === undefined || url.protocol !== 'https:') throw new TypeError(`Nothing is reached at ${url.href}.`)
  return `${cloud.url}${url.pathname}${url.search}`
}

export async function jsonOf(response: Response): Promise<Json> {
  return JSON.parse(await response.text())
}

/** All scripts of one kind for every cloud. */
export function answerAll(world: Pick<ServiceWorld, 'clouds'>, scripts: Readonly<Record<'claude' | 'openai', Script>>): void {
  world.clouds.claude.answer(scripts.claude)
  for (const name of ['openai', 'gpu', 'spare', 'box'] as const) world.clouds[name].answer(scripts.openai)
}
