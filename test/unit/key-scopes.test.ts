import { expect, test } from 'vitest'
import { type KeyScope, keyScopes } from '../../src/auth/key-scopes.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer } from '../server.ts'

type Api = Readonly<{ paths: Readonly<Record<string, Readonly<Record<string, object>>>> }>

/** Routes that nobody needs a key for. */
const open = ['GET /health', 'GET /health/ready', 'POST /auth/register', 'GET /auth/state', 'POST /auth/login']

/** What a key must have for each route; `any`: no more than be good; `none`: no key may. */
const changesModels = /^\/api\/(?:pull|delete|copy|create|push|blobs\/)/

function demandOf(method: string, path: string): KeyScope | 'any' | 'none' | undefined {
  const isRead = method === 'GET'
  if (path === '/metrics') return 'metrics'
  if (path.startsWith('/conversations') || path.startsWith('/presets')) return 'none'
  if (path === '/auth/me' || path === '/auth/usage') return 'any'
  if (path.startsWith('/auth/') || path.startsWith('/admin/users') || path.startsWith('/admin/keys')) return 'none'
  if (path === '/feedback') return isRead ? 'admin' : 'feedback'
  if (path === '/feedback/{id}') return 'feedback'
  if (path.startsWith('/predictions')) return 'none'
  if (['/admin/', '/datasets', '/training/', '/rollout'].some((start) => path.startsWith(start))) return 'admin'
  if (path === '/model' || path === '/models' || path === '/models/{name}/report') return isRead ? 'inference' : 'admin'
  if (path.startsWith('/models/') || path.startsWith('/training/')) return 'admin'
  if (path.startsWith('/api/') && changesModels.test(path)) return 'admin'
  if (path.startsWith('/predict') || path.startsWith('/v1/') || path.startsWith('/api/')) return 'inference'
  if (['/providers', '/embed/encode', '/embed/search', '/rag/query'].includes(path)) return 'inference'
  if (path.startsWith('/embed/') || path.startsWith('/rag/documents')) return 'documents'
  return undefined
}

async function openWorld() {
  const server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }) })
  const authorization = `Bearer ${await server.login('root')}`
  const json = { 'content-type': 'application/json' }
  const keys = new Map<KeyScope, string>()
  for (const scope of keyScopes) {
    const body = JSON.stringify({ name: scope, scopes: [scope] })
    const made = await fetch(`${server.url}/auth/keys`, { method: 'POST', headers: { ...json, authorization }, body })
    keys.set(scope, (await bodyOf<{ key: string }>(made)).key)
  }
  const { paths } = await bodyOf<Api>(await fetch(`${server.url}/openapi.json`))
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({ method: method.toUpperCase(), path })),
  )
  const call = (method: string, path: string, key: string) =>
    fetch(server.url + path.replace(/\{[^}]+\}/, 'sample'), {
      method,
      // From elsewhere: on this machine the metrics are open.
      headers: { ...json, authorization: `Bearer ${key}`, 'x-forwarded-for': '10.0.0.1' },
      ...(method === 'GET' || method === 'HEAD' ? {} : { body: '{' }),
    })
  return { routes, keys, call, server, [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

test('each route opens to the keys that have its scope, and to no others; a route that is new is closed until it is named', async () => {
  await using world = await openWorld()
  const guarded = world.routes.filter(({ method, path }) => !open.includes(`${method} ${path}`))
  expect(guarded.length).toBeGreaterThan(40)
  const wrong: unknown[] = []
  for (const { method, path } of guarded) {
    const demand = demandOf(method, path)
    for (const [scope, key] of world.keys) {
      const { status } = await world.call(method, path, key)
      const expected = demand === 'any' || demand === scope ? 'open' : 'closed'
      const got = status === 403 ? 'closed' : 'open'
      if (demand === undefined || status === 401 || got !== expected) wrong.push({ method, path, scope, demand, status })
    }
  }
  expect(wrong).toEqual([])
})

test('an unknown key is refused on every guarded route, in whatever dialect', async () => {
  await using world = await openWorld()
  const unknown = `sk-simpleia-${'0'.repeat(16)}-${'A'.repeat(43)}`
  for (const { method, path } of world.routes) {
    const { status } = await world.call(method, path, unknown)
    if (!open.includes(`${method} ${path}`)) expect({ method, path, status }).toMatchObject({ status: 401 })
  }
})

test('a key opens a WebSocket, and its end closes it', async () => {
  await using world = await openWorld()
  const { server } = world
  const headers = (scope: KeyScope) => ({ headers: { authorization: `Bearer ${world.keys.get(scope)}` } })
  await expect(server.socket(headers('feedback'))).rejects.toThrow('403')
  using socket = await server.socket(headers('inference'))
  socket.send({ prompt: 'x' })
  expect((await socket.answer()).at(-1)).toMatchObject({ type: 'done' })
  const token = { authorization: `Bearer ${await server.login('root')}` }
  const { keys } = await bodyOf<{ keys: { id: string; name: string }[] }>(
    await fetch(`${server.url}/auth/keys`, { headers: token }),
  )
  const id = keys.find(({ name }) => name === 'inference')?.id
  await fetch(`${server.url}/auth/keys/${id}`, { method: 'DELETE', headers: token })
  socket.send({ prompt: 'x' })
  expect(await socket.closed).toBe(1008)
})
