import cookie from '@fastify/cookie'
import { fastify } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import { createGuard, userOf } from '../../src/auth/guard.ts'
import { createPasswords, type DeriveKey } from '../../src/auth/passwords.ts'
import { replyWithError } from '../../src/http/error-reply.ts'
import { bearer, openWorld, password, type World, type WorldOptions } from '../fakes-storage.ts'
import { measured } from '../measured.ts'

const worlds: World[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

async function open(options: WorldOptions = {}): Promise<World> {
  const world = await openWorld(options)
  worlds.push(world)
  return world
}

describe('registering', () => {
  test('the first user becomes admin, the next ones do not; the answer holds no secret', async () => {
    const world = await open()
    const [first, second] = [await world.register('ana'), await world.register('  Ｂob ')]
    expect([first.statusCode, second.statusCode]).toEqual([201, 201])
    expect(first.json()).toEqual({ id: expect.any(String), username: 'ana', role: 'admin' })
    expect(second.json()).toEqual({ id: expect.any(String), username: 'Bob', role: 'user' })
  })

  test('twenty at the same time on a new installation make exactly one admin', async () => {
    const world = await open()
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => world.register(`user-${index}`)))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(20).fill(201))
    expect(answers.filter((answer) => answer.json<{ role: string }>().role === 'admin')).toHaveLength(1)
  })

  test('twenty at the same time with one name make one user', async () => {
    const world = await open()
    const names = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 'ana' : 'ＡNA'))
    const answers = await Promise.all(names.map((name) => world.register(name)))
    expect(answers.map(({ statusCode }) => statusCode).toSorted()).toEqual([201, ...Array(19).fill(409)])
  })

  test.each([{ role: 'admin' }, { isAdmin: true }, { id: '1' }, { tokenGeneration: 9 }])(
    'with %j besides is refused',
    async (extra) => {
      const world = await open()
      await world.join('admin')
      const answer = await world.post('/auth/register', { username: 'eve', password, ...extra })
      expect(answer.statusCode).toBe(400)
      expect(answer.json()).toMatchObject({ error: { code: 'invalid' } })
      expect((await world.login('eve')).statusCode).toBe(401)
    },
  )

  test.each(['__proto__', 'constructor'])('with %s in the body is refused', async (name) => {
    const world = await open()
    await world.join('admin')
    const payload = `{"username":"eve","password":"${password}","${name}":{"prototype":{"role":"admin"},"role":"admin"}}`
    const answer = await world.http.inject({
      method: 'POST',
      url: '/auth/register',
      payload,
      headers: { 'content-type': 'application/json' },
    })
    expect(answer.statusCode).toBe(400)
    expect(Object.hasOwn(Object.prototype, 'role')).toBe(false)
  })

  test.each([
    { username: 'ana' },
    { username: 'ana', password: '1234567' },
    { username: 'ana', password: 'x'.repeat(1025) },
    { username: 'a', password },
    { username: 7, password },
    { username: { $ne: '' }, password },
    { username: 'x'.repeat(10_000), password },
  ])('with a field that does not fit is a 400 that names it (%#)', async (body) => {
    const world = await open()
    const answer = await world.post('/auth/register', body)
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toMatchObject({ error: { details: [{ field: expect.stringMatching(/username|password/) }] } })
  })

  test('can be closed, but for the first user', async () => {
    const world = await open({ allowRegistration: false })
    expect((await world.register('ana')).statusCode).toBe(201)
    expect((await world.register('bob')).statusCode).toBe(403)
    expect((await world.register('ana')).statusCode).toBe(403)
  })
})

