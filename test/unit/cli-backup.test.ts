import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { ggufBytes } from '../gguf-bytes.ts'
import { writeNoise } from '../lora-file.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { startServer } from '../server.ts'
import { createCli, scriptedHost } from './cli-world.ts'

/** What `tar` would list. */
async function namesIn(archive: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)('tar', ['-tf', archive])
  return stdout.trim().split('\n')
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-cli-backup-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const credentials = { username: 'ana', password: 'ana-has-a-long-password' }

/** A service with something of everything that people bring in, and a command line beside it. */
async function openWorld() {
  const server = await startServer({ host: scriptedHost(['Buenos', ' días']).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const token = await server.login(credentials.username)
  const post = (path: string, body: unknown) =>
    fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const { id } = JSON.parse(await (await post('/predict', { prompt: '¿Qué tal?' })).text())
  for (const [path, body] of [
    ['/feedback', { prediction_id: id, rating: 'up', text: 'Muy bien \u0000 ñ' }],
    ['/embed/add', { documents: ['El faro de Vigo', 'La torre de Hércules'] }],
    ['/auth/keys', { name: 'script', scopes: ['inference'] }],
    ['/presets', { name: 'breve', settings: { temperature: 0 } }],
    ['/conversations', {}],
  ] as const)
    expect([path, (await post(path, body)).ok]).toEqual([path, true])
  const cli = await createCli({
    DATA_DIR: server.dataDir,
    CONFIG_FILE: join(server.dataDir, 'config.json'),
    DATABASE_URL: await databaseAt(join(server.dataDir, 'simpleia.db')),
  })
  return { server, cli }
}

/** What the restored service says to the one who knows the password. */
async function askRestored(databaseUrl: string, dataDir: string) {
  await using server = await startServer({
    host: scriptedHost(['Hola']).host,
    settings: { DATABASE_URL: databaseUrl, DATA_DIR: dataDir },
  })
  const token = await server.login(credentials.username)
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const get = async (path: string) => JSON.parse(await (await fetch(`${server.url}${path}`, { headers })).text())
  const body = JSON.stringify({ query: 'El faro de Vigo', k: 1 })
  const found = JSON.parse(await (await fetch(`${server.url}/embed/search`, { method: 'POST', headers, body })).text())
  return {
    best: found.results[0].text,
    feedback: (await get('/feedback')).items.map((item: { text: string }) => item.text),
    keys: (await get('/auth/keys')).keys.length,
    conversations: (await get('/conversations')).items.length,
    role: (await get('/auth/me')).role,
  }
}

const whole = { best: 'El faro de Vigo', feedback: ['Muy bien \u0000 ñ'], keys: 1, conversations: 1, role: 'admin' }

test('what people have brought in is there after a backup, taken while the service runs, and a restore', async () => {
  const { cli } = await openWorld()
  const folder = await makeFolder()
  const written = await cli.run(`admin backup ${folder}/simpleia.tar`)
  expect(written).toMatchObject({ code: 0, output: '' })
  expect(written.notes).toMatch(/simpleia\.tar: \d+ rows and \d+ files, \d+ KB\.\nNot in it: models \(--models\), the key/)

  const dataDir = join(folder, 'data')
  const databaseUrl = await databaseAt(join(dataDir, 'simpleia.db'))
  const other = await createCli({ DATA_DIR: dataDir, CONFIG_FILE: join(folder, 'config.json'), DATABASE_URL: databaseUrl })
  const restored = await other.run(`admin restore ${folder}/simpleia.tar`)
  expect(restored).toMatchObject({
    code: 0,
    notes: expect.stringMatching(/^Restored the backup of 2\d{3}-.* \(simpleIA 1\.2\.3\)/),
  })
  expect(await askRestored(databaseUrl, dataDir)).toEqual(whole)
  expect(await other.run(`admin restore ${folder}/simpleia.tar`)).toMatchObject({
    code: 1,
    notes: expect.stringContaining('not empty'),
  })
})

test('what people have brought in is there in the database that it was moved to, table by table', async () => {
  const { cli } = await openWorld()
  const folder = await makeFolder()
  // To the other kind where there is one.
  const databaseUrl = onPostgres ? join(folder, 'moved.db') : await databaseAt(join(folder, 'moved.db'))
  const moved = await cli.run(`admin migrate-data --to ${databaseUrl}`)
  expect(moved).toMatchObject({ code: 0, notes: expect.stringContaining('is the same on both sides') })
  expect(moved.output).toMatch(/^users: 1 rows, SHA-256 [0-9a-f]{64}$/m)
  if (!onPostgres) expect(await askRestored(databaseUrl, folder)).toEqual(whole)
  expect(await cli.run(`admin migrate-data --to ${databaseUrl}`)).toMatchObject({
    code: 1,
    notes: expect.stringContaining('The database is not empty'),
  })
})

test('whoever does not say where to, or says where it is already, is told how', async () => {
  const folder = await makeFolder()
  const cli = await createCli({ DATA_DIR: folder, LANG: 'es_ES.UTF-8' })
  expect(await cli.run('admin migrate-data')).toMatchObject({ code: 2, notes: expect.stringContaining('Di adónde') })
  expect(await cli.run(`admin migrate-data --to ${folder}/simpleia.db`)).toMatchObject({
    code: 2,
    notes: expect.stringContaining('ya están'),
  })
  const unreachable = await cli.run('admin migrate-data --to postgres://ana:canary@127.0.0.1:1/simpleia')
  expect(unreachable).toMatchObject({ code: 1, notes: expect.stringContaining('ECONNREFUSED') })
  expect(unreachable.notes).not.toContain('canary')
})

test('adapters are in every backup, models and the key that signs tokens only where they are asked for; another file is kept aside', async () => {
  const folder = await makeFolder()
  const at = (...path: string[]) => join(folder, ...path)
  const source = { DATA_DIR: at('data'), MODELS_DIR: at('models'), CONFIG_FILE: at('config', 'config.json') }
  for (const name of ['data', 'models', 'config']) await mkdir(at(name))
  const tensors = [{ name: 'blk.0.attn_q.weight', shape: [64, 64] }]
  await writeNoise(at('models', 'ours.gguf'), { architecture: 'llama', tensors, seed: 1 })
  const chat = ggufBytes({ metadata: { 'general.architecture': 'llama' }, tensors: [{ name: 'a', shape: [8], bytes: 32 }] })
  await writeFile(at('models', 'chat.gguf'), chat)
  for (const [path, text] of [
    ['models/ours.gguf.sha256', 'a'],
    ['models/broken.gguf', 'GGUF'],
    ['models/broken.gguf.sha256', 'b'],
    ['models/notes.txt', 'c'],
    ['data/secret-key', 'x'.repeat(64)],
    ['config/config.json', '{"selected_model":null,"provider":null}'],
  ] as const)
    await writeFile(at(path), text)
  const database = async (name: string) => databaseAt(at(name, 'simpleia.db'))
  const cli = await createCli({ ...source, DATABASE_URL: await database('data') })
  const usual = await cli.run(`admin backup ${at('usual.tar')}`)
  expect(usual.notes).toContain('Not in it: models (--models), the key that signs tokens (--secrets), .env.')
  const kept = (names: readonly string[]) => names.filter((name) => /^models|secret-key/.test(name)).sort()
  expect(kept(await namesIn(at('usual.tar')))).toEqual(['models/ours.gguf', 'models/ours.gguf.sha256'])
  const whole = await cli.run(`admin backup ${at('whole.tar')} --models --secrets`)
  expect(whole.notes).toContain('Not in it: .env.')
  expect(kept(await namesIn(at('whole.tar')))).toEqual([
    'data/secret-key',
    ...['broken.gguf', 'broken.gguf.sha256', 'chat.gguf', 'notes.txt', 'ours.gguf', 'ours.gguf.sha256'].map(
      (name) => `models/${name}`,
    ),
  ])

  await mkdir(at('new-config'))
  await writeFile(at('new-config', 'config.json'), '{}')
  const target = { DATA_DIR: at('new'), MODELS_DIR: at('new-models'), CONFIG_FILE: at('new-config', 'config.json') }
  const other = await createCli({ ...target, DATABASE_URL: await database('new') })
  const restored = await other.run(`admin restore ${at('whole.tar')}`)
  expect(restored.notes).toContain(`There was another file; it is kept as ${at('new-config', 'config.json.before-restore')}`)
  expect(await readFile(at('new-config', 'config.json'), 'utf8')).toContain('selected_model')
  expect(await readFile(at('new-models', 'notes.txt'), 'utf8')).toBe('c')
})

test('a folder is no backup, and none can be written in place of one', async () => {
  const folder = await makeFolder()
  const cli = await createCli()
  expect(await cli.run(`admin restore ${folder}`)).toMatchObject({ code: 1, notes: `The backup ${folder} cannot be read.\n` })
  expect(await cli.run(`admin backup ${folder}`)).toMatchObject({
    code: 1,
    notes: `Nothing can be kept at ${folder} (EISDIR). Choose a file in a folder.\n`,
  })
})

/** The program itself, to be killed once `isTime` says so. */
async function killAt(line: string, environment: Record<string, string>, isTime: () => Promise<boolean>): Promise<void> {
  const child = spawn(process.execPath, ['src/main.ts', ...line.split(' ')], {
    env: { ...process.env, ...environment },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit')
  await expect.poll(isTime, { timeout: 15_000, interval: 1 }).toBe(true)
  child.kill('SIGKILL')
  expect((await ended)[1]).toBe('SIGKILL')
}

test('a backup and a restore that are killed leave what was there, and are done by the next', async () => {
  const folder = await makeFolder()
  const at = (...path: string[]) => join(folder, ...path)
  const source = {
    DATA_DIR: at('data'),
    MODELS_DIR: at('models'),
    CONFIG_FILE: at('config.json'),
    DATABASE_URL: await databaseAt(at('data', 'simpleia.db')),
  }
  await mkdir(at('data', 'snapshots'), { recursive: true })
  const file = 'x'.repeat(40_000_000)
  await writeFile(at('data', 'snapshots', 'large.snapshot'), file)
  const cli = await createCli(source)
  const first = await cli.run(`admin backup ${at('kept.tar')}`)
  expect([first.code, first.notes]).toEqual([0, expect.any(String)])
  const before = await stat(at('kept.tar'))

  const parts = async () => (await readdir(folder)).filter((name) => name.endsWith('.part'))
  await killAt(`admin backup ${at('kept.tar')}`, source, async () => (await parts()).length > 0)
  expect((await stat(at('kept.tar'))).ino).toBe(before.ino)
  expect(await parts()).toHaveLength(1)

  const target = { ...source, DATA_DIR: at('new'), DATABASE_URL: await databaseAt(at('new', 'simpleia.db')) }
  const marker = () =>
    access(at('new', 'restore-unfinished.json')).then(
      () => true,
      () => false,
    )
  await killAt(`admin restore ${at('kept.tar')}`, target, marker)
  expect(await marker()).toBe(true)
  const other = await createCli(target)
  expect(await other.run('api --port 0')).toMatchObject({
    code: 1,
    notes: expect.stringContaining('was begun and has not ended'),
  })
  const again = await other.run(`admin restore ${at('kept.tar')}`)
  expect([again.code, again.notes]).toEqual([0, expect.stringMatching(/Restored/)])
  expect(await readFile(at('new', 'snapshots', 'large.snapshot'), 'utf8')).toBe(file)
  expect(await cli.run(`admin backup ${at('kept.tar')}`)).toMatchObject({ code: 0 })
  expect(await parts()).toEqual([])
}, 60_000)
