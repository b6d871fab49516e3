import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createTokens } from '../../src/auth/tokens.ts'
import { bearer, openWorld, type World } from '../fakes-storage.ts'

let world: World
let admin: Awaited<ReturnType<World['join']>>
let user: Awaited<ReturnType<World['join']>>

beforeEach(async () => {
  world = await openWorld({ allowAnonymous: true })
  admin = await world.join('admin')
  user = await world.join('ana')
})
afterEach(() => world.close())

/** Where an old token could still work: a route for users, and one that anonymous callers may use. */
async function statusOf(token: string): Promise<number[]> {
  const urls = ['/auth/me', '/probe']
  return Promise.all(urls.map(async (url) => (await world.http.inject({ url, headers: bearer(token) })).statusCode))
}

const alive = [200, 200]
const dead = [401, 401]

test('a login of a client that does not say what it is has no name in the list', async () => {
  const caller = await world.tokens.findCaller(user.token)
  if (caller === undefined) return expect.unreachable()
  await world.tokens.issue({ id: caller.id, tokenGeneration: 0 })
  expect((await world.tokens.list(caller.id)).map(({ agent }) => agent)).toContain(null)
})

describe('a token is dead at once', () => {
  test('after logout, on every kind of route; other logins of the user live on', async () => {
    const other = await world.tokenFor('ana')
    const caller = await world.tokens.findCaller(user.token)
    expect(caller).toMatchObject({ type: 'user', username: 'ana' })
    const answer = await world.post('/auth/logout', {}, user.headers)
    expect([answer.statusCode, answer.body]).toEqual([204, ''])
    expect(await statusOf(user.token)).toEqual(dead)
    expect(await statusOf(other)).toEqual(alive)
  })

  test('after a password change, with all others of the user; the new password works and the old one does not', async () => {
    const other = await world.tokenFor('ana')
    const change = { current_password: 'correct horse battery', new_password: 'another password' }
    expect((await world.post('/auth/password', change, user.headers)).statusCode).toBe(204)
    expect(await statusOf(user.token)).toEqual(dead)
    expect(await statusOf(other)).toEqual(dead)
    expect((await world.login('ana')).statusCode).toBe(401)
    expect(await statusOf(await world.tokenFor('ana', 'another password'))).toEqual(alive)
  })

  test('after a demotion and after a promotion', async () => {
    for (const role of ['admin', 'user']) {
      const token = await world.tokenFor('ana')
      await world.http.inject({ method: 'PATCH', url: `/admin/users/${user.id}`, payload: { role }, headers: admin.headers })
      expect(await statusOf(token)).toEqual(dead)
    }
  })

  test('after deletion, also when the name is taken again', async () => {
    await world.http.inject({ method: 'DELETE', url: `/admin/users/${user.id}`, headers: admin.headers })
    await world.register('ana')
    expect(await statusOf(user.token)).toEqual(dead)
  })

  test('when its time is over, and not before', async () => {
    world.clock.ms += 3599 * 1000
    expect(await statusOf(user.token)).toEqual(alive)
    world.clock.ms += 1000
    expect(await statusOf(user.token)).toEqual(dead)
  })
})

test('an open connection can ask whether its caller is still who it was', async () => {
  await world.http.inject({ url: '/probe', headers: user.headers })
  await world.http.inject({ url: '/probe' })
  const [known, anonymous] = world.callers
  if (known === undefined || anonymous === undefined) throw new Error('Two callers were expected.')
  expect([await world.guard.isStillValid(known), await world.guard.isStillValid(anonymous)]).toEqual([true, true])
  expect(JSON.stringify(known)).not.toContain(user.token)
  await world.post('/auth/logout', {}, user.headers)
  expect([await world.guard.isStillValid(known), await world.guard.isStillValid(anonymous)]).toEqual([false, true])
})

test('a token that cannot be checked is a fault of ours, and not a wrong token', async () => {
  const { publicKey } = generateKeyPairSync('ed25519')
  const broken = createTokens({ secretKey: publicKey, ttlSeconds: 3600, now: () => world.clock.ms, db: world.db })
  await expect(broken.findCaller(user.token)).rejects.toThrow(TypeError)
})

test('tokens that were logged out are forgotten when they would have expired anyway', async () => {
  await world.post('/auth/logout', {}, user.headers)
  world.clock.ms += 3601 * 1000
  await world.post('/auth/logout', {}, bearer(await world.tokenFor('ana')))
  expect(await world.db.selectFrom('revokedTokens').selectAll().execute()).toHaveLength(1)
})

