import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { runDoctor } from '../../src/cli/doctor.ts'
import type { Finding, Machine } from '../../src/cli/doctor-checks.ts'
import { thisMachine } from '../../src/cli/machine.ts'
import { speak } from '../../src/cli/messages.ts'
import { AppError } from '../../src/errors.ts'
import type { DatabaseFacts } from '../../src/storage/look-at-database.ts'
import { migrations } from '../../src/storage/migrations.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { ggufBytes } from '../gguf-bytes.ts'
import { startServer } from '../server.ts'
import { scriptedHost } from './cli-world.ts'

const sound: Machine = {
  nodeVersion: '24.21.0',
  platform: 'linux',
  arch: 'x64',
  isMusl: false,
  cores: 8,
  cpuFlags: async () => 'fpu sse4_2 avx avx2 fma',
  availableMemory: async () => 16 * 1024 ** 3,
  freeBytes: async () => 50 * 1024 ** 3,
  whyNotWritable: async () => undefined,
  whyNotLoadable: async () => undefined,
  enginePackage: async () => ({ name: '@node-llama-cpp/linux-x64', isInstalled: true }),
  gpu: async () => undefined,
  whyPortBlocked: async () => undefined,
  modelFiles: async () => [{ name: 'small.gguf', sizeBytes: 253_000_000, problem: undefined, isRecorded: true }],
  database: async () => ({ name: 'SQLite', tables: 'current' }),
  redis: async () => ({ version: '7.0.15', maxBytes: 0, policy: 'noeviction' }),
  refuseUnfinishedRestore: async () => {},
}

async function examine(machine: Partial<Machine> = {}, environment: Record<string, string> = { PORT: '9' }) {
  const output = new PassThrough()
  const context: Context = {
    words: [],
    flags: new Set(['json']),
    values: new Map(),
    settings: {},
    environment,
    envFile: undefined,
    language: 'en',
    say: speak('en'),
    terminal: { input: Readable.from([]), output, notes: new PassThrough() },
    fetch: globalThis.fetch,
    version: '1.2.3',
  }
  const code = await runDoctor(context, { ...sound, ...machine })
  const findings: Finding[] = JSON.parse(String(output.read()))
  return { code, findings, of: (status: Finding['status']) => findings.filter((finding) => finding.status === status) }
}

test('a sound machine has nothing wrong; that no service runs is only said', async () => {
  const { code, of } = await examine()
  expect(code).toBe(0)
  expect(of('fail')).toEqual([])
  expect(of('warn')).toMatchObject([{ check: 'service' }])
})

test('providers are looked at in the files alone, and a key is never said', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-doctor-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const environment = { PORT: '9', CONFIG_FILE: join(folder, 'config.json'), ANTHROPIC_API_KEY: 'sk-ant-canary' }
  const examineProviders = async (more: Record<string, string> = {}) => {
    const { findings } = await examine({}, { ...environment, ...more })
    return findings.filter(({ check }) => check === 'providers')
  }
  expect(await examineProviders()).toMatchObject([{ status: 'ok', text: expect.stringContaining('claude') }])
  expect(await examineProviders({ LLM_PROVIDER: 'openai' })).toMatchObject([
    { status: 'fail', text: expect.stringContaining('openai') },
  ])
  await writeFile(join(folder, 'providers.json'), '{"providers":[{"name":"a","type":"custom","api_key":"sk-canary","x":1}]}')
  const wrong = await examineProviders()
  expect(wrong).toMatchObject([{ status: 'fail', text: expect.stringContaining('/providers/0') }])
  expect(JSON.stringify(wrong)).not.toContain('canary')
})

test('that nothing may leave the machine is said', async () => {
  const { of } = await examine({}, { PORT: '9', LOCAL_ONLY: 'true' })
  expect(of('ok')).toContainEqual(expect.objectContaining({ check: 'LOCAL_ONLY' }))
  expect((await examine()).of('ok')).not.toContainEqual(expect.objectContaining({ check: 'LOCAL_ONLY' }))
})

