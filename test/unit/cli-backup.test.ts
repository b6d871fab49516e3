import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { startServer } from '../server.ts'
import { createCli, scriptedHost } from './cli-world.ts'

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
  const { id } = await (await post('/predict', { prompt: '¿Qué tal?' })).json()
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
  const get = async (path: string) => (await fetch(`${server.url}${path}`, { headers })).json()
  const body = JSON.stringify({ query: 'El faro de Vigo', k: 1 })
  const found = await (await fetch(`${server.url}/embed/search`, { method: 'POST', headers, body })).json()
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