describe('the state before a login', () => {
  const stateOf = async (world: World) => (await world.http.inject({ url: '/auth/state' })).json()

  test('tells whether the first account is still to be made, and nothing of who has one', async () => {
    const world = await open()
    expect(await stateOf(world)).toEqual({ has_users: false, registration_open: true, anonymous_allowed: false })
    await world.register('ana')
    expect(await stateOf(world)).toEqual({ has_users: true, registration_open: true, anonymous_allowed: false })
  })

  test('tells that registration is closed only once it is, and who may ask without an account', async () => {
    const world = await open({ allowRegistration: false, allowAnonymous: true })
    expect(await stateOf(world)).toEqual({ has_users: false, registration_open: true, anonymous_allowed: true })
    await world.register('ana')
    expect(await stateOf(world)).toEqual({ has_users: true, registration_open: false, anonymous_allowed: true })
  })
})

describe('logging in', () => {
  test('answers an OAuth2 form and JSON alike', async () => {
    const world = await open()
    await world.register('José')
    const form = new URLSearchParams({
      grant_type: 'password',
      username: 'JOSE\u0301',
      password,
      scope: '',
      client_id: '',
      client_secret: '',
    })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const answers = [
      await world.http.inject({ method: 'POST', url: '/auth/login', payload: form.toString(), headers }),
      await world.login('josé'),
    ]
    for (const answer of answers) {
      expect(answer.statusCode).toBe(200)
      expect(answer.json()).toEqual({ access_token: expect.any(String), token_type: 'bearer', expires_in: 3600 })
      expect(answer.headers['cache-control']).toBe('no-store')
      expect((await world.me(answer.json<{ access_token: string }>().access_token)).json()).toMatchObject({ username: 'José' })
    }
  })

  test('an unknown user and a wrong password get the same answer, after the same work', async () => {
    let computed = 0
    const deriveKey: DeriveKey = async (text) => {
      computed++
      return Buffer.alloc(32, text)
    }
    const world = await open({ passwords: createPasswords({ deriveKey }) })
    await world.register('ana')
    const attempts: unknown[] = []
    for (const [username, its] of [
      ['ana', 'wrong password'],
      ['nobody', 'wrong password'],
      ['no\u0000\u202ebody', 'x'],
    ] as const) {
      computed = 0
      const answer = await world.login(username, its)
      const { 'x-request-id': _, date: __, ...headers } = answer.headers
      attempts.push({ status: answer.statusCode, body: answer.body, headers, computed })
    }
    expect(attempts[0]).toMatchObject({ status: 401, computed: 1 })
    expect(attempts[1]).toEqual(attempts[0])
    expect(attempts[2]).toEqual(attempts[0])
  })

  test('an unknown user takes as long as a wrong password', measured, async () => {
    // Long enough to stand out over everything else that a login does.
    const world = await open({
      passwords: createPasswords({ parameters: { memoryKib: 8192, passes: 2, parallelism: 1 } }),
      maxFailures: 1000,
    })
    await world.register('ana')
    const times: Record<'ana' | 'nobody', number[]> = { ana: [], nobody: [] }
    for (let round = 0; round < 12; round++) {
      for (const username of ['ana', 'nobody'] as const) {
        const start = performance.now()
        await world.login(username, 'wrong password')
        times[username].push(performance.now() - start)
      }
    }
    const [known, unknown] = [median(times.ana), median(times.nobody)]
    expect(Math.max(known, unknown) / Math.min(known, unknown)).toBeLessThan(1.5)
  })

  test('the cookie is out of reach of scripts and of other sites, and Secure in production', async () => {
    for (const production of [false, true]) {
      const world = await open({ production })
      await world.register('ana')
      const answer = await world.login('ana')
      expect(answer.cookies).toEqual([
        {
          // Of this prefix a browser takes it from this host alone.
          name: production ? '__Host-simpleia_token' : 'simpleia_token',
          value: answer.json<{ access_token: string }>().access_token,
          httpOnly: true,
          sameSite: 'Lax',
          path: '/',
          maxAge: 3600,
          ...(production ? { secure: true } : {}),
        },
      ])
    }
  })

  test('ends the session that the browser had, and no other', async () => {
    const world = await open()
    await world.register('ana')
    const [elsewhere, before] = [await world.tokenFor('ana'), await world.tokenFor('ana')]
    const payload = { username: 'ana', password }
    const again = await world.http.inject({ method: 'POST', url: '/auth/login', payload, cookies: { simpleia_token: before } })
    const statuses = [before, elsewhere, again.json<{ access_token: string }>().access_token].map(
      async (token) => (await world.me(token)).statusCode,
    )
    expect(await Promise.all(statuses)).toEqual([401, 200, 200])
    // One that is none ends nothing, nor does it keep anybody out; a failed login ends nothing.
    const odd = await world.http.inject({ method: 'POST', url: '/auth/login', payload, cookies: { simpleia_token: 'a.b.c' } })
    expect(odd.statusCode).toBe(200)
    const wrong = { username: 'ana', password: 'another one' }
    await world.http.inject({ method: 'POST', url: '/auth/login', payload: wrong, cookies: { simpleia_token: elsewhere } })
    expect((await world.me(elsewhere)).statusCode).toBe(200)
  })

  test('logging out takes the cookie away, so that a browser lets it', async () => {
    for (const production of [false, true]) {
      const world = await open({ production })
      const { token } = await world.join('ana')
      const name = production ? '__Host-simpleia_token' : 'simpleia_token'
      const cookies = { [name]: token }
      const answer = await world.http.inject({ method: 'POST', url: '/auth/logout', cookies })
      expect(answer.statusCode).toBe(204)
      expect(answer.cookies).toMatchObject([{ name, value: '', path: '/', ...(production ? { secure: true } : {}) }])
    }
  })
})