async function refuse(): Promise<never> {
  throw new AppError('unavailable', 'The reason why.')
}
const facts = (more: Partial<DatabaseFacts>) => async (): Promise<DatabaseFacts> => ({
  name: 'PostgreSQL 16.2, pgvector 0.8.5',
  tables: 'current',
  aheadMs: 20,
  connectionsLeft: 80,
  ...more,
})

const illnesses: Array<[string, Partial<Machine>, Record<string, string>, Partial<Finding>]> = [
  ['an old Node', { nodeVersion: '22.1.0' }, {}, { check: 'node', status: 'fail' }],
  ['a library that does not load', { whyNotLoadable: async () => 'wrong ELF class' }, {}, { check: 'koffi', status: 'fail' }],
  [
    'no library of the engine',
    { enginePackage: async () => ({ name: 'x', isInstalled: false }) },
    {},
    { check: 'engine', status: 'fail' },
  ],
  [
    'a GPU without its library',
    { gpu: async () => ({ name: '@node-llama-cpp/linux-x64-cuda@3.21.1', isInstalled: false }) },
    {},
    { check: 'gpu', status: 'warn', fix: expect.stringContaining('npm install @node-llama-cpp/linux-x64-cuda@3.21.1') },
  ],
  ['a Linux without glibc', { isMusl: true }, {}, { check: 'engine', status: 'fail' }],
  ['a processor without AVX2', { cpuFlags: async () => 'sse4_2' }, {}, { check: 'cpu', status: 'warn' }],
  ['little memory', { availableMemory: async () => 200 * 1024 ** 2 }, {}, { check: 'memory', status: 'warn' }],
  ['a disk nearly full', { freeBytes: async () => 500 * 1024 ** 2 }, {}, { check: 'disk', status: 'warn' }],
  ['a full disk', { freeBytes: async () => 1000 }, {}, { check: 'disk', status: 'fail' }],
  ['a folder that cannot be written', { whyNotWritable: async () => 'EROFS' }, {}, { check: 'DATA_DIR', status: 'fail' }],
  ['no model', { modelFiles: async () => [] }, {}, { check: 'model', status: 'warn' }],
  [
    'no model, and no right to fetch one',
    { modelFiles: async () => [] },
    { LOCAL_ONLY: 'true' },
    { check: 'model', status: 'fail' },
  ],
  ['a default model that is not there', {}, { DEFAULT_MODEL: 'other' }, { check: 'model', status: 'fail' }],
  ['a port that is taken', { whyPortBlocked: async () => 'EADDRINUSE' }, {}, { check: 'port', status: 'fail' }],
  ['a key of another kind', {}, { HF_TOKEN: 'canary' }, { check: 'keys', status: 'warn' }],
  ['a wrong setting', {}, { THREADS: 'many' }, { check: 'settings', status: 'fail' }],
  ['a database that refuses', { database: refuse }, {}, { check: 'database', status: 'fail', text: 'The reason why.' }],
  ['a database of an older version', { database: facts({ tables: 'older' }) }, {}, { check: 'database', status: 'warn' }],
  ['a database of a newer version', { database: facts({ tables: 'newer' }) }, {}, { check: 'database', status: 'fail' }],
  [
    'a clock that is behind',
    { database: facts({ aheadMs: 6000 }) },
    {},
    { check: 'clock', status: 'fail', text: 'The clock of this machine is 6 s behind that of the database.' },
  ],
  ['a clock that is ahead', { database: facts({ aheadMs: -6000 }) }, {}, { check: 'clock', status: 'fail' }],
  ['few connections', { database: facts({ connectionsLeft: 13 }) }, {}, { check: 'connections', status: 'warn' }],
  ['a Redis that refuses', { redis: refuse }, { REDIS_URL: 'redis://:canary@127.0.0.1' }, { check: 'redis', status: 'warn' }],
  [
    'a Redis that fills up',
    { redis: async () => ({ version: '7.0.15', maxBytes: 1, policy: 'noeviction' }) },
    { REDIS_URL: 'redis://:canary@127.0.0.1' },
    { check: 'redis', status: 'warn', fix: 'Set maxmemory-policy volatile-lru.' },
  ],
]

