import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { commonPasswords } from '../../src/auth/common-password.ts'
import { createPasswords, type DeriveKey } from '../../src/auth/passwords.ts'
import { openWorld, password, type World, type WorldOptions } from '../fakes-storage.ts'

const worlds: World[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

async function open(options: WorldOptions = {}): Promise<World> {
  const world = await openWorld(options)
  worlds.push(world)
  return world
}

describe('opening an account', () => {
  test('is possible so often from one address in an hour; what fails counts for nothing, and admins go on', async () => {
    const world = await open({ maxAccounts: 3 })
    const { headers } = await world.join('root')
    for (const name of ['root', 'root', 'root', 'x']) expect((await world.register(name)).statusCode).toBeOneOf([400, 409])
    expect([(await world.register('ana')).statusCode, (await world.register('bob')).statusCode]).toEqual([201, 201])
    const refused = await world.register('carmen')
    expect(refused.json()).toMatchObject({ error: { code: 'rate_limited' } })
    expect(refused.headers['retry-after']).toBe('3600')
    const elsewhere = await world.http.inject({
      method: 'POST',
      url: '/auth/register',
      payload: { username: 'dora', password },
      remoteAddress: '192.0.2.7',
    })
    expect(elsewhere.statusCode).toBe(201)
    expect((await world.post('/admin/users', { username: 'eva', password }, headers)).statusCode).toBe(201)
    world.clock.ms += 3_600_000
    expect((await world.register('carmen')).statusCode).toBe(201)
  })

  test('costs a hash only where an account may come of it', async () => {
    let computed = 0
    const deriveKey: DeriveKey = async (text) => {
      computed++
      return Buffer.alloc(32, text)
    }
    const world = await open({ passwords: createPasswords({ deriveKey }) })
    await world.register('ana')
    expect(computed).toBe(1)
    for (const [name, its] of [
      ['ANA', password],
      ['x', password],
      ['bob', 'password1'],
    ] as const)
      expect((await world.register(name, its)).statusCode).toBeOneOf([400, 409])
    expect(computed).toBe(1)
  })
})

/** What is tested here does not hang on how a password is kept. */
const quick = createPasswords({ deriveKey: async (text) => Buffer.alloc(32, text) })

describe('a password that is tried first by those who guess', () => {
  test.each([
    'password1',
    'PASSWORD1',
    'qwertyuiop',
    '1234567890',
    'ana-maria',
    'Ana-Maria1!',
    '..simpleia..',
    'SimpleIA2026',
    'contraseña1',
  ])('is refused when it is chosen: %s', async (guessed) => {
    const world = await open({ passwords: quick })
    const admin = await world.join('root')
    const own = await world.join('ana-maria')
    expect((await world.register('ana-maria', guessed)).json()).toMatchObject({ error: { details: [{ field: 'password' }] } })
    const added = await world.post('/admin/users', { username: 'Ana-Maria', password: guessed }, admin.headers)
    expect(added.json()).toMatchObject({ error: { code: 'invalid', details: [{ field: 'password' }] } })
    const change = { current_password: password, new_password: guessed }
    const changed = await world.post('/auth/password', change, own.headers)
    expect(changed.json()).toMatchObject({ error: { code: 'invalid', details: [{ field: 'new_password' }] } })
    expect(added.body + changed.body).not.toContain(guessed)
  })

  test.each(['p4ssw0rd of nobody else', 'simpleia and three words', 'ana-maria has a dog', '☃☃☃☃☃☃☃☃', ' '.repeat(8)])(
    'is not any other, whatever it is made of: %j',
    async (own) => {
      const world = await open({ passwords: quick })
      expect((await world.register('ana-maria', own)).statusCode).toBe(201)
      expect((await world.login('ana-maria', own)).statusCode).toBe(200)
    },
  )
})

test('the list of common passwords says where it comes from, and holds what could be chosen, as it is compared', async () => {
  const file = await readFile(new URL('../../src/auth/common-passwords.txt', import.meta.url), 'utf8')
  expect(file).toMatch(/^# .*Django \d[\d.]+ \(BSD-3-Clause/)
  const all = commonPasswords()
  expect(all.size).toBeGreaterThanOrEqual(3000)
  expect(all.size).toBe(file.trimEnd().split('\n').length - file.split('\n').indexOf('') - 1)
  expect([...all].filter((one) => one.length < 8 || one !== one.normalize('NFKC').toLowerCase() || one.startsWith('# '))).toEqual(
    [],
  )
})

test('of two changes of a password at the same time one counts: the other knew an old one', async () => {
  const world = await open()
  const { id } = await world.join('ana')
  const next = ['the first new one', 'the second new one']
  const changed = await Promise.all(next.map((its) => world.users.changePassword(id, password, its)))
  expect(changed.toSorted()).toEqual([true, undefined])
  const statuses = await Promise.all(next.map(async (its) => (await world.login('ana', its)).statusCode))
  expect(statuses).toEqual(changed.map((isTrue) => (isTrue === true ? 200 : 401)))
})

test('an admin ends the sessions of a user, and theirs alone', async () => {
  const world = await open()
  const root = await world.join('root')
  const [ana, bea] = [await world.join('ana'), await world.join('bea')]
  const again = await world.tokenFor('ana')
  const users = (await world.http.inject({ url: '/admin/users', headers: root.headers })).json<{
    items: { id: string; username: string }[]
  }>()
  const id = users.items.find(({ username }) => username === 'ana')?.id
  const end = (headers: Record<string, string>, whose = id) =>
    world.http.inject({ method: 'DELETE', url: `/admin/users/${whose}/sessions`, headers })
  expect((await end(bea.headers)).statusCode).toBe(403)
  expect((await end(root.headers, 'nobody')).statusCode).toBe(404)
  expect((await world.me(ana.token)).statusCode).toBe(200)
  expect((await end(root.headers)).statusCode).toBe(204)
  const statuses = [ana.token, again, bea.token, root.token].map(async (token) => (await world.me(token)).statusCode)
  expect(await Promise.all(statuses)).toEqual([401, 401, 200, 200])
  expect((await world.login('ana')).statusCode).toBe(200)
})