describe('guessing passwords', () => {
  test('five wrong ones, then 429 with the time to wait, for the right one too; after that time it works again', async () => {
    const world = await open()
    await world.register('ana')
    for (let guess = 0; guess < 5; guess++) expect((await world.login('ana', `wrong ${guess}`)).statusCode).toBe(401)
    world.clock.ms += 20_500
    const refused = await world.login('ANA')
    expect(refused.statusCode).toBe(429)
    expect(refused.headers['retry-after']).toBe('40')
    expect(refused.json()).toMatchObject({ error: { code: 'rate_limited' } })
    world.clock.ms += 40_000
    expect((await world.login('ana')).statusCode).toBe(200)
  })

  test('a right one lets the count begin anew', async () => {
    const world = await open()
    await world.register('ana')
    for (const attempt of ['wrong', 'wrong', 'wrong', 'wrong', password, 'wrong', 'wrong', 'wrong', 'wrong']) {
      expect((await world.login('ana', attempt)).statusCode).toBe(attempt === password ? 200 : 401)
    }
  })

  test('unknown users are limited the same way, and others not with them', async () => {
    const world = await open()
    await world.register('ana')
    for (let guess = 0; guess < 5; guess++) await world.login('nobody', 'wrong')
    expect((await world.login('nobody', 'wrong')).statusCode).toBe(429)
    expect((await world.login('ana')).statusCode).toBe(200)
  })

  test('a hundred at the same time count like one after the other', async () => {
    const world = await open()
    await world.register('ana')
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => world.login('ana', `wrong ${index}`)))
    const statuses = answers.map(({ statusCode }) => statusCode)
    expect(statuses.filter((status) => status === 401)).toHaveLength(5)
    expect(statuses.filter((status) => status === 429)).toHaveLength(95)
  })

  test('fifty right ones at the same time all work', async () => {
    const world = await open()
    await world.register('ana')
    const answers = await Promise.all(Array.from({ length: 50 }, () => world.login('ana')))
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]))
  })

  test('one password on many users from one address is limited', async () => {
    const world = await open()
    for (let index = 0; index < 60; index++) await world.login(`user-${index}`, 'Summer2026')
    expect((await world.login('user-60', 'Summer2026')).statusCode).toBe(429)
  })

  test('a stolen token does not help to guess the password', async () => {
    const world = await open()
    const { headers } = await world.join('ana')
    const guess = () => world.post('/auth/password', { current_password: 'wrong', new_password: 'another password' }, headers)
    for (let index = 0; index < 5; index++) expect((await guess()).statusCode).toBe(403)
    expect((await guess()).statusCode).toBe(429)
  })
})

