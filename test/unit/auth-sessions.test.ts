import { afterEach, beforeEach, expect, test } from 'vitest'
import { bearer, openWorld, password, type World } from '../fakes-storage.ts'

type Listed = Readonly<{ id: string; agent: string | null; created_at: string; expires_at: string; current: boolean }>

let world: World
let ana: Awaited<ReturnType<World['join']>>

beforeEach(async () => {
  world = await openWorld()
  ana = await world.join('ana')
})
afterEach(() => world.close())

async function login(agent: string, username = 'ana'): Promise<string> {
  const answer = await world.post('/auth/login', { username, password }, { 'user-agent': agent })
  return answer.json<{ access_token: string }>().access_token
}

async function list(token: string): Promise<readonly Listed[]> {
  const answer = await world.http.inject({ url: '/auth/sessions', headers: bearer(token) })
  expect(answer.headers['cache-control']).toBe('no-store')
  return answer.json<{ sessions: readonly Listed[] }>().sessions
}

const remove = async (token: string, path = '') =>
  (await world.http.inject({ method: 'DELETE', url: `/auth/sessions${path}`, headers: bearer(token) })).statusCode
const isAlive = async (token: string) => (await world.me(token)).statusCode === 200

test('users see where they are logged in, with time and client, and which login asks; of others they see none', async () => {
  world.clock.ms += 60_000
  const phone = await login('Phone/1.0')
  await world.join('bea')
  expect(await list(phone)).toEqual([
    {
      id: expect.any(String),
      agent: 'Phone/1.0',
      created_at: '2026-01-01T00:01:00.000Z',
      expires_at: '2026-01-01T01:01:00.000Z',
      current: true,
    },
    expect.objectContaining({ agent: 'lightMyRequest', created_at: '2026-01-01T00:00:00.000Z', current: false }),
  ])
  expect((await list(ana.token)).map(({ current }) => current)).toEqual([false, true])
})

test('one that is ended is dead at once; those of others cannot be, nor what is none', async () => {
  const [phone, hers] = [await login('Phone/1.0'), (await world.join('bea')).token]
  const idOf = async (token: string) => (await list(token)).find(({ current }) => current)?.id
  expect(await remove(ana.token, `/${await idOf(hers)}`)).toBe(404)
  expect(await remove(ana.token, '/nothing')).toBe(404)
  expect(await remove(ana.token, `/${await idOf(phone)}`)).toBe(204)
  expect([await isAlive(ana.token), await isAlive(phone), await isAlive(hers)]).toEqual([true, false, true])
  expect(await list(ana.token)).toHaveLength(1)
})

test('all others are ended at once, and nobody else’s', async () => {
  const others = [await login('one'), await login('two')]
  const hers = (await world.join('bea')).token
  expect(await remove(ana.token)).toBe(204)
  expect(await Promise.all([ana.token, ...others, hers].map(isAlive))).toEqual([true, false, false, true])
  expect(await list(ana.token)).toHaveLength(1)
})

test('what has ended in another way is not listed: by logout, by its time, by a new password, by an admin', async () => {
  const gone = await login('gone')
  await world.post('/auth/logout', {}, bearer(gone))
  expect(await list(ana.token)).toHaveLength(1)
  world.clock.ms += 3_599_000
  const later = await login('later')
  world.clock.ms += 2000
  expect((await list(later)).map(({ agent }) => agent)).toEqual(['later'])
  await world.post('/auth/password', { current_password: password, new_password: 'another long one' }, bearer(later))
  const next = await world.tokenFor('ana', 'another long one')
  expect(await list(next)).toHaveLength(1)
  await world.users.endSessions(ana.id)
  expect(await list(await world.tokenFor('ana', 'another long one'))).toHaveLength(1)
})

test('a client may call itself what it likes, or nothing: it is kept short', async () => {
  const loud = await login('x'.repeat(5000))
  expect((await list(loud)).find(({ current }) => current)?.agent).toBe('x'.repeat(300))
})

test('logins that are over are not kept', async () => {
  world.clock.ms += 3_600_000
  await login('new')
  expect(await world.db.selectFrom('sessions').select('agent').execute()).toEqual([{ agent: 'new' }])
})
