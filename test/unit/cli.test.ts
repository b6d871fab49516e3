import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { createCli, createServedCli } from './cli-world.ts'

const password = 'a-long-password-of-ana'

test('the first user registers, logs in, and is the admin', async () => {
  const { run, home } = await createServedCli()
  const { code, notes } = await run('login ana --register', `${password}\n`)
  expect({ code, notes }).toMatchObject({ code: 0, notes: expect.stringContaining('its role is admin') })
  const file = join(home, 'simpleia', 'credentials.json')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(notes + (await readFile(file, 'utf8'))).not.toContain(password)
  expect((await run('admin users')).output).toMatch(/^ana\tadmin\t/)
})

test('a wrong password is told, and nothing is kept', async () => {
  const { run } = await createServedCli()
  await run('login ana --register', `${password}\n`)
  await run('logout')
  expect(await run('login ana', 'wrong-wrong\n')).toMatchObject({
    code: 1,
    notes: 'This username and password do not fit together.\n',
  })
  expect(await run('admin users')).toMatchObject({ code: 1, notes: expect.stringContaining('Log in first: ./run_llm.sh login') })
})

test('after a logout the token is dead at the service and gone here', async () => {
  const { run, home } = await createServedCli()
  await run('login ana --register', `${password}\n`)
  expect((await run('logout')).notes).toContain('Logged out')
  expect(await readFile(join(home, 'simpleia', 'credentials.json'), 'utf8')).toBe('{}\n')
  expect((await run('logout')).notes).toContain('You are not logged in')
})

test('admins change roles, log users out and delete them by name, whatever its case', async () => {
  const { run, server } = await createServedCli()
  await run('login ana --register', `${password}\n`)
  await createClient({ baseUrl: server.url }).register('Luis', password)
  const headers = { authorization: `Bearer ${await server.login('eva')}` }
  const statusOfEva = async () => (await fetch(`${server.url}/auth/me`, { headers })).status
  expect(await statusOfEva()).toBe(200)
  expect((await run('admin users logout EVA')).notes).toBe('eva is logged out everywhere. API keys live on.\n')
  expect(await statusOfEva()).toBe(401)
  expect((await run('admin users logout nobody')).notes).toContain('There is no user "nobody".')
  expect((await run('admin users delete eva')).code).toBe(0)
  expect((await run('admin users role LUIS admin')).notes).toBe('Luis now is admin.\n')
  expect(JSON.parse((await run('admin users list --json')).output)).toMatchObject([{ role: 'admin' }, { role: 'admin' }])
  expect((await run('admin users delete luis')).code).toBe(0)
  expect(await run('admin users delete luis')).toMatchObject({
    code: 1,
    notes: expect.stringContaining('There is no user "luis"'),
  })
  expect((await run('admin users role ana boss')).code).toBe(2)
  expect(await run('admin users role ana user')).toMatchObject({ code: 1, notes: expect.stringContaining('last admin') })
})

test('an admin adds a user, who can log in then', async () => {
  const { run } = await createServedCli()
  await run('login ana --register', `${password}\n`)
  expect(await run('admin users add luis', `${password}2\n`)).toMatchObject({
    code: 0,
    notes: 'Account luis opened; its role is user.\n',
  })
  expect((await run('login luis', `${password}2\n`)).code).toBe(0)
  expect((await run('admin users add eva', `${password}\n`)).code).toBe(1)
})

test('a forgotten password is set anew in the database while the service runs: the old one and old logins are dead, and it is in the audit', async () => {
  const { run, server } = await createServedCli()
  await run('login ana --register', `${password}\n`)
  const beside = await createCli({
    DATABASE_URL: await databaseAt(join(server.dataDir, 'simpleia.db')),
    DATA_DIR: server.dataDir,
  })
  expect(await beside.run('admin users password eva', 'another-long-password\n')).toMatchObject({
    code: 1,
    notes: expect.stringContaining('There is no user "eva"'),
  })
  for (const wrong of ['short', 'password1'])
    expect(await beside.run('admin users password ana', `${wrong}\n`)).toMatchObject({
      code: 1,
      notes: expect.stringMatching(/8 to 1,024|guessed/),
    })
  const spanish = await createCli({ DATA_DIR: server.dataDir, LANG: 'es_ES.UTF-8' })
  expect(await spanish.run('admin users password ana', 'short\n')).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/^Una contraseña tiene de 8 a 1024 caracteres\.$/m),
  })
  expect(await beside.run('admin users password ANA', 'another-long-password\n')).toMatchObject({
    code: 0,
    notes: 'ana has a new password, and is logged out everywhere. API keys live on.\n',
  })
  expect((await run('admin users')).code).toBe(1)
  expect((await run('login ana', `${password}\n`)).code).toBe(1)
  expect((await run('login ana', 'another-long-password\n')).code).toBe(0)
  const { access_token: token } = await createClient({ baseUrl: server.url }).login('ana', 'another-long-password')
  const { items } = await createClient({ baseUrl: server.url, token }).audit({ action: 'password-reset' })
  expect(items).toContainEqual(expect.objectContaining({ action: 'password-reset', address: 'command line' }))
})