describe('only our own tokens are good', () => {
  const seconds = () => Math.floor(world.clock.ms / 1000)
  const claims = () => ({
    generation: 0,
    iss: 'simpleia',
    aud: 'simpleia',
    sub: user.id,
    jti: 'a-token',
    iat: seconds(),
    exp: seconds() + 3600,
  })
  const signed = (payload: object, header: object = {}, key: KeyObject | Uint8Array = world.secretKey) =>
    new SignJWT({ ...payload }).setProtectedHeader({ alg: 'HS256', typ: 'JWT', ...header }).sign(key)
  const without = (name: string) => Object.fromEntries(Object.entries(claims()).filter(([key]) => key !== name))
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

  test('one made by hand exactly like ours is good, so that the refusals below mean something', async () => {
    expect(await statusOf(await signed(claims()))).toEqual(alive)
  })

  test('one of a replica whose clock is half a minute ahead is good at once, and no longer than it says', async () => {
    const ahead = await signed({ ...claims(), iat: seconds() + 29, exp: seconds() + 600 })
    expect(await statusOf(ahead)).toEqual(alive)
    world.clock.ms += 600 * 1000
    expect(await statusOf(ahead)).toEqual(dead)
  })

  test.each([
    ['an algorithm of "none"', async () => `${encoded({ alg: 'none', typ: 'JWT' })}.${encoded(claims())}.`],
    ['no algorithm', async () => `${encoded({ typ: 'JWT' })}.${encoded(claims())}.`],
    [
      'another algorithm with the same key',
      () => signed(claims(), { alg: 'HS512' }, createSecretKey(Buffer.concat([world.secretKey.export(), Buffer.alloc(32)]))),
    ],
    ['HS384 with the same key', () => signed(claims(), { alg: 'HS384' })],
    ['a key pair', () => signed(claims(), { alg: 'RS256' }, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
    ['an empty signature', async () => (await signed(claims())).replace(/[^.]+$/, '')],
    ['another key', () => signed(claims(), {}, createSecretKey(randomBytes(32)))],
    ['a shipped string as key', () => signed(claims(), {}, Buffer.from('changeme'.padEnd(32, '!')))],
    ['a key id that is a path', () => signed(claims(), { kid: '../../dev/null' })],
    ['a key of its own', () => signed(claims(), { jwk: { kty: 'oct', k: 'AAAA' } })],
    ['no type', () => signed(claims(), { typ: undefined })],
    ['no expiry', () => signed(without('exp'))],
    ['an expiry that is text', () => signed({ ...claims(), exp: String(seconds() + 60) })],
    ['an expiry at the end of time', () => signed({ ...claims(), exp: 1e20 })],
    ['an expiry later than ours ever is', () => signed({ ...claims(), exp: seconds() + 3601 })],
    ['an expiry in the past', () => signed({ ...claims(), iat: seconds() - 60, exp: seconds() - 1 })],
    ['a start in the future', () => signed({ ...claims(), nbf: seconds() + 60 })],
    [
      'an issue date more than a year ahead',
      () => signed({ ...claims(), iat: seconds() + 401 * 86_400, exp: seconds() + 401 * 86_400 + 60 }),
    ],
    ['no issue date', () => signed(without('iat'))],
    ['another issuer', () => signed({ ...claims(), iss: 'other' })],
    ['another audience', () => signed({ ...claims(), aud: 'other' })],
    ['no audience', () => signed(without('aud'))],
    ['no token id', () => signed(without('jti'))],
    ['no generation', () => signed(without('generation'))],
    ['an older generation', () => signed({ ...claims(), generation: -1 })],
    ['no subject', () => signed(without('sub'))],
    ['an unknown subject', () => signed({ ...claims(), sub: 'nobody' })],
    [
      'an edited payload',
      async () => {
        const [header, , signature] = (await signed(claims())).split('.')
        return `${header}.${encoded({ ...claims(), sub: admin.id })}.${signature}`
      },
    ],
    ['nothing but dots', async () => '..'],
  ])('one with %s is refused', async (_, make) => {
    const token = await make()
    expect(await statusOf(token)).toEqual(dead)
    expect(await world.tokens.findCaller(token)).toBeUndefined()
  })

  test('a role written into a token counts for nothing: the database has the role', async () => {
    const token = await signed({ ...claims(), role: 'admin' })
    expect((await world.me(token)).json()).toMatchObject({ role: 'user' })
    expect((await world.http.inject({ url: '/admin/users', headers: bearer(token) })).statusCode).toBe(403)
  })
})
