import { link, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { openHost } from '../../src/service.ts'
import { writeAdapter } from '../lora-file.ts'
import { engineProcesses, openRealHost, type RealHost, realModel } from '../real-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

const question = { prompt: 'The largest planet of the solar system is', max_length: 24, temperature: 0 }
const mebibyte = 1024 ** 2

type Listed = Readonly<{
  name: string
  kind: string
  state: string
  estimated_memory_bytes: number
  memory_bytes: number
  requests_served: number
}>

async function askFor(server: TestServer, model: string, body: object = question): Promise<string> {
  const answer = await bodyOf(await server.predict({ ...body, model }))
  expect(answer).toMatchObject({ model })
  return answer.choices[0]?.text ?? ''
}

async function modelsOf({ url }: TestServer): Promise<readonly Listed[]> {
  return (await bodyOf<{ models: readonly Listed[] }>(await fetch(`${url}/models`))).models
}

/** Bytes of memory of a process: all of it, and the part that is in no file. */
async function memoryOf(pid: number) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024
  return { resident: bytes('VmRSS'), anonymous: bytes('RssAnon') }
}

async function residentOfAll(): Promise<number> {
  const sizes = await Promise.all(engineProcesses().map((pid) => memoryOf(pid).catch(() => ({ resident: 0 }))))
  return sizes.reduce((sum, { resident }) => sum + resident, 0)
}

describe('three models, and memory for two', () => {
  const budget = 1650 * mebibyte
  const names = [realModel, 'second', 'third']
  let real: RealHost
  let server: TestServer

  beforeAll(async () => {
    real = await openRealHost({ MEMORY_BUDGET: String(budget), CACHE_MAX_ENTRIES: '0' })
    const path = (name: string) => join(real.modelsDir, `${name}.gguf`)
    for (const name of names.slice(1)) await link(path(realModel), path(name))
    server = await startServer({ host: real.host, settings: { CACHE_MAX_ENTRIES: '0' } })
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await real.remove()
  })

  test('answer by turns, each whole, and never take more than the budget', async () => {
    const right = await askFor(server, realModel)
    let most = 0
    for (const name of [...names, ...names]) {
      expect(await askFor(server, name)).toBe(right)
      most = Math.max(most, await residentOfAll())
    }
    expect(await Promise.all([...names, ...names].map((name) => askFor(server, name)))).toEqual(Array(6).fill(right))
    expect(Math.max(most, await residentOfAll())).toBeLessThan(budget * 1.05)
    expect(engineProcesses()).toHaveLength(2)
    const models = await modelsOf(server)
    expect(models.map(({ name, state }) => [name, state]).filter(([, state]) => state === 'ready')).toHaveLength(2)
    expect(models.map(({ requests_served }) => requests_served)).toEqual([5, 4, 4])
  })

  test('are estimated beforehand, as close as it matters', async () => {
    // What is set aside of them fills the room for that, in small pieces.
    const long = 'The harbour town kept a careful record of every ship, its cargo and its captain. '.repeat(15)
    for (let index = 0; index < 44; index += 1) await askFor(server, realModel, { prompt: `${index} ${long}`, max_length: 1 })
    const streams = Array.from({ length: 16 }, (_, index) =>
      askFor(server, realModel, { ...question, seed: index, temperature: 1 }),
    )
    await Promise.all(streams)
    const listed = (await modelsOf(server)).find(({ name }) => name === realModel)
    const sizes = await Promise.all(engineProcesses().map(memoryOf))
    const busiest = Math.max(...sizes.map(({ resident }) => resident))
    expect((listed?.estimated_memory_bytes ?? 0) / busiest).toBeGreaterThan(0.85)
    expect((listed?.estimated_memory_bytes ?? 0) / busiest).toBeLessThan(1.15)
  })
})

test('what was in memory is loaded again after a restart, and the other way round', async () => {
  const first = await openRealHost()
  const { modelsDir } = first
  await link(join(modelsDir, `${realModel}.gguf`), join(modelsDir, 'other.gguf'))
  await first.host.load('other')
  await first.host.close()
  expect(engineProcesses()).toEqual([])
  const config = loadConfig({ environment: { MODELS_DIR: modelsDir, DATA_DIR: join(modelsDir, '.data') } })
  const again = await openHost(config, undefined)
  const states = async () => (await again.list()).map(({ name, state, selected }) => [name, state, selected])
  await expect.poll(states, { timeout: 20_000 }).toEqual([
    [realModel, 'ready', true],
    ['other', 'ready', false],
  ])
  await again.unload('other')
  await again.close()
  const last = await openHost(config, undefined)
  await expect.poll(() => last.status().state, { timeout: 20_000 }).toBe('ready')
  expect((await last.list()).map(({ name, state }) => [name, state])).toEqual([
    [realModel, 'ready'],
    ['other', 'unloaded'],
  ])
  // One that comes first in the alphabet is not selected for that.
  await link(join(modelsDir, 'other.gguf'), join(modelsDir, 'a-new-one.gguf'))
  await last.close()
  const newest = await openHost(config, undefined)
  await expect.poll(() => newest.selected()?.name).toBe(realModel)
  await newest.close()
  await first.remove()
})

