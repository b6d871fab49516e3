import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { credentialsPath } from '../../src/cli/credentials.ts'
import { fill } from '../../src/cli/language.ts'
import { createScriptedCli, refuse, spanish } from './cli-scripted.ts'

const session = { access_token: 'the-token', token_type: 'bearer', expires_in: 60 }
const health = { status: 'ok' }
const service = { 'GET /health': health, 'POST /auth/login': session }
const tokenFile = (home: string) => join(home, 'simpleia', 'credentials.json')

test('a person is asked for name and password, and the password is not shown', async () => {
  const { start, asked, home } = await createScriptedCli(service, { isPerson: true })
  const { seen, type, done } = start('login')
  await seen('Username')
  type('ana\r')
  await seen('Password')
  type('a-secret\r')
  const { code, output, notes } = await done
  expect(code).toBe(0)
  expect(output + notes).not.toContain('a-secret')
  expect(asked.at(-1)?.body).toEqual({ username: 'ana', password: 'a-secret' })
  expect(Object.values(JSON.parse(await readFile(tokenFile(home), 'utf8')))).toEqual([{ token: 'the-token' }])
})

test.each([
  ['an empty password is sent as one', '\r', { username: 'ana', password: '' }, 1],
  ['Ctrl-C sends nothing', '\u0003', undefined, 1],
] as const)('%s', async (_, keys, body, code) => {
  const wrong = () => refuse(401, { code: 'unauthorized', message: 'No.' })
  const { start, asked } = await createScriptedCli({ ...service, 'POST /auth/login': wrong }, { isPerson: true })
  const { seen, type, done } = start('login ana')
  await seen('Password')
  type(keys)
  expect((await done).code).toBe(code)
  expect(asked.find(({ path }) => path === '/auth/login')?.body).toEqual(body)
})

test.each([
  ['login', 'ana\na-secret\n', { username: 'ana', password: 'a-secret' }],
  ['login ana', 'a-secret\n', { username: 'ana', password: 'a-secret' }],
  ['login ana', '', { username: 'ana', password: '' }],
  ['login', '', { username: '', password: '' }],
])('%s reads from a pipe what is missing', async (line, typed, body) => {
  const { run, asked } = await createScriptedCli(service)
  await run(line, typed)
  expect(asked.at(-1)?.body).toEqual(body)
})

test('what keeps a login or a logout from being one is told, and the token stays', async () => {
  const script: Record<string, object> = { ...service }
  const { run, home } = await createScriptedCli(script)
  await run('login ana', 'x\n')
  const before = await readFile(tokenFile(home), 'utf8')
  script['POST /auth/login'] = refuse(429, { code: 'rate_limited', message: 'Too many tries.' })
  script['POST /auth/logout'] = refuse(503, { code: 'unavailable', message: 'The database is away.' })
  expect(await run('login ana', 'x\n')).toMatchObject({ code: 1, notes: 'Too many tries.\n' })
  // The service is there, so that nobody is told to start it.
  expect(await run('logout')).toMatchObject({ code: 1, notes: 'The database is away.\n' })
  expect(await readFile(tokenFile(home), 'utf8')).toBe(before)
})

test('a token that cannot be kept, or what stands in the place of the kept ones, is named', async () => {
  const { run, home } = await createScriptedCli(service, { variables: spanish })
  await mkdir(tokenFile(home), { recursive: true })
  expect(await run('login ana', 'x\n')).toMatchObject({ code: 1, notes: expect.stringMatching(/credentials\.json está dañado/) })
  await rm(join(home, 'simpleia'), { recursive: true })
  await writeFile(join(home, 'simpleia'), '')
  expect(await run('login ana', 'x\n')).toMatchObject({ code: 1, notes: expect.stringMatching(/credentials\.json está dañado/) })
})

test('the kept tokens are where XDG says, else in the home of the person', () => {
  expect(
    [{ XDG_CONFIG_HOME: '/config', HOME: '/home/ana' }, { XDG_CONFIG_HOME: '', HOME: '/home/ana' }, { HOME: '' }, {}].map(
      credentialsPath,
    ),
  ).toEqual(
    ['/config', '/home/ana/.config', ...Array(2).fill(join(homedir(), '.config'))].map((folder) =>
      join(folder, 'simpleia', 'credentials.json'),
    ),
  )
})

test('a place that nothing fills stays as it is, and one that nothing is in is empty', () => {
  const text = { en: '{name} of {folder}', es: '' }
  expect(fill(text, 'en', { name: '' })).toBe(' of {folder}')
})

test('what nobody foresaw is not told as a failure of the person', async () => {
  const { run } = await createScriptedCli({ 'GET /admin/users': { items: [null], next_cursor: null } })
  await expect(run('admin users')).rejects.toThrow(TypeError)
})
