import { mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSelection, writeSelection } from '../../src/config/selection.ts'
import { flagOf, settingRows } from '../../src/config/settings.ts'
import { type ConfigSources, hideSecrets, isLoopback, loadConfig, readEnvFile } from '../../src/config.ts'
import { AppError } from '../../src/errors.ts'

const key = 'k3y-0f-th1rty-two-characters-or-more'

function failure(sources: ConfigSources): AppError {
  try {
    loadConfig(sources)
  } catch (error) {
    if (error instanceof AppError) return error
  }
  return expect.unreachable('the settings were accepted')
}

test('without any source everything has its default, and nothing can be changed', () => {
  const config = loadConfig()
  expect(config).toMatchObject({ host: '127.0.0.1', port: 8000, localOnly: false, allowAnonymous: true, allowRegistration: true })
  expect(config.databaseUrl).toBe('data/simpleia.db')
  expect(Object.isFrozen(config) && Object.isFrozen(config.corsOrigins)).toBe(true)
})

test('a flag wins over the environment, which wins over the file', () => {
  const envFile = 'PORT=1\nCLIENT_PORT=1\nRATE_LIMIT_REQUESTS=1\n'
  const environment = { PORT: '2', CLIENT_PORT: '2' }
  const config = loadConfig({ envFile, environment, flags: { PORT: '3' } })
  expect([config.port, config.clientPort, config.rateLimitRequests]).toEqual([3, 2, 1])
})

test('the address of another database is refused, unseen', () => {
  const { message } = failure({ environment: { DATABASE_URL: 'mysql://ana:hidden-word@db/simpleia' } })
  expect(message).toContain('DATABASE_URL: expected the path of a file, or postgres://…')
  expect(message).not.toContain('hidden-word')
  const url = 'postgres://ana:hidden-word@db/simpleia'
  expect(loadConfig({ environment: { DATABASE_URL: url } }).databaseUrl).toBe(url)
  expect(loadConfig({ environment: { DATABASE_URL: 'C:\\data\\my.db' } }).databaseUrl).toBe('C:\\data\\my.db')
})

test('an empty value counts as none', () => {
  expect(loadConfig({ envFile: 'PORT=9000', environment: { PORT: '', HF_TOKEN: ' ' } })).toMatchObject({
    port: 9000,
    hfToken: undefined,
  })
})

test('values are read as what they mean', () => {
  const config = loadConfig({
    environment: {
      MEMORY_BUDGET: '1.5G',
      KEEP_ALIVE: '5m',
      CORS_ORIGINS: 'http://localhost:5173, https://a.example',
      TRUST_PROXY: '10.0.0.0/8,::1',
      LOCAL_ONLY: 'yes',
      LEARNING_RATE: '1e-4',
      HF_ENDPOINT: 'https://mirror.example/',
    },
  })
  expect(config).toMatchObject({
    memoryBudget: 1.5 * 1024 ** 3,
    keepAliveSeconds: 300,
    corsOrigins: ['http://localhost:5173', 'https://a.example'],
    trustProxy: ['10.0.0.0/8', '::1'],
    localOnly: true,
    learningRate: 0.0001,
    hfEndpoint: 'https://mirror.example',
  })
  expect(loadConfig({ environment: { KEEP_ALIVE: '-1' } }).keepAliveSeconds).toBe(Number.POSITIVE_INFINITY)
})

test('all mistakes are told at once, with what was expected and what was got', () => {
  const wrong = {
    PORT: '70000',
    ENVIRONMENT: 'prod',
    THREADS: '1.5',
    LOCAL_ONLY: 'maybe',
    CORS_ORIGINS: 'http://a.example/path',
    TRUST_PROXY: '10.0.0.0/33',
    HF_ENDPOINT: 'ftp://a',
    MAX_BODY_BYTES: 'much',
    LEARNING_RATE: 'NaN',
  }
  const error = failure({ environment: wrong })
  expect(error.code).toBe('invalid')
  expect(error.details?.map(({ field }) => field).sort()).toEqual(Object.keys(wrong).sort())
  expect(error.details).toContainEqual({ field: 'PORT', expected: 'a whole number from 0 to 65535', got: '"70000"' })
  expect(error.message).toContain('ENVIRONMENT: expected one of development, production; got "prod".')
  expect(failure({ environment: wrong, language: 'es' }).message).toContain('se esperaba un número entero de 0 a 65535')
})

