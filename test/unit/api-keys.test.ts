import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isApiKey } from '../../src/auth/api-keys.ts'
import { bearer, openWorld, type World } from '../fakes-storage.ts'
import { refuseWrites } from '../refuse-writes.ts'

type Made = Readonly<{ id: string; key: string; prefix: string; last_four: string; scopes: string[]; expires_at: string | null }>

let world: World
let admin: Awaited<ReturnType<World['join']>>
let ana: Awaited<ReturnType<World['join']>>

beforeEach(async () => {
  world = await openWorld({ allowAnonymous: true })
  admin = await world.join('admin')
  ana = await world.join('ana')
})
afterEach(() => world.close())

async function make(body: object = {}, headers = ana.headers): Promise<Made> {
  const answer = await world.post('/auth/keys', { name: 'mine', ...body }, headers)
  expect({ status: answer.statusCode, body: answer.json() }).toMatchObject({ status: 201 })
  return answer.json<Made>()
}

const get = (url: string, headers: Record<string, string>) => world.http.inject({ url, headers })
const remove = (url: string, headers: Record<string, string>) => world.http.inject({ method: 'DELETE', url, headers })
const statusOf = async (key: string, url = '/probe') => (await get(url, bearer(key))).statusCode

describe('a key', () => {
  test('is shown once, and works from then on for who made it', async () => {
    const answer = await world.post('/auth/keys', { name: ' my script ' }, ana.headers)
    expect([answer.statusCode, answer.headers['cache-control']]).toEqual([201, 'private, no-store'])
    const { key, id } = answer.json<Made>()
    expect(answer.json()).toEqual({
      id,
      key: expect.stringMatching(/^sk-simpleia-[0-9a-f]{16}-[\w-]{43}$/),
      name: 'my script',
      prefix: `sk-simpleia-${id}`,
      last_four: key.slice(-4),
      scopes: ['inference'],
      quota: { requests_per_day: null, tokens_per_day: null, cost_per_day_usd: null },
      created_at: '2026-01-01T00:00:00.000Z',
      expires_at: null,
      last_used_at: null,
      usage_today: { requests: 0, prompt_tokens: 0, completion_tokens: 0, cost_usd: 0 },
    })
    expect((await get('/probe', bearer(key))).json()).toMatchObject({ id: ana.id, role: 'user', key: { id } })
    expect((await get('/auth/me', bearer(key))).json()).toEqual({ id: ana.id, username: 'ana', role: 'user' })
    const listed = await get('/auth/keys', ana.headers)
    expect(listed.json()).toMatchObject({ keys: [{ id, last_four: key.slice(-4) }] })
    expect(listed.body).not.toContain(key)
  })

  test('is not in the database, only the hash of its secret', async () => {
    const { id, key } = await make()
    const secret = key.slice(`sk-simpleia-${id}-`.length)
    const row = await world.db.selectFrom('apiKeys').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
    expect(row.secretHash).toBe(createHash('sha256').update(secret).digest('hex'))
    expect(JSON.stringify(row)).not.toContain(secret)
  })

  test('that was never made, or differs in one character, is a 401, where anonymous callers are welcome too', async () => {
    const { id, key } = await make()
    const other = await make()
    const secretOf = (made: Made) => made.key.slice(`sk-simpleia-${made.id}-`.length)
    const flipped = `${key.slice(0, 40)}${key[40] === 'A' ? 'B' : 'A'}${key.slice(41)}`
    const wrong = [flipped, `sk-simpleia-${id}-${secretOf(other)}`, `sk-simpleia-${'0'.repeat(16)}-${'A'.repeat(43)}`]
    for (const one of wrong) {
      const answer = await get('/probe', bearer(one))
      expect([answer.statusCode, answer.json()]).toMatchObject([401, { error: { code: 'unauthorized' } }])
      expect(answer.headers['www-authenticate']).toContain('Bearer')
      expect(answer.body).not.toContain(one)
    }
    expect(await statusOf(key)).toBe(200)
  })

  test('is compared in constant time', async () => {
    expect(await readFile('src/auth/api-keys.ts', 'utf8')).toMatch(
      /timingSafeEqual\(Buffer\.from\(one\), Buffer\.from\(other\)\)/,
    )
  })

  test('is no cookie', async () => {
    const { key } = await make()
    expect((await get('/probe', { cookie: `simpleia_token=${key}` })).json()).toEqual({ type: 'anonymous' })
  })

  test.each(['none', 'ollama', 'sk-none', 'sk-1234', 'sk-proj-abcdefghijklmnopqrstuvwxyz', 'sk-simpleia-x'])(
    'is not what clients send in its place: %s',
    async (placeholder) => {
      expect((await get('/probe', bearer(placeholder))).json()).toEqual({ type: 'anonymous' })
      expect(await world.apiKeys.findCaller(placeholder)).toBeUndefined()
    },
  )

  test('has exactly one shape', () => {
    const characters = (alphabet: string, length: number) =>
      fc.string({ unit: fc.constantFrom(...alphabet), minLength: length, maxLength: length })
    const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    fc.assert(
      fc.property(characters('0123456789abcdef', 16), characters(base64url, 43), fc.nat(70), (id, secret, at) => {
        const key = `sk-simpleia-${id}-${secret}`
        expect(isApiKey(key)).toBe(true)
        expect(isApiKey(key.slice(0, at))).toBe(false)
        expect(isApiKey(`${key}x`)).toBe(false)
        expect(isApiKey(`${key}\n`)).toBe(false)
        expect(isApiKey(`${key.slice(0, at)}!${key.slice(at + 1)}`)).toBe(false)
      }),
    )
    fc.assert(fc.property(fc.string(), (text) => !isApiKey(text)))
  })

  test('ends at the time that was set for it, on open connections too', async () => {
    const { key } = await make({ expires_at: '2026-01-01T02:00:00+01:00' })
    world.clock.ms += 3_599_999
    expect(await statusOf(key)).toBe(200)
    const caller = world.callers.at(-1) ?? { type: 'anonymous' }
    expect(await world.guard.isStillValid(caller)).toBe(true)
    world.clock.ms += 1
    expect(await statusOf(key)).toBe(401)
    expect(await world.guard.isStillValid(caller)).toBe(false)
  })

  test('ends when it is deleted, at once', async () => {
    const { id, key } = await make()
    expect(await statusOf(key)).toBe(200)
    const caller = world.callers.at(-1) ?? { type: 'anonymous' }
    expect((await remove(`/auth/keys/${id}`, ana.headers)).statusCode).toBe(204)
    expect([await statusOf(key), await world.guard.isStillValid(caller)]).toEqual([401, false])
    expect((await remove(`/auth/keys/${id}`, ana.headers)).statusCode).toBe(404)
  })

  test('ends with its user, and when its user is no admin any more', async () => {
    const change = (role: string) =>
      world.http.inject({ method: 'PATCH', url: `/admin/users/${ana.id}`, payload: { role }, headers: admin.headers })
    const first = await make()
    await change('admin')
    expect(await statusOf(first.key)).toBe(200)
    const second = await make({ scopes: ['admin'] }, bearer(await world.tokenFor('ana')))
    expect(await statusOf(second.key, '/feedback')).toBe(200)
    await change('user')
    expect([await statusOf(first.key), await statusOf(second.key, '/feedback')]).toEqual([401, 401])
    const third = await make({}, bearer(await world.tokenFor('ana')))
    await remove(`/admin/users/${ana.id}`, admin.headers)
    expect(await statusOf(third.key)).toBe(401)
    expect(await world.db.selectFrom('apiKeys').selectAll().execute()).toEqual([])
  })

  test('knows its last use to the minute', async () => {
    const { key } = await make()
    const lastUse = async () => (await world.db.selectFrom('apiKeys').select('lastUsedAt').executeTakeFirstOrThrow()).lastUsedAt
    const seen = [await lastUse()]
    for (const passed of [0, 30_000, 29_999, 1]) {
      world.clock.ms += passed
      await statusOf(key)
      seen.push(await lastUse())
    }
    const [first, next] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z']
    expect(seen).toEqual([null, first, first, first, next])
  })
})