describe('administering users', () => {
  const patch = (world: World, id: string, body: object, headers: Record<string, string>) =>
    world.http.inject({ method: 'PATCH', url: `/admin/users/${id}`, payload: body, headers })
  const remove = (world: World, id: string, headers: Record<string, string>) =>
    world.http.inject({ method: 'DELETE', url: `/admin/users/${id}`, headers })

  test('is for admins: 401 without a token, 403 for users', async () => {
    const world = await open()
    const admin = await world.join('admin')
    const ana = await world.join('ana')
    for (const [headers, status] of [
      [{}, 401],
      [ana.headers, 403],
    ] as const) {
      expect((await world.http.inject({ url: '/admin/users', headers })).statusCode).toBe(status)
      expect((await patch(world, ana.id, { role: 'admin' }, headers)).statusCode).toBe(status)
      expect((await remove(world, admin.id, headers)).statusCode).toBe(status)
    }
    expect((await world.me(ana.token)).json()).toMatchObject({ role: 'user' })
  })

  test('lists them in pages, by name, without anything secret', async () => {
    const world = await open()
    const { headers } = await world.join('admin')
    for (const name of ['Zoé', 'ana', 'Bob']) await world.register(name)
    const page = async (query: string) =>
      (await world.http.inject({ url: `/admin/users?${query}`, headers })).json<{
        items: Array<{ username: string }>
        next_cursor: string | null
      }>()
    const first = await page('limit=3')
    const second = await page(`limit=3&cursor=${first.next_cursor}`)
    expect([...first.items, ...second.items].map(({ username }) => username)).toEqual(['admin', 'ana', 'Bob', 'Zoé'])
    expect(second.next_cursor).toBeNull()
    expect(Object.keys(first.items[0] ?? {})).toEqual(['id', 'username', 'role', 'created_at', 'quota'])
    expect(first.items[0]).toMatchObject({ created_at: '2026-01-01T00:00:00.000Z' })
  })

  test('an admin opens accounts, also where registration is closed', async () => {
    const world = await open({ allowRegistration: false })
    const { headers: admin } = await world.join('ana')
    const add = (payload: object, headers = admin) => world.post('/admin/users', payload, headers)
    const added = await add({ username: 'Ｂob', password })
    expect([added.statusCode, added.json()]).toEqual([
      201,
      { id: expect.any(String), username: 'Bob', role: 'user', created_at: expect.any(String), quota: expect.any(Object) },
    ])
    const user = bearer(await world.tokenFor('bob'))
    expect((await add({ username: 'BOB', password })).statusCode).toBe(409)
    expect((await add({ username: 'eve', password: 'short' })).statusCode).toBe(400)
    expect((await add({ username: 'eve', password, id: '1' })).statusCode).toBe(400)
    expect((await add({ username: 'eve', password }, user)).statusCode).toBe(403)
    expect((await add({ username: 'eva', password, role: 'admin' })).json()).toMatchObject({ role: 'admin' })
    expect((await world.register('eve')).statusCode).toBe(403)
  })

  test('the last admin can be neither demoted nor deleted', async () => {
    const world = await open()
    const admin = await world.join('admin')
    expect((await patch(world, admin.id, { role: 'user' }, admin.headers)).statusCode).toBe(409)
    expect((await remove(world, admin.id, admin.headers)).statusCode).toBe(409)
    expect((await world.me(admin.token)).json()).toMatchObject({ role: 'admin' })
  })

  test('two admins who demote each other at the same time leave one', async () => {
    const world = await open()
    const one = await world.join('one')
    const two = await world.join('two')
    await patch(world, two.id, { role: 'admin' }, one.headers)
    await Promise.allSettled([
      world.users.change(one.id, { role: 'user' }),
      world.users.change(two.id, { role: 'user' }),
      world.users.remove(one.id),
    ])
    const { items } = await world.users.list({ limit: 10, cursor: undefined })
    expect(items.filter(({ role }) => role === 'admin')).toHaveLength(1)
  })

  test('an admin changes a quota alone: the role stays, and so do the sessions', async () => {
    const world = await open()
    const { headers } = await world.join('admin')
    const ana = await world.join('ana')
    const changed = await patch(world, ana.id, { quota: { requests_per_day: 5 } }, headers)
    expect(changed.json()).toMatchObject({ role: 'user', quota: { requests_per_day: 5, tokens_per_day: null } })
    expect((await world.me(ana.token)).statusCode).toBe(200)
    const both = await patch(world, ana.id, { role: 'admin', quota: { tokens_per_day: 7 } }, headers)
    expect(both.json()).toMatchObject({ role: 'admin', quota: { requests_per_day: 5, tokens_per_day: 7 } })
    expect((await world.me(ana.token)).statusCode).toBe(401)
  })

  test('an unknown user is a 404, an unknown role a 400', async () => {
    const world = await open()
    const { headers, id } = await world.join('admin')
    expect((await patch(world, 'nobody', { role: 'user' }, headers)).statusCode).toBe(404)
    expect((await remove(world, 'nobody', headers)).statusCode).toBe(404)
    expect((await patch(world, id, { role: 'root' }, headers)).statusCode).toBe(400)
    expect((await patch(world, id, { role: 'user', username: 'x' }, headers)).statusCode).toBe(400)
  })
})