test('feedback is listed page by page without its control characters, and exported exactly', async () => {
  const { run, server } = await createServedCli()
  expect((await run('login ana --register', `${password}\n`)).code).toBe(0)
  expect((await run('admin feedback')).notes).toContain('There is no feedback yet')
  const client = createClient({ baseUrl: server.url })
  const evil = 'niño \u001b[2J<b>'
  await client.sendFeedback({ text: evil })
  for (let index = 0; index < 60; index++) await client.sendFeedback({ text: `number ${index}` })
  const shown = (await run('admin feedback')).output
  expect(shown).toContain('niño [2J<b>')
  expect(shown).not.toContain('\u001b')
  expect(shown.match(/number \d+/g)).toHaveLength(60)
  const lines = (await run('admin feedback --jsonl')).output.trim().split('\n')
  expect(lines).toHaveLength(61)
  expect(lines.map((line) => JSON.parse(line).text)).toContain(evil)
})

test('reload switches to what the file says, and says so', async () => {
  const { run, server } = await createServedCli()
  await run('login ana --register', `${password}\n`)
  expect(await run('admin reload')).toMatchObject({ code: 0, notes: 'The model is small.\n' })
  await writeFile(join(server.dataDir, 'config.json'), '{"selected_model":')
  expect(await run('admin reload')).toMatchObject({ code: 1, notes: expect.stringContaining('is not JSON') })
})

test('what the service refuses is told in the language of the person', async () => {
  const { run } = await createServedCli({ LANG: 'es_ES.UTF-8' })
  expect((await run('admin users')).notes).toMatch(
    /No has iniciado sesión.*Inicia sesión primero.*\nEl servicio dice \(en inglés\): /,
  )
  expect((await run('login ana --register', 'password1\n')).notes).toMatch(
    /^Elige otra contraseña: .*\nEl servicio dice \(en inglés\): This password is easily guessed/,
  )
  expect((await run('dector')).notes).toContain('¿Querías decir doctor?')
})

test('without a service every command that needs one says how to start it', async () => {
  const { run } = await createCli({ PORT: '9' })
  for (const line of ['line', 'login ana', 'admin users', 'admin reload', 'admin feedback']) {
    expect(await run(line)).toMatchObject({ code: 1, output: '', notes: expect.stringContaining('"./run_llm.sh all"') })
  }
})

test('models are listed from the folder, with or without a service', async () => {
  const { run, home } = await createServedCli()
  expect((await run('models')).notes).toContain('No model is installed')
  await mkdir(join(home, 'models'))
  await writeFile(join(home, 'models', 'small.gguf'), 'GGUF')
  await writeFile(join(home, 'models', 'other.gguf.part'), 'GGUF')
  expect((await run('models')).output).toBe('small\t4 B\tin use\n')
  expect(JSON.parse((await run('models list --json --port 9')).output)).toMatchObject([
    { name: 'small', size_bytes: 4, loaded: false },
  ])
})

test('a model of the service is loaded and unloaded by an admin', async () => {
  const { run } = await createServedCli()
  expect((await run('models load small')).code).toBe(1)
  await run('login ana --register', 'secret-pass-1\n')
  expect((await run('models load small')).notes).toContain('The model small is in memory.')
  expect((await run('models unload small')).notes).toContain('The model small has left memory.')
  expect((await run('models load nothing')).notes).toContain('nothing')
})

test('wrong settings stop a command with all mistakes and exit code 1, a wrong call with 2', async () => {
  const { run } = await createCli()
  const { code, notes } = await run('api --port 99999 --device tpu')
  expect(code).toBe(1)
  expect(notes).toMatch(/PORT: .*\n.*DEVICE: /)
  expect((await run('fly')).code).toBe(2)
  expect(await run('--version')).toEqual({ code: 0, output: '1.2.3\n', notes: '' })
  expect((await run('')).output).toContain('Usage')
})

test('damaged credentials are named, not overwritten', async () => {
  const { run, home } = await createServedCli()
  await mkdir(join(home, 'simpleia'))
  await writeFile(join(home, 'simpleia', 'credentials.json'), '{')
  expect(await run('line')).toMatchObject({ code: 1, notes: expect.stringContaining('credentials.json is damaged') })
})

test('a port that another program has is named, with how to choose another', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void other.close())
  const { port } = other.address() as AddressInfo // a TCP server has no other kind of address
  const { run } = await createCli({ PORT: String(port) })
  expect(await run('api')).toMatchObject({
    code: 1,
    notes: expect.stringMatching(new RegExp(`Port ${port} .* --port ${port + 10}`)),
  })
})

test('setup needs no secret and starts nothing: with a model there it is done, without one it says what to do', async () => {
  const { run, environment } = await createCli({ LOCAL_ONLY: 'true', ENVIRONMENT: 'production', HOST: '0.0.0.0' })
  expect(await run('setup')).toMatchObject({ code: 1, notes: expect.stringContaining('LOCAL_ONLY') })
  await mkdir(environment.MODELS_DIR, { recursive: true })
  await writeFile(join(environment.MODELS_DIR, 'tiny.gguf'), 'GGUF')
  const { code, notes } = await run('setup')
  expect([code, notes]).toEqual([0, expect.stringContaining('Without the embedding model there is no search by meaning')])
})
