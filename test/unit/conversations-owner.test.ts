import cookie from '@fastify/cookie'
import { fastify } from 'fastify'
import { expect, test } from 'vitest'
import type { Caller } from '../../src/auth/guard.ts'
import { createOwners } from '../../src/conversations/owner.ts'

async function openWorld(production: boolean, caller: Caller = { type: 'anonymous' }) {
  const owners = createOwners({ production })
  const http = fastify()
  await http.register(cookie)
  http.addHook('onRequest', async (request) => {
    request.caller = caller
  })
  http.get('/find', async (request) => ({ owner: owners.find(request) ?? null }))
  http.get('/keep', async (request, reply) => ({ owner: owners.findAndKeep(request, reply) ?? null }))
  http.get('/open', async (request, reply) => ({ owner: owners.open(request, reply) }))
  const name = production ? '__Host-simpleia_visitor' : 'simpleia_visitor'
  return {
    ...{ http, name },
    get: (url: string, visitor?: string) =>
      http.inject({ url, ...(visitor === undefined ? {} : { cookies: { [name]: visitor } }) }),
  }
}

test('a browser is known by a cookie out of reach of scripts and other sites, Secure in production, of which a checksum is kept', async () => {
  for (const production of [true, false]) {
    const { get, name } = await openWorld(production)
    const opened = await get('/open')
    const [given] = opened.cookies
    expect(given).toMatchObject({ name, httpOnly: true, sameSite: 'Lax', path: '/' })
    expect(given?.secure ?? false).toBe(production)
    const { owner } = opened.json()
    expect(owner).toEqual({ column: 'visitor', value: expect.stringMatching(/^[0-9a-f]{64}$/) })
    expect(opened.body).not.toContain(given?.value)
    expect((await get('/find', given?.value)).json()).toEqual({ owner })
    const again = await get('/open', given?.value)
    expect([again.json(), again.cookies[0]?.value]).toEqual([{ owner }, given?.value])
  }
})

test('whoever has no cookie, or one that is not ours, has nothing', async () => {
  const { get } = await openWorld(false)
  for (const visitor of [undefined, '', 'short', 'x'.repeat(44), `${'x'.repeat(42)} `])
    expect((await get('/find', visitor)).json()).toEqual({ owner: null })
  expect((await get('/open', 'short')).cookies[0]?.value).toHaveLength(43)
})

test('a user is known by their account, whatever their browser holds, and gets no cookie', async () => {
  const { get } = await openWorld(false, { type: 'user', id: 'ana', username: 'ana', role: 'user' })
  const opened = await get('/open', 'x'.repeat(43))
  expect([opened.json(), opened.cookies]).toEqual([{ owner: { column: 'ownerId', value: 'ana' } }, []])
})

test('who goes on with a conversation keeps it for longer, and who has none gets nothing', async () => {
  const { get } = await openWorld(false)
  const visitor = 'x'.repeat(43)
  const kept = await get('/keep', visitor)
  expect([kept.json(), kept.cookies]).toMatchObject([
    { owner: { column: 'visitor' } },
    [{ value: visitor, maxAge: 400 * 24 * 60 * 60 }],
  ])
  expect((await get('/keep')).cookies).toEqual([])
})
