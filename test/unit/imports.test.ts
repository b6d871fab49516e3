import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

type Import = Readonly<{ from: string; to: string; typeOnly: boolean }>

const features = [
  'admin',
  'auth',
  'backup',
  'conversations',
  'datasets',
  'dialects',
  'egress',
  'embed',
  'evaluation',
  'feedback',
  'instances',
  'jobs',
  'metrics',
  'models',
  'observe',
  'predict',
  'predictions',
  'rag',
  'rollout',
  'training',
  'usage',
]
/** What every feature may use: the shape of errors and answers, not the work of another feature. */
const shared = ['config', 'engine', 'errors.ts', 'http', 'redis', 'statistics.ts', 'storage']

async function sourceFiles(): Promise<string[]> {
  return (await readdir('src', { recursive: true })).filter((file) => file.endsWith('.ts'))
}

/** Every import between our own files, with paths from `src`. */
async function listImports(): Promise<Import[]> {
  const found = await Promise.all(
    (await sourceFiles()).map(async (from) => {
      const text = await readFile(join('src', from), 'utf8')
      const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?([^'"]*?)\s*(?:from\s*)?'(\.[^']+)'/gm)
      const dynamic = text.matchAll(/import\('(\.[^']+)'\)/g)
      const target = (path: string) => relative('src', join('src', dirname(from), path))
      return [
        ...[...statements].map(([, type, names = '', path = '']) => ({
          from,
          to: target(path),
          typeOnly: type !== undefined || onlyTypes(names),
        })),
        ...[...dynamic].map(([, path = '']) => ({ from, to: target(path), typeOnly: false })),
      ]
    }),
  )
  return found.flat()
}

/** `{ type A, type B }`: every name is marked. */
function onlyTypes(names: string): boolean {
  const inner = /^\{(.*)\}$/s
    .exec(names)?.[1]
    ?.split(',')
    .map((name) => name.trim())
    .filter(Boolean)
  return inner !== undefined && inner.length > 0 && inner.every((name) => name.startsWith('type '))
}

const top = (path: string) => path.split('/')[0] ?? ''

test('engine, redis and storage import only errors, and themselves', async () => {
  const wrong = (await listImports()).filter(
    ({ from, to }) => ['engine', 'redis', 'storage'].includes(top(from)) && top(to) !== top(from) && to !== 'errors.ts',
  )
  expect(wrong).toEqual([])
})

// A schema is what types are made from, and its bounds are data: importing it is importing types.
const isSchema = (path: string) => path.endsWith('/schema.ts')

test('a feature imports the types of another feature, never its code', async () => {
  const wrong = (await listImports()).filter(
    ({ from, to, typeOnly }) =>
      features.includes(top(from)) && features.includes(top(to)) && top(from) !== top(to) && !typeOnly && !isSchema(to),
  )
  expect(wrong).toEqual([])
})

test('a feature uses nothing of the program around it', async () => {
  const wrong = (await listImports()).filter(
    ({ from, to, typeOnly }) =>
      features.includes(top(from)) && !typeOnly && ![...features, ...shared].includes(top(to)) && to !== 'config.ts',
  )
  expect(wrong).toEqual([])
})

test('http knows no feature', async () => {
  const wrong = (await listImports()).filter(
    ({ from, to, typeOnly }) => top(from) === 'http' && features.includes(top(to)) && !typeOnly,
  )
  expect(wrong).toEqual([])
})

test('only the composition and the command line call the parts together', async () => {
  const importers = (await listImports()).filter(({ to }) => to === 'app.ts' || to === 'service.ts').map(({ from }) => from)
  expect([...new Set(importers)].sort()).toEqual(['cli/serve.ts', 'service.ts'])
})

test('one file reads the environment of the process', async () => {
  const readers: string[] = []
  for (const file of await sourceFiles())
    if ((await readFile(join('src', file), 'utf8')).includes('process.env')) readers.push(file)
  expect(readers).toEqual(['config.ts'])
})

test('five files know the C interface of llama.cpp, and one that of Linux', async () => {
  const knowing: string[] = []
  for (const file of await sourceFiles())
    if ((await readFile(join('src', file), 'utf8')).includes("from 'koffi'")) knowing.push(file)
  expect(knowing.sort()).toEqual(
    ['end-with-parent', 'libggml-floats', 'libggml-threads', 'libllama-devices', 'libllama-quantize', 'libllama'].map(
      (name) => `engine/local/${name}.ts`,
    ),
  )
})

/** What can reach another machine, and the only files that may hold it. */
const waysOut: ReadonlyArray<readonly [string, RegExp, readonly string[]]> = [
  // client.ts calls the service (by transport.ts); main.ts, app.ts and client.ts only hand it on to the way out or to that call.
  [
    'the global fetch',
    /(?<!typeof )globalThis\.fetch\b|= globalThis\b|(?<![.\w])fetch\(/,
    // guarded-fetch.ts is given the fetch of an errand.
    ['client.ts', 'client/transport.ts', 'engine/cloud/egress.ts', 'engine/cloud/guarded-fetch.ts', 'main.ts', 'outside.ts'],
  ],
  // web-client.ts passes on to the API, machine.ts looks whether a port is free, fetch-page.ts asks the way out before it connects; the others
  // read addresses or serve; counted-connections.ts is given to the exporter of traces, which asks the way out, too.
  [
    'sockets',
    /^import (?!type )(?:(?!\bfrom\b)[^;])*?\bfrom 'node:(?:https?|http2|net|tls|dgram)'/m,
    [
      'cli/machine.ts',
      'cli/web-client.ts',
      'config/service-settings.ts',
      'http/browser-guard.ts',
      'http/security-headers.ts',
      'http/server.ts',
      'models/hub-request.ts',
      'observe/counted-connections.ts',
      'rag/fetch-page.ts',
    ],
  ],
  [
    'the names of hosts',
    /^import (?!type )(?:(?!\bfrom\b)[^;])*?\bfrom 'node:dns(?:\/promises)?'/m,
    ['models/pull.ts', 'rag-documents.ts'],
  ],
  [
    'other programs',
    /from 'node:child_process'/,
    [
      'cli/run-program.ts',
      'engine/chat-template-process.ts',
      'engine/local/spawn-process.ts',
      'models/convert/convert-process.ts',
    ],
  ],
  ['sockets and streams as a browser has them', /new (?:WebSocket|EventSource|WebSocketStream)\(/, []],
]

test('nothing reaches another machine but by the one way out', async () => {
  for (const [name, pattern, allowed] of waysOut) {
    const found: string[] = []
    for (const file of await sourceFiles()) {
      const text = (await readFile(join('src', file), 'utf8')).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      if (pattern.test(text)) found.push(file)
    }
    expect(found.sort(), name).toEqual([...allowed].sort())
  }
})

test('the clouds are called by their libraries in one folder only', async () => {
  const outside: string[] = []
  for (const file of await sourceFiles()) {
    const text = await readFile(join('src', file), 'utf8')
    const isClient = /^import (?!type )[^'"]*?from '(?:openai|@anthropic-ai\/sdk|undici|axios|node-fetch|got|ws)['/]/m.test(text)
    if (isClient && !file.startsWith('engine/cloud/')) outside.push(file)
  }
  expect(outside).toEqual([])
})

test('no source file is longer than 400 lines', async () => {
  const long: string[] = []
  for (const file of await sourceFiles()) {
    const lines = (await readFile(join('src', file), 'utf8')).split('\n').length - 1
    if (lines > 400) long.push(`${file}: ${lines}`)
  }
  expect(long).toEqual([])
})

test('the libraries of the clouds are loaded by the first request to them, not at the start', async () => {
  const atStart: string[] = []
  for (const file of await sourceFiles()) {
    const text = await readFile(join('src', file), 'utf8')
    if (/^import (?!type )[^;]*? from '(?:openai|@anthropic-ai\/sdk)/m.test(text)) atStart.push(file)
  }
  expect(atStart).toEqual([])
})

test('the client of Redis is loaded where REDIS_URL is set, by the connection alone', async () => {
  const loading: string[] = []
  for (const file of await sourceFiles()) {
    const text = await readFile(join('src', file), 'utf8')
    if (/^import (?!type )[^']*? from 'ioredis'/m.test(text)) loading.push(`${file} at the start`)
    if (/import\('ioredis'\)/.test(text)) loading.push(file)
  }
  expect(loading).toEqual(['redis/connection.ts'])
})

test('OpenTelemetry is loaded where traces are sent, not at the start', async () => {
  const loading: string[] = []
  for (const file of await sourceFiles()) {
    const text = await readFile(join('src', file), 'utf8')
    if (/^import (?!type )[^;]*? from '@opentelemetry\//m.test(text)) loading.push(file)
  }
  expect(loading.sort()).toEqual(['observe/open-telemetry.ts', 'observe/otlp-exporter.ts'])
  const importers = (await listImports()).filter(({ to, typeOnly }) => loading.includes(to) && !typeOnly)
  expect(new Set(importers.map(({ from }) => from))).toEqual(new Set(['tracing-part.ts']))
  const part = await readFile('src/tracing-part.ts', 'utf8')
  expect(part.match(/from '.\/observe\/(?:open-telemetry|otlp-exporter)/)).toBeNull()
})