describe('adapters', () => {
  let real: RealHost
  let server: TestServer

  beforeAll(async () => {
    real = await openRealHost({ CONTEXT_SIZE: '2048' })
    await writeAdapter(join(real.modelsDir, 'first.gguf'), 1)
    await writeAdapter(join(real.modelsDir, 'second.gguf'), 2)
    server = await startServer({ host: real.host, settings: { CACHE_MAX_ENTRIES: '0', MODELS_DIR: real.modelsDir } })
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await real.remove()
  })

  test('are models of their own that share the weights of their base, each with its own text, alone and beside others', async () => {
    const names = [realModel, `${realModel}+first`, `${realModel}+second`]
    const before = await askFor(server, realModel)
    const [pid = 0] = engineProcesses()
    const { anonymous } = await memoryOf(pid)
    const alone: string[] = []
    for (const name of names) alone.push(await askFor(server, name))
    expect(alone[0]).toBe(before)
    expect(new Set(alone).size).toBe(3)
    const rounds = [...names, ...names.toReversed(), ...names]
    const together = await Promise.all(rounds.map((name) => askFor(server, name)))
    expect(together).toEqual(rounds.map((name) => alone[names.indexOf(name)]))
    expect(engineProcesses()).toEqual([pid])
    expect((await memoryOf(pid)).anonymous - anonymous).toBeLessThan(60 * mebibyte)
    expect((await modelsOf(server)).map(({ name, kind, requests_served }) => [name, kind, requests_served])).toEqual([
      ['first', 'adapter', 0],
      [realModel, 'chat', 5],
      [`${realModel}+first`, 'chat', 4],
      [`${realModel}+second`, 'chat', 4],
      ['second', 'adapter', 0],
    ])
  })

  test('are served as soon as their file is there, and can go while their base stays in memory', async () => {
    const [admin, [pid]] = [await server.login('root'), engineProcesses()]
    const remove = () =>
      fetch(`${server.url}/models/late`, { method: 'DELETE', headers: { authorization: `Bearer ${admin}` } }).then(
        ({ status }) => status,
      )
    const name = `${realModel}+late`
    const before = await askFor(server, realModel)
    expect((await server.predict({ ...question, model: name })).status).toBe(404)
    await writeAdapter(join(real.modelsDir, 'late.gguf'), 3)
    const answer = await askFor(server, name)
    expect(answer).not.toBe(before)

    const leaving = new AbortController()
    const long = await server.predict({ ...question, model: name, max_length: 1500, stream: true }, {}, leaving.signal)
    await long.body?.getReader().read()
    expect(await remove()).toBe(409)
    leaving.abort()
    await expect.poll(remove, { timeout: 10_000 }).toBe(200)
    expect((await server.predict({ ...question, model: name })).status).toBe(404)

    // Another one under the same name is another one.
    await writeAdapter(join(real.modelsDir, 'late.gguf'), 1)
    expect(await askFor(server, name)).toBe(await askFor(server, `${realModel}+first`))
    expect(await askFor(server, realModel)).toBe(before)
    expect(engineProcesses()).toEqual([pid])
    expect(await remove()).toBe(200)
  })

  test('that are none, or are asked for alone, are refused with the reason', async () => {
    const refused = async (model: string) => {
      const response = await server.predict({ ...question, model })
      return [response.status, (await bodyOf(response)).error.message]
    }
    expect(await refused('first')).toEqual([400, expect.stringContaining('BASE+ADAPTER')])
    expect(await refused(`${realModel}+third`)).toEqual([404, expect.stringContaining('third')])
    expect(await refused(`first+${realModel}`)).toEqual([400, expect.stringContaining('answers no prompts')])
    expect(await refused(`${realModel}+${realModel}`)).toEqual([400, expect.stringContaining('is no adapter')])
  })
})
