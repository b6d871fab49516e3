import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorCodes } from '../../src/errors.ts'
import { statusOf } from '../../src/http/error-reply.ts'
import { createSecurityHeaders } from '../../src/http/security-headers.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

const payloads = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><svg onload=alert(1)>',
  '</script><b>',
  '\u2028',
]
let server: TestServer
beforeAll(async () => {
  const host = createFakeEngine({ answer: (prompt) => ({ pieces: [prompt] }) })
  server = await startServer({ host, settings: { ALLOW_ANONYMOUS: 'true' } })
})
afterAll(() => server[Symbol.asyncDispose]())

describe('an error', () => {
  const cases: ReadonlyArray<readonly [string, string, RequestInit, number, string]> = [
    ['an unknown path', '/nowhere', {}, 404, 'not_found'],
    ['an unknown method', '/predict', { method: 'DELETE' }, 404, 'not_found'],
    ['a path that cannot be read', '/%zz', {}, 400, 'invalid'],
    ['a body that is no JSON', '/predict', json('{'), 400, 'invalid'],
    ['an empty body', '/predict', json(''), 400, 'invalid'],
    ['a poisoned body', '/predict', json('{"prompt":"x","__proto__":{"a":1}}'), 400, 'invalid'],
    ['a body that is too long', '/predict', json(JSON.stringify({ prompt: 'x'.repeat(9_000_000) })), 413, 'too_large'],
    ['another kind of body', '/predict', { method: 'POST', body: 'x', headers: { 'content-type': 'text/xml' } }, 400, 'invalid'],
    ['no right', '/admin/reload', { method: 'POST' }, 401, 'unauthorized'],
    ['a user route without a token', '/auth/me', {}, 401, 'unauthorized'],
    ['a socket without a handshake', '/predict/ws', {}, 400, 'invalid'],
  ]
  test.each(cases)('for %s has the common shape and says nothing of the inside', async (_what, path, init, status, code) => {
    const response = await fetch(server.url + path, init)
    const body = await response.text()
    expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/json; charset=utf-8'])
    expect(JSON.parse(body)).toEqual({ error: expect.objectContaining({ code, message: expect.stringMatching(/^\S.+\.$/) }) })
    expect(body).not.toMatch(/node_modules|FST_|\.ts:|at /)
    expect(response.headers.get('x-request-id')).toMatch(/^[\w.-]+$/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  })

  test('has a status for every code', () => {
    expect(Object.keys(statusOf).sort()).toEqual([...errorCodes].sort())
  })

  test('of what is not even HTTP has it, too', async () => {
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(server.port, '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'))
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('close', () => resolve(text))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toEqual({ error: { code: 'invalid', message: expect.any(String) } })
  })
})

function json(body: string): RequestInit {
  return { method: 'POST', body, headers: { 'content-type': 'application/json' } }
}

test('plain text, which any page may send, is no kind of body at all', async () => {
  const response = await fetch(`${server.url}/predict`, { method: 'POST', body: '{"prompt":"x"}' })
  expect((await bodyOf(response)).error.message).toContain('Content-Type')
})

describe('what a caller or the model wrote', () => {
  test.each(payloads)('comes back as JSON or an event stream that no browser takes for a page: %s', async (payload) => {
    const whole = await server.predict({ prompt: payload, temperature: 0 })
    expect(whole.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(whole.headers.get('x-content-type-options')).toBe('nosniff')
    expect((await bodyOf(whole)).choices[0]?.text).toBe(payload)
    expect((await server.stream({ prompt: payload })).text).toBe(payload)
  })

  test.each(payloads)('in the address or a field name stays data: %s', async (payload) => {
    const responses = [
      await fetch(`${server.url}/${encodeURIComponent(payload)}`),
      await fetch(`${server.url}/docs/${encodeURIComponent(payload)}`),
      await server.predict({ prompt: 'x', [payload]: 1 }),
      await server.predict({ prompt: 'x', model: payload }),
    ]
    for (const response of responses) {
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
      await response.arrayBuffer()
    }
  })

  test('would run in no page of ours: the policy allows nothing inline', async () => {
    for (const path of ['/health', '/docs', '/docs/static/index.html', '/nowhere']) {
      const policy = (await fetch(server.url + path)).headers.get('content-security-policy')
      expect(policy).toContain("default-src 'self'")
      expect(policy).toContain("object-src 'none'")
      expect(policy).not.toMatch(/unsafe|https?:|\*/)
    }
  })
})

test('browsers are told to stay with HTTPS in production only', () => {
  expect(createSecurityHeaders(true)).toHaveProperty('strict-transport-security')
  expect(createSecurityHeaders(false)).not.toHaveProperty('strict-transport-security')
})

describe('the request id', () => {
  const idOf = async (id: string) =>
    (await fetch(`${server.url}/health`, { headers: { 'x-request-id': id } })).headers.get('x-request-id')

  test('is the one that the caller sent, where it is harmless', async () => {
    expect(await idOf('trace-1.a_B')).toBe('trace-1.a_B')
  })

  test.each(['with space', '<b>', 'a'.repeat(65), '{"a":1}'])('is a new one instead of "%s"', async (id) => {
    expect(await idOf(id)).toMatch(/^[0-9a-f-]{36}$/)
  })
})

test.each([
  ['/predict/%ff', { error: { code: 'invalid', message: expect.any(String) } }],
  ['/v1/models/%ff', { error: { type: 'invalid_request_error', message: expect.any(String) } }],
  ['/v1/messages/%ff', { type: 'error', error: { type: 'invalid_request_error', message: expect.any(String) } }],
  ['/api/blobs/%ff', { error: expect.any(String) }],
])('an address that cannot be read is refused in the shape of its API: %s', async (path, body) => {
  const response = await fetch(server.url + path, { method: 'POST' })
  expect(response.status).toBe(400)
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect(await bodyOf<object>(response)).toMatchObject(body)
})

test('the page of the API description and its files are there, and need nothing from elsewhere', async () => {
  const page = await (await fetch(`${server.url}/docs/`)).text()
  const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => new URL(file ?? '', `${server.url}/docs/`))
  expect(files.length).toBeGreaterThan(3)
  for (const file of files) {
    expect(file.origin).toBe(server.url)
    expect((await fetch(file)).status).toBe(200)
  }
  expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|\son\w+=|<style/)
})

test('the API description has every public endpoint, and says 3.1', async () => {
  const { openapi, paths } = await bodyOf<{ openapi: string; paths: object }>(await fetch(`${server.url}/openapi.json`))
  expect(openapi).toBe('3.1.0')
  const expected = [
    '/health',
    '/health/ready',
    '/auth/login',
    '/predict',
    '/predict/ws',
    '/model',
    '/models',
    '/feedback',
    '/metrics',
  ]
  expect(Object.keys(paths)).toEqual(expect.arrayContaining(expected))
})