describe('who is asked to show a token', () => {
  test('with anonymous callers allowed, no token and the placeholders of other services pass', async () => {
    const world = await open({ allowAnonymous: true })
    for (const headers of [{}, bearer('ollama'), bearer('sk-no-key-required'), { authorization: 'Basic YTpi' }]) {
      const answer = await world.http.inject({ url: '/probe', headers })
      expect([answer.statusCode, answer.json()]).toEqual([200, { type: 'anonymous' }])
    }
  })

  test('with anonymous callers not allowed, they do not; the answer says how to ask', async () => {
    const world = await open()
    for (const headers of [{}, bearer('ollama'), { authorization: 'Basic YTpi' }]) {
      const answer = await world.http.inject({ url: '/probe', headers })
      expect(answer.statusCode).toBe(401)
      expect(answer.headers['www-authenticate']).toContain('Bearer')
    }
  })

  test('a token counts in the header, in the cookie, and among the protocols of a WebSocket handshake only; never in the address', async () => {
    const world = await open()
    const { token } = await world.join('ana')
    const status = async (options: object) => (await world.http.inject({ url: '/auth/me', ...options })).statusCode
    const query = `/auth/me?access_token=${token}`
    expect(await status({ headers: { authorization: `bearer  ${token}` } })).toBe(200)
    expect(await status({ cookies: { simpleia_token: token } })).toBe(200)
    expect(await status({ url: query })).toBe(401)
    expect(await status({ url: query, headers: { upgrade: 'websocket' } })).toBe(401)
    const offered = { 'sec-websocket-protocol': `simpleia, bearer.${token}` }
    expect(await status({ headers: { ...offered, upgrade: 'websocket' } })).toBe(200)
    expect(await status({ headers: offered })).toBe(401)
    expect(await status({ headers: bearer('a.b.c'), cookies: { simpleia_token: token } })).toBe(401)
  })

  test('a cookie that is no longer good is taken away, so that the page can begin anew', async () => {
    const world = await open({ allowAnonymous: true })
    const { token, headers } = await world.join('ana')
    await world.post('/auth/logout', {}, headers)
    const answer = await world.http.inject({ url: '/probe', cookies: { simpleia_token: token } })
    expect(answer.statusCode).toBe(401)
    expect(answer.cookies).toMatchObject([{ name: 'simpleia_token', value: '' }])
  })
})