test('a star in ALLOWED_HOSTS stands for the first part of a name with two more, and for nothing else', () => {
  for (const host of ['ai.example.com', '*.example.com', 'server', '*.a.b.example'])
    expect(loadConfig({ environment: { ALLOWED_HOSTS: host } }).allowedHosts).toEqual([host])
  for (const host of [
    '*',
    '*.com',
    'a.*.example.com',
    '*.*.example.com',
    'a*.example.com',
    '*.0.0.5',
    '*.example.com:8000',
    '*.',
  ])
    expect(failure({ environment: { ALLOWED_HOSTS: host } }).details?.map(({ field }) => field)).toEqual(['ALLOWED_HOSTS'])
})

test('the value of a secret is never part of a message', () => {
  const error = failure({ environment: { SECRET_KEY: 'canary', REDIS_URL: 'canary', HOST: '0.0.0.0' } })
  expect(JSON.stringify([error.message, error.details])).not.toContain('canary')
  expect(error.details?.map(({ field }) => field)).toEqual(['SECRET_KEY', 'REDIS_URL'])
})

test('an address of Redis holds what it takes to get there, and nothing that changes how', () => {
  const good = ['redis://a', 'redis://127.0.0.1:6379/0', 'rediss://user:p%40ss@redis.example/', 'redis://:secret@[::1]:1/12']
  for (const url of good) expect(loadConfig({ environment: { REDIS_URL: url } }).redisUrl).toBe(url)
  const bad = [
    'redis:///',
    'http://a',
    'redis://a/name',
    'redis://a?tls=false',
    'redis://a#b',
    'redis://u:100%@a',
    'a:6379',
    'redis://a b',
  ]
  for (const url of bad) expect(failure({ environment: { REDIS_URL: url } }).details, url).toMatchObject([{ field: 'REDIS_URL' }])
})

test('a secret may stand in a file, and a mistake about it never shows what is in it', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'simpleia-secret-')), 'secret_key')
  await writeFile(file, `${key}\n`)
  expect(loadConfig({ environment: { SECRET_KEY_FILE: file, HOST: '0.0.0.0' } }).secretKey).toBe(key)
  const missing = failure({ environment: { SECRET_KEY_FILE: `${file}-2`, ENVIRONMENT: 'production' } })
  expect(missing.details).toMatchObject([{ field: 'SECRET_KEY_FILE', expected: 'a file that can be read' }])
  expect(missing.message).toContain('ENOENT')
  const both = failure({ environment: { SECRET_KEY_FILE: file, SECRET_KEY: key } })
  expect(both.message).toContain('SECRET_KEY_FILE: expected nothing, because SECRET_KEY is set, too')
  expect(both.message).not.toContain(key)
  await writeFile(file, 'too-short')
  expect(failure({ environment: { SECRET_KEY_FILE: file } }).message).not.toContain('too-short')
  // Only secrets: what is no secret needs no file.
  expect(loadConfig({ environment: { PORT_FILE: file } }).port).toBe(8000)
})

test('an address that other machines reach is refused without a secret key', () => {
  expect(failure({ environment: { HOST: '0.0.0.0' } }).details).toMatchObject([{ field: 'SECRET_KEY', got: 'nothing' }])
  expect(loadConfig({ environment: { HOST: '0.0.0.0', SECRET_KEY: key } })).toMatchObject({ allowAnonymous: false })
})

test('production is refused without a secret key', () => {
  expect(failure({ environment: { ENVIRONMENT: 'production' } }).message).toContain('because ENVIRONMENT is production')
  expect(loadConfig({ environment: { ENVIRONMENT: 'production', SECRET_KEY: key } })).toMatchObject({ allowAnonymous: false })
  expect(
    loadConfig({ environment: { ENVIRONMENT: 'production', SECRET_KEY: key, ALLOW_ANONYMOUS: 'true' } }).allowAnonymous,
  ).toBe(true)
})

test('a command that only calls the service needs no secret key', () => {
  expect(loadConfig({ environment: { ENVIRONMENT: 'production' }, serves: false }).secretKey).toBeUndefined()
})

test('loopback is this machine and nothing else', () => {
  expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].every(isLoopback)).toBe(true)
  expect(['0.0.0.0', '::', '127.0.0.1.example', 'localhost.example', '10.0.0.1'].some(isLoopback)).toBe(false)
})

test('no variable and no flag stands twice in the table, and every default is a value of its kind', () => {
  const names = settingRows.flatMap(([, setting]) => [setting.env, flagOf(setting)])
  expect(new Set(names).size).toBe(names.length)
  for (const [, { kind, default: value }] of settingRows) {
    // An empty value counts as none.
    const isNone = value === undefined || (value instanceof Map && value.size === 0)
    if (!isNone) expect(kind.parse(value === Number.POSITIVE_INFINITY ? 'forever' : String(value))).toEqual(value)
  }
})

