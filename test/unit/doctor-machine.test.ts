import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checkProgram, createTell } from '../../src/cli/doctor-checks.ts'
import { checkNeighbours } from '../../src/cli/doctor-shared.ts'
import { thisMachine } from '../../src/cli/machine.ts'
import { loadConfig } from '../../src/config.ts'
import { createScriptedCli, refuse } from './cli-scripted.ts'
import { createCli } from './cli-world.ts'

const machine = thisMachine()
const tell = createTell('en')

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-machine-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}

test('this machine can be looked at', async () => {
  expect(await machine.whyNotLoadable('koffi')).toBeUndefined()
  expect(await machine.whyNotLoadable('no-such-package')).toMatch(/^[^\n]*no-such-package[^\n]*$/)
  expect(await machine.whyNotLoadable('data:text/javascript,throw "words alone"')).toBe('words alone')
  expect(await machine.whyNotWritable(join(tmpdir(), 'simpleia-not-made-yet'))).toBeUndefined()
  expect(await machine.whyNotWritable('/proc')).toMatch(/\w/)
  expect(await machine.availableMemory()).toBeGreaterThan(0)
  expect(await machine.freeBytes('/simpleia/is/not/made/yet')).toBe(await machine.freeBytes('/'))
  expect(await machine.enginePackage()).toEqual({ name: expect.stringContaining('@node-llama-cpp/'), isInstalled: true })
})

test('where a system tells nothing of its processor and memory, what Node.js knows of it counts', async () => {
  const elsewhere = thisMachine({ platform: 'darwin', readText: () => Promise.reject(new Error('ENOENT')), isThere: () => true })
  expect(await elsewhere.cpuFlags()).toBe('')
  expect(await elsewhere.availableMemory()).toBeGreaterThan(0)
  expect([elsewhere.isMusl, await elsewhere.gpu()]).toEqual([false, undefined])
  const arm = thisMachine({
    ...{ platform: 'linux', isThere: () => false },
    readText: async (path) =>
      path === '/proc/cpuinfo' ? 'processor: 0\nFeatures\t: fp asimd sve\n' : 'MemAvailable:  2048 kB\n',
  })
  expect([await arm.cpuFlags(), await arm.availableMemory()]).toEqual(['fp asimd sve', 2048 * 1024])
})

test.each([
  ['/dev/nvidiactl', /^@node-llama-cpp\/.*cuda@\d/],
  ['/dev/dri/renderD128', /^@node-llama-cpp\/.*vulkan@\d/],
])('a GPU that Linux shows as %s has a package of its own', async (device, name) => {
  const { gpu } = thisMachine({ platform: 'linux', readText: async () => '', isThere: (path) => path === device })
  expect(await gpu()).toEqual({ name: expect.stringMatching(name), isInstalled: expect.any(Boolean) })
})

test('a port that somebody has is blocked, and free once that one has gone', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo // a TCP server has no other kind of address
  expect(await machine.whyPortBlocked('127.0.0.1', port)).toContain('EADDRINUSE')
  await new Promise((resolve) => other.close(resolve))
  expect(await machine.whyPortBlocked('127.0.0.1', port)).toBeUndefined()
})

test('of a model that is split the first file alone tells whether it can be used; a folder that is not there has none', async () => {
  const folder = await makeFolder()
  for (const part of ['00001', '00002']) await writeFile(join(folder, `big-${part}-of-00002.gguf`), '')
  expect(await machine.modelFiles(folder)).toEqual([
    { name: 'big-00001-of-00002.gguf', sizeBytes: 0, problem: expect.any(String), isRecorded: false },
    { name: 'big-00002-of-00002.gguf', sizeBytes: 0, problem: undefined, isRecorded: false },
  ])
  expect(await machine.modelFiles(join(folder, 'nothing'))).toEqual([])
})

test('whatever a database, Redis or a restore throws is told, and ends nothing', async () => {
  const fails = async () => Promise.reject(new Error('Who knows why.'))
  const config = loadConfig({ environment: { REDIS_URL: 'redis://127.0.0.1' } })
  const told = await checkNeighbours({ database: fails, redis: fails, refuseUnfinishedRestore: fails }, config, tell)
  expect(told.map(({ check, status, text }) => [check, status, text])).toEqual([
    ['restore', 'fail', 'Who knows why.'],
    ['database', 'fail', 'Who knows why.'],
    ['redis', 'warn', 'Who knows why.'],
  ])
})

test('a Redis that keeps what it is given, and a GPU with its library, are right', async () => {
  const config = loadConfig({ environment: { REDIS_URL: 'redis://127.0.0.1' } })
  const redis = async () => ({ version: '8.0.1', maxBytes: 1, policy: 'volatile-lru' })
  const database = async () => ({ name: 'SQLite', tables: 'none' }) as const
  expect(await checkNeighbours({ database, redis, refuseUnfinishedRestore: async () => {} }, config, tell)).toEqual([
    expect.objectContaining({ check: 'database', status: 'ok' }),
    { check: 'redis', status: 'ok', text: expect.stringContaining('8.0.1') },
  ])
  const gpu = async () => ({ name: '@node-llama-cpp/linux-x64-cuda@3.21.1', isInstalled: true })
  expect(await checkProgram({ ...machine, gpu }, '24.16', tell)).toContainEqual({
    check: 'gpu',
    status: 'ok',
    text: expect.stringContaining('cuda'),
  })
})

test('a person sees signs in colour, how to mend what is wrong, and a sum; in a file there are no colours', async () => {
  const folder = await makeFolder()
  await mkdir(join(folder, 'models'))
  const variables = { PORT: '9', DATA_DIR: folder, MODELS_DIR: join(folder, 'models'), REDIS_URL: 'redis://127.0.0.1:1' }
  const seen = await (await createCli(variables, { isPerson: true })).run('doctor')
  expect(seen.output).toContain('\u001b[32m✓\u001b[0m Node.js 24')
  expect(seen.output).toContain('\u001b[33m!\u001b[0m No model')
  expect(seen.output).toMatch(/No model.*\n {4}\S/)
  expect(seen.output).toContain('Redis at 127.0.0.1:1: nobody listens there (ECONNREFUSED).')
  for (const [around, environment] of [
    [{ isPerson: false }, {}],
    [{ isPerson: true }, { NO_COLOR: '1' }],
  ] as const) {
    const { code, output } = await (await createCli({ ...variables, ...environment }, around)).run('doctor')
    expect(output).not.toContain('\u001b')
    expect(output).toMatch(/\n\n\d+ right, \d+ to look at, \d+ wrong\n$/)
    expect(code).toBe(output.endsWith(' 0 wrong\n') ? 0 : 1)
  }
})

test('a service of ours that is not ready yet is told with the reason, whatever else has the port', async () => {
  const { run } = await createScriptedCli({
    'GET /health': { status: 'ok' },
    'GET /health/ready': refuse(503, { code: 'busy', message: 'The model is loading.' }),
  })
  const findings = JSON.parse((await run('doctor --json')).output)
  expect(findings).toContainEqual(
    expect.objectContaining({ check: 'service', status: 'warn', text: expect.stringContaining('The model is loading.') }),
  )
  expect(findings).not.toContainEqual(expect.objectContaining({ check: 'port' }))
})
