import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startCloudServer, streams } from '../cloud-server.ts'
import { kinds } from '../cloud-world.ts'
import { jsonOf } from '../service-world.ts'

/** The real program, with nothing of this process's environment but its path. */
async function startApi(settings: Readonly<Record<string, string>>, files: Readonly<Record<string, unknown>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-process-'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(content))
  const places = { DATA_DIR: join(folder, 'data'), MODELS_DIR: join(folder, 'models'), CONFIG_FILE: join(folder, 'config.json') }
  const env = { PATH: process.env.PATH ?? '', LANG: 'en_US.UTF-8', PORT: '0', LOG_LEVEL: 'silent', ...places, ...settings }
  const child = spawn(process.execPath, ['src/main.ts', 'api'], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const exit = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exit
    await rm(folder, { recursive: true })
  })
  let said = ''
  for await (const chunk of child.stderr) {
    said += chunk
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0]
    if (url !== undefined) return { url, said, folder }
  }
  return { url: '', said, folder }
}

test('the program answers from the provider that its settings name', async () => {
  const cloud = await startCloudServer(streams(kinds.custom.hello))
  onTestFinished(() => cloud.close())
  const settings = { LLM_PROVIDER: 'custom', CUSTOM_BASE_URL: `${cloud.url}/v1`, CUSTOM_API_KEY: 'sk-own', DEFAULT_MODEL: 'qwen' }
  const { url, folder } = await startApi(settings)
  expect(await jsonOf(await fetch(`${url}/health/ready`))).toEqual({ status: 'ready' })
  const body = JSON.stringify({ prompt: 'Hi' })
  const response = await fetch(`${url}/predict`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  expect(await jsonOf(response)).toMatchObject({ provider: 'custom', model: 'qwen', ran_on: 'local', why: 'default' })
  expect(cloud.requests[0]).toMatchObject({ path: '/v1/chat/completions', headers: { authorization: 'Bearer sk-own' } })
  // So that the setting still counts at the next start.
  expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toEqual({ selected_model: null, provider: null })
}, 60_000)

test('the program does not start with files that are wrong, and says where without a key', async () => {
  const provider = { name: 'a', type: 'custom', api_key: 'sk-canary', url: 'http://x' }
  const { url, said } = await startApi({}, { 'providers.json': { providers: [provider] } })
  expect([url, said]).toEqual(['', expect.stringContaining('providers.json: /providers/0/url is unknown')])
  expect(said).not.toContain('canary')
}, 60_000)

test('the program does not start with a provider that is not configured, and says what to do', async () => {
  const { url, said } = await startApi({ LLM_PROVIDER: 'claude' })
  expect([url, said]).toEqual(['', expect.stringMatching(/"claude" is not configured.*docs\/cloud\.md/)])
}, 60_000)