describe('a page of another site', () => {
  const foreign = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost.evil.com' },
    { origin: 'http://localhost:3000' },
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ]

  test.each(foreign)('with %j cannot use the cookie to change anything or to open a WebSocket', async (headers) => {
    const world = await open()
    const { token } = await world.join('ana')
    const cookies = { simpleia_token: token }
    const changes = [
      await world.http.inject({ method: 'POST', url: '/probe', cookies, headers, payload: {} }),
      await world.http.inject({ method: 'POST', url: '/auth/logout', cookies, headers }),
      await world.http.inject({ url: '/auth/me', cookies, headers: { ...headers, upgrade: 'websocket' } }),
    ]
    expect(changes.map(({ statusCode }) => statusCode)).toEqual([403, 403, 403])
    expect((await world.me(token)).statusCode).toBe(200)
  })

  test.each([
    { origin: 'http://localhost:80' },
    { origin: 'http://localhost:80', 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' },
    {},
    { origin: 'http://localhost:8001', 'sec-fetch-site': 'same-site' },
  ])('is not meant: %j is one of ours, an allowed one, or no browser', async (headers) => {
    const world = await open({ allowedOrigins: ['http://localhost:8001'] })
    const { token } = await world.join('ana')
    const answer = await world.http.inject({
      method: 'POST',
      url: '/probe',
      cookies: { simpleia_token: token },
      headers,
      payload: {},
    })
    expect(answer.statusCode).toBe(200)
  })
})

test('the guard protects the cookie by itself, whatever server it hangs in', async () => {
  const caller = { type: 'user', id: '1', username: 'ana', role: 'user', tokenId: '1' } as const
  const guard = createGuard({ findCaller: async () => caller, allowAnonymous: true })
  const http = fastify()
  await http.register(cookie)
  http.setErrorHandler(replyWithError)
  http.post('/change', { onRequest: guard.allowCaller }, async () => 'changed')
  const change = async (headers: Record<string, string>) =>
    (await http.inject({ method: 'POST', url: '/change', headers: { origin: 'https://evil.example', ...headers } })).statusCode
  expect(await change({ cookie: 'simpleia_token=a.b.c' })).toBe(403)
  expect(await change(bearer('a.b.c'))).toBe(200)
  await http.close()
})

test('a route for users that was mounted without the guard answers nobody', async () => {
  const http = fastify()
  http.decorateRequest('caller')
  http.get('/mine', async (request) => userOf(request))
  expect((await http.inject('/mine')).statusCode).toBe(500)
  await http.close()
})

test('no password, hash or token appears in a log line or in any answer but that of the login', async () => {
  const world = await open()
  const canary = 'canary-Passw0rd-4711'
  await world.register('admin', canary)
  const token = await world.tokenFor('admin', canary)
  const headers = bearer(token)
  const answers = [
    await world.register('bob', canary),
    await world.register('bob', canary),
    await world.login('bob', `${canary}-wrong`),
    await world.post('/auth/login', { username: 'bob', password: canary, extra: 1 }),
    await world.post('/auth/register', { username: 'eve', password: canary.slice(0, 7), note: canary }),
    await world.post('/auth/password', { current_password: `${canary}x`, new_password: canary }, headers),
    await world.me(token),
    await world.http.inject({ url: '/admin/users', headers }),
    await world.http.inject({ url: '/auth/me?access_token=a.b.c', headers: { upgrade: 'websocket' } }),
    await world.http.inject({
      method: 'POST',
      url: '/auth/login',
      payload: `{"password":"${canary}"`,
      headers: { 'content-type': 'application/json' },
    }),
  ]
  const { passwordHash } = await world.db.selectFrom('users').select('passwordHash').executeTakeFirstOrThrow()
  const seen = [...answers.map((answer) => answer.body + JSON.stringify(answer.headers)), ...world.logLines].join('\n')
  for (const secret of [canary, canary.slice(0, 7), passwordHash, '$argon2id$', token, 'access_token=a.b.c'])
    expect(seen).not.toContain(secret)
  expect(world.logLines.length).toBeGreaterThan(5)
})

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0
}