test('a key lets in where its use cannot be noted', async () => {
  const { key } = await make()
  const allow = await refuseWrites(world.db, { table: 'api_keys', event: 'update' })
  expect(await statusOf(key)).toBe(200)
  await allow()
  expect(await world.db.selectFrom('apiKeys').select('lastUsedAt').execute()).toEqual([{ lastUsedAt: null }])
})

describe('making a key', () => {
  test.each([
    [{}, 'name'],
    [{ name: '  ' }, 'name'],
    [{ name: 'x', scopes: [] }, 'scopes'],
    [{ name: 'x', scopes: ['everything'] }, 'scopes'],
    [{ name: 'x', expires_at: 'tomorrow' }, 'expires_at'],
    [{ name: 'x', expires_at: '2026-01-01T00:00:00Z' }, 'expires_at'],
    [{ name: 'x', expires_at: '2026-12-31T23:59:60Z' }, 'expires_at'],
    [{ name: 'x', quota: { requests_per_day: 0 } }, 'quota.requests_per_day'],
    [{ name: 'x', quota: { requests: 5 } }, 'quota.requests'],
    [{ name: 'x', user_id: 'someone' }, 'user_id'],
  ])('with %j is refused with the field', async (body, field) => {
    const answer = await world.post('/auth/keys', body, ana.headers)
    expect(answer.statusCode).toBe(400)
    expect(answer.json<{ error: { details: { field: string }[] } }>().error.details[0]?.field).toContain(field)
  })

  test('with the scope admin is for admins', async () => {
    expect((await world.post('/auth/keys', { name: 'x', scopes: ['admin'] }, ana.headers)).statusCode).toBe(403)
    const { key } = await make({ scopes: ['admin'] }, admin.headers)
    expect(await statusOf(key, '/feedback')).toBe(200)
  })

  test('has an end: fifty a user, also when they come at the same time', async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, number) => world.post('/auth/keys', { name: `${number}` }, ana.headers)),
    )
    expect(answers.filter(({ statusCode }) => statusCode === 201)).toHaveLength(50)
    expect(answers.filter(({ statusCode }) => statusCode === 409)).toHaveLength(10)
  })
})

