import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer, type TestServer } from '../server.ts'

const friend = 'http://friend.example'
const foreign = [
  'http://evil.example',
  'null',
  'http://localhost.evil.com',
  'http://127.0.0.1:1',
  'https://friend.example',
  'file://',
]
let server: TestServer
beforeAll(async () => {
  server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }),
    settings: { CORS_ORIGINS: friend },
  })
})
afterAll(() => server[Symbol.asyncDispose]())

/** With the headers as they stand: fetch does not let one set Host. */
function send(method: string, path: string, headers: Record<string, string>, body = '') {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const sent = request({ port: server.port, host: '127.0.0.1', method, path, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

describe.each(foreign)('a page of %s', (origin) => {
  test('may not ask the model, in whatever way a form or a script can', async () => {
    const types = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']
    for (const type of types) {
      for (const cookie of ['', 'simpleia_token=a.b.c']) {
        const answer = await send('POST', '/predict', { origin, 'content-type': type, cookie }, '{"prompt":"x"}')
        expect(answer.status).toBe(403)
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
      }
    }
  })

  test('is not told that it might', async () => {
    const preflight = await send('OPTIONS', '/predict', { origin, 'access-control-request-method': 'POST' })
    expect(preflight.headers).not.toHaveProperty('access-control-allow-origin')
    const read = await send('GET', '/model', { origin })
    expect(read.headers).not.toHaveProperty('access-control-allow-origin')
  })
})

test('an allowed page may, by its own name and with credentials', async () => {
  const headers = { origin: friend, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
  const preflight = await send('OPTIONS', '/predict', headers)
  expect(preflight.status).toBe(204)
  expect(preflight.headers).toMatchObject({
    'access-control-allow-origin': friend,
    'access-control-allow-credentials': 'true',
    vary: expect.stringContaining('Origin'),
  })
  const answer = await send('POST', '/predict', { origin: friend, 'content-type': 'application/json' }, '{"prompt":"x"}')
  expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, friend])
})

test('a form is understood by the login alone', async () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  expect((await send('POST', '/predict', form, 'prompt=x')).status).toBe(400)
  expect((await send('POST', '/auth/login', form, 'username=nobody&password=not-the-password')).status).toBe(401)
})

describe('the Host header', () => {
  test.each(['evil.example', 'localhost.evil.com', 'evil.example:8000', '127.0.0.1.evil.com', 'a b', '0.0.0.0'])(
    'refuses "%s" on loopback, on every route',
    async (host) => {
      for (const path of ['/predict', '/health', '/docs', '/nowhere']) {
        const answer = await send('GET', path, { host })
        expect(answer.status).toBe(403)
        expect(answer.headers).toMatchObject({ 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff' })
      }
    },
  )

  test.each(['localhost', '127.0.0.1', '[::1]', 'LOCALHOST:8000', 'friend.example'])('takes "%s"', async (host) => {
    expect((await send('GET', '/health', { host })).status).toBe(200)
  })

  const reachable = { HOST: '0.0.0.0', SECRET_KEY: 'Zq8vN2kLx7RtY4wBs9HdPf3MgJc6TaUe' }
  async function statusesOf(settings: Record<string, string>, headers: Record<string, string>, hosts: readonly string[]) {
    const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }) })
    await using open = await startServer({ host, settings: { ...reachable, ...settings } })
    const ask = (name: string) =>
      open.app.http.inject({ url: '/health', headers: { ...headers, host: name }, remoteAddress: '10.1.2.3' })
    return Promise.all(hosts.map(async (name) => `${name} ${(await ask(name)).statusCode}`))
  }
  const strange = ['service.example', 'a.nip.io', 'service.local.evil.com', 'localhost.evil.com']

  test('is an address, or a name that no page of the internet can have, where other machines reach the service', async () => {
    const own = ['10.0.0.5:8000', '[fd00::1]', 'server', 'server.local:8000', 'api.simpleia.svc.cluster.local', 'localhost']
    expect(await statusesOf({}, {}, own)).toEqual(own.map((name) => `${name} 200`))
    expect(await statusesOf({}, {}, strange)).toEqual(strange.map((name) => `${name} 403`))
  })

  test('is one that the operator names', async () => {
    const settings = { ALLOWED_HOSTS: 'service.example,a.nip.io' }
    expect(await statusesOf(settings, {}, strange)).toEqual(strange.map((name, index) => `${name} ${index < 2 ? 200 : 403}`))
  })

  test('is each name with one part in place of a star, and no other', async () => {
    const settings = { ALLOWED_HOSTS: '*.service.example,*.0.example' }
    const good = ['ana.service.example', 'BEA.Service.example:8000', '127.0.example']
    const bad = ['service.example', 'a.b.service.example', 'service.example.evil.com', 'evilservice.example', '.service.example']
    expect(await statusesOf(settings, {}, good)).toEqual(good.map((name) => `${name} 200`))
    expect(await statusesOf(settings, {}, bad)).toEqual(bad.map((name) => `${name} 403`))
  })

  test('is what a trusted proxy passes on, unless the operator names all of them', async () => {
    const forwarded = { 'x-forwarded-for': '192.0.2.1' }
    const trusted = { TRUST_PROXY: '10.0.0.0/8' }
    expect(await statusesOf(trusted, forwarded, strange)).toEqual(strange.map((name) => `${name} 200`))
    expect(await statusesOf(trusted, {}, strange)).toEqual(strange.map((name) => `${name} 403`))
    expect(await statusesOf({}, forwarded, strange)).toEqual(strange.map((name) => `${name} 403`))
    expect(await statusesOf({ ...trusted, ALLOWED_HOSTS: 'ai.example' }, forwarded, strange)).toEqual(
      strange.map((name) => `${name} 403`),
    )
  })

  test('of a browser on this machine is not believed because it says that it asks for somebody', async () => {
    const local = { HOST: '127.0.0.1', TRUST_PROXY: '10.0.0.0/8,127.0.0.1' }
    expect(await statusesOf(local, { 'x-forwarded-for': '192.0.2.1' }, strange)).toEqual(strange.map((name) => `${name} 403`))
  })
})