test('a missing .env is no mistake, and one that is no file is a clear one', () => {
  expect(readEnvFile('/nowhere/.env')).toBeUndefined()
  expect(() => readEnvFile('/')).toThrow('cannot be read')
})

test('the selection is written beside and renamed, and read again', async () => {
  const folder = join(await mkdtemp(join(tmpdir(), 'simpleia-config-')), 'config')
  const path = join(folder, 'config.json')
  expect(await readSelection(path)).toBeUndefined()
  await writeSelection(path, { selectedModel: 'gemma', provider: 'hf' })
  expect(await readSelection(path)).toEqual({ selectedModel: 'gemma', provider: 'hf' })
  await writeSelection(path, { selectedModel: undefined, provider: 'hf' })
  expect(await readSelection(path)).toEqual({ selectedModel: undefined, provider: 'hf' })
  expect(await readdir(folder)).toEqual(['config.json'])
})

test('a selection that is damaged or holds something else is refused with what it must hold', async () => {
  const path = join(await mkdtemp(join(tmpdir(), 'simpleia-config-')), 'config.json')
  for (const text of [
    '',
    '{',
    '[]',
    '{"provider":"hf"}',
    '{"selected_model":"a","provider":""}',
    '{"selected_model":null,"provider":"hf","x":1}',
  ]) {
    await writeFile(path, text)
    await expect(readSelection(path)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('selected_model'),
    })
  }
})

test('what child processes inherit holds no secret: neither ours nor one that is called so', () => {
  const environment = {
    ...{ PATH: '/bin', HOME: '/root', LD_LIBRARY_PATH: '/cuda', PGPASSWORD: 'for its client', KEYBOARD: 'es', DATA_DIR: 'data' },
    ...{ SECRET_KEY: 'x', DATABASE_URL: 'postgres://a:b@c/d', REDIS_URL: 'redis://:x@y', HF_TOKEN: 'x', CUSTOM_API_KEY: 'x' },
    ...{ GPU_KEY: 'x', AWS_SECRET_ACCESS_KEY: 'x', github_token: 'x', DB_PASSWORD: 'x' },
  }
  hideSecrets(environment)
  expect(Object.keys(environment)).toEqual(['PATH', 'HOME', 'LD_LIBRARY_PATH', 'PGPASSWORD', 'KEYBOARD', 'DATA_DIR'])
})

test('traces go to this machine or a private address under LOCAL_ONLY, and prompts in them to this machine alone', () => {
  const load = (endpoint: string, more: Record<string, string> = {}) =>
    loadConfig({ environment: { LOCAL_ONLY: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...more } })
  for (const host of ['127.0.0.1', 'localhost', '[::1]', '10.0.0.5', '192.168.1.2', '172.20.0.3', '[fd12::1]'])
    expect(load(`http://${host}:4318/`).otelEndpoint).toBe(`http://${host}:4318`)
  const away = [
    'collector.example',
    'otel-collector',
    '8.8.8.8',
    '169.254.169.254',
    '172.32.0.1',
    '[2001:db8::1]',
    '0.0.0.0',
    '10.0.0.5.nip.io',
  ]
  for (const host of away)
    expect(() => load(`http://${host}:4318`), host).toThrow(/OTEL_EXPORTER_OTLP_ENDPOINT: expected an address/)
  const content = { OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'SPAN_ONLY' }
  expect(load('http://127.0.0.1:4318', content).otelCaptureContent).toBe(true)
  expect(() => load('http://10.0.0.5:4318', content)).toThrow(/CAPTURE_MESSAGE_CONTENT: expected false/)
  expect(load('http://collector.example', { OTEL_SDK_DISABLED: 'true' }).otelSdkDisabled).toBe(true)
  const open = { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example', ...content }
  expect(loadConfig({ environment: open }).otelCaptureContent).toBe(true)
})

test('pairs of OpenTelemetry are read as it writes them, and headers are secret', () => {
  const pairs = { OTEL_RESOURCE_ATTRIBUTES: 'a.b=c%20d, e=f=g,', OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20YTpi' }
  const config = loadConfig({ environment: pairs })
  expect(Object.fromEntries(config.otelResourceAttributes)).toEqual({ 'a.b': 'c d', e: 'f=g' })
  expect(config.otelHeaders.get('authorization')).toBe('Basic YTpi')
  for (const wrong of ['nothing', '=value', 'a=%zz']) {
    const { message } = failure({ environment: { OTEL_EXPORTER_OTLP_HEADERS: `${wrong},k=hidden-word` } })
    expect(message).toMatch(/OTEL_EXPORTER_OTLP_HEADERS: expected pairs/)
    expect(message).not.toContain('hidden-word')
  }
})