for (const [name, machine, environment, finding] of illnesses) {
  test(`${name} is found, with how to mend it`, async () => {
    const { code, findings } = await examine(machine, { PORT: '9', ...environment })
    expect(findings).toContainEqual(expect.objectContaining({ ...finding, fix: expect.stringMatching(/\w/) }))
    expect(code).toBe(finding.status === 'fail' ? 1 : 0)
    expect(JSON.stringify(findings)).not.toContain('canary')
  })
}

test('a file that is no model, or not all of one, is found by its header', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-doctor-'))
  await mkdir(join(folder, 'models'))
  await writeFile(join(folder, 'models', 'page.gguf'), '<html>')
  await writeFile(join(folder, 'models', 'empty.gguf'), '')
  const whole = ggufBytes({ metadata: { 'general.architecture': 'llama' }, tensors: [{ name: 'a', shape: [8], bytes: 32 }] })
  await writeFile(join(folder, 'models', 'good.gguf'), whole)
  await writeFile(join(folder, 'models', 'half.gguf'), whole.subarray(0, -1))
  const environment = { PORT: '9', MODELS_DIR: join(folder, 'models'), DATA_DIR: join(folder, 'data') }
  const { code, of } = await examine({ modelFiles: thisMachine().modelFiles }, environment)
  expect(code).toBe(1)
  expect(of('fail').map(({ text }) => text)).toEqual([
    expect.stringMatching(/^Model empty\.gguf cannot be used: /),
    expect.stringMatching(/^Model half\.gguf cannot be used: .*it is cut off/),
    expect.stringMatching(/^Model page\.gguf cannot be used: /),
  ])
})

test('a database is looked at as it is, and not changed: none, one of a newer version, one that is damaged', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-doctor-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const DATABASE_URL = join(folder, 'simpleia.db')
  const look = async () => {
    const { findings } = await examine({ database: thisMachine().database }, { PORT: '9', DATA_DIR: folder, DATABASE_URL })
    return findings.find(({ check }) => check === 'database')
  }
  expect(await look()).toMatchObject({ status: 'ok', text: expect.stringContaining('without tables') })
  expect(await readdir(folder)).toEqual([])
  await (await openStorage({ url: DATABASE_URL })).close()
  expect(await look()).toMatchObject({ status: 'ok', text: expect.stringContaining('up to date') })
  await (await openStorage({ url: DATABASE_URL, migrations: [...migrations, { id: '999-later', up: async () => {} }] })).close()
  expect(await look()).toMatchObject({ status: 'fail', text: expect.stringContaining('newer version') })
  await writeFile(DATABASE_URL, 'no database, but a text that somebody has put here'.repeat(100))
  expect(await look()).toMatchObject({ status: 'fail', text: expect.stringContaining('damaged') })
})

test('that a restore has not ended is said', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-doctor-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'restore-unfinished.json'), '{"identity":"a"}')
  const { refuseUnfinishedRestore } = thisMachine()
  const { of } = await examine({ refuseUnfinishedRestore }, { PORT: '9', DATA_DIR: folder })
  expect(of('fail')).toMatchObject([{ check: 'restore', text: expect.stringContaining('has not ended') }])
})

test('a service of ours on the port is no fault', async () => {
  const server = await startServer({ host: scriptedHost([]).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const { of } = await examine({ whyPortBlocked: async () => 'EADDRINUSE' }, { PORT: String(server.port) })
  expect(of('ok')).toContainEqual({ check: 'service', status: 'ok', text: `The service at ${server.url} answers.` })
  expect(of('fail')).toEqual([])
})
