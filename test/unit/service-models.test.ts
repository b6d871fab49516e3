import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { openHost, openService } from '../../src/service.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { engineProcesses } from '../real-host.ts'
import { writeTinyModel } from '../tiny-models.ts'

const whole = ggufBytes({ metadata: { 'general.architecture': 'llama' }, tensors: [{ name: 'a', shape: [8], bytes: 32 }] })

type Files = Readonly<Record<string, Buffer | string>>

async function prepare(files: Files, environment: Readonly<Record<string, string>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-models-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  const said: string[] = []
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
  onTestFinished(() => spy.mockRestore())
  return { said, config: loadConfig({ environment: { MODELS_DIR: folder, DATA_DIR: folder, ...environment } }) }
}

async function openWith(files: Files, environment: Readonly<Record<string, string>> = {}) {
  const { said, config } = await prepare(files, environment)
  const host = await openHost(config, config.defaultModel)
  onTestFinished(() => host.close())
  await expect.poll(() => host.status().state).not.toBe('loading')
  return { host, said }
}

/** A model that answers, nonsense. */
async function tinyModel(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-tiny-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return readFile(await writeTinyModel('llama', folder))
}

test('a file that is cut off, where there is nothing else, is the reason why nothing answers, and the log names it', async () => {
  const { host, said } = await openWith({ 'half.gguf': whole.subarray(0, -1) })
  expect(host.status()).toMatchObject({ state: 'failed', reason: expect.stringContaining('it is cut off') })
  expect(said).toEqual([expect.stringMatching(/^The model "half" cannot be used: .*it is cut off/)])
})

test('without any file there is no model, and nothing is wrong', async () => {
  const { host, said } = await openWith({})
  expect(host.status()).toMatchObject({ state: 'empty' })
  expect(said).toEqual([])
})

test('what was in memory comes back, and of each file that cannot be used the log says why', async () => {
  const tiny = await tinyModel()
  const before = JSON.stringify({ selected: 'last', loaded: ['last', 'other', 'gone'] })
  const files = { 'last.gguf': tiny, 'other.gguf': tiny, 'unused.gguf': tiny, 'half.gguf': whole.subarray(0, -1) }
  const { host, said } = await openWith({ 'loaded-models.json': before, ...files }, { THREADS: '1' })
  expect(host.selected()?.name).toBe('last')
  const states = async () => Object.fromEntries((await host.list()).map(({ name, state }) => [name, state]))
  await expect.poll(states, { timeout: 10_000 }).toMatchObject({ last: 'ready', other: 'ready', unused: 'unloaded' })
  expect(said).toEqual([expect.stringMatching(/^The model "half" cannot be used: .*it is cut off/)])
})

test('a start that is given up says nothing of the model that was on its way', async () => {
  const { said, config } = await prepare({ 'last.gguf': await tinyModel() })
  const host = await openHost(config, undefined)
  expect(host.status().state).toBe('loading')
  await host.close()
  expect(said).toEqual([])
})

test('a model loads already while what the service needs besides is got ready', async () => {
  const { config } = await prepare({ 'last.gguf': await tinyModel() }, { THREADS: '1', LOG_LEVEL: 'silent' })
  const processes = Promise.withResolvers<readonly number[]>()
  const app = await openService(config, { version: '0', prepare: async () => processes.resolve(engineProcesses()) })
  onTestFinished(() => app.close({ graceMs: 0 }))
  expect(await processes.promise).toHaveLength(1)
})

test('where that fails, the start fails, and no process is left', async () => {
  const { config } = await prepare({ 'last.gguf': await tinyModel() }, { THREADS: '1', LOG_LEVEL: 'silent' })
  const fail = async () => {
    expect(engineProcesses()).toHaveLength(1)
    throw new Error('The pages could not be built.')
  }
  await expect(openService(config, { version: '0', prepare: fail })).rejects.toThrow('could not be built')
  expect(engineProcesses()).toEqual([])
})

test.runIf(process.platform === 'linux')(
  'a folder of settings that cannot be written keeps the service from nothing',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'simpleia-service-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    // Not even root writes there.
    const environment = {
      MODELS_DIR: folder,
      DATA_DIR: folder,
      CONFIG_FILE: '/sys/simpleia/config.json',
      LOG_LEVEL: 'silent',
    }
    const app = await openService(loadConfig({ environment }), { version: '0' })
    onTestFinished(() => app.close({ graceMs: 0 }))
    expect((await app.http.inject({ url: '/health' })).statusCode).toBe(200)
  },
)