describe('keys of others', () => {
  test('are shown to nobody but admins, who may delete them; page by page, and without what is secret', async () => {
    const made = [await make(), await make({ name: 'second' }), await make({ name: 'of admin' }, admin.headers)]
    expect((await get('/auth/keys', admin.headers)).json()).toMatchObject({ keys: [{ name: 'of admin' }] })
    expect((await get('/admin/keys', ana.headers)).statusCode).toBe(403)
    const first = await get('/admin/keys?limit=2', admin.headers)
    const cursor = first.json<{ next_cursor: string }>().next_cursor
    const second = await get(`/admin/keys?limit=2&cursor=${cursor}`, admin.headers)
    const items = [first, second].flatMap((page) => page.json<{ items: { id: string; user: object }[] }>().items)
    expect(items.map(({ id }) => id).sort()).toEqual(made.map(({ id }) => id).sort())
    expect(items).toContainEqual(expect.objectContaining({ user: { id: ana.id, username: 'ana' } }))
    for (const { key } of made) expect(first.body + second.body).not.toContain(key.slice(-20))
    const own = (await get(`/admin/keys?user_id=${ana.id}`, admin.headers)).json<{ items: object[] }>()
    expect(own.items).toHaveLength(2)
    expect((await remove(`/admin/keys/${made[0]?.id}`, ana.headers)).statusCode).toBe(403)
    expect((await remove(`/admin/keys/${made[0]?.id}`, admin.headers)).statusCode).toBe(204)
    expect(await statusOf(made[0]?.key ?? '')).toBe(401)
    expect((await get('/admin/keys?cursor=nonsense', admin.headers)).statusCode).toBe(400)
  })
})

test('a key makes, lists and deletes no keys, and changes no password, role or quota, not even that of an admin', async () => {
  const { id, key } = await make({ scopes: ['inference', 'documents', 'feedback', 'metrics', 'admin'] }, admin.headers)
  const headers = bearer(key)
  const answers = [
    await world.post('/auth/keys', { name: 'x' }, headers),
    await get('/auth/keys', headers),
    await remove(`/auth/keys/${id}`, headers),
    await get('/admin/keys', headers),
    await remove(`/admin/keys/${id}`, headers),
    await world.post('/auth/password', { current_password: 'x', new_password: 'another password' }, headers),
    await world.post('/auth/logout', {}, headers),
    await world.post('/admin/users', { username: 'eve', password: 'another password', role: 'admin' }, headers),
    await world.http.inject({ method: 'PATCH', url: `/admin/users/${ana.id}`, payload: { role: 'admin' }, headers }),
  ]
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 403))
  for (const answer of answers) expect(answer.body).toContain('log in')
})
