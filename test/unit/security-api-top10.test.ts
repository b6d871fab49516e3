import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { says, streams } from '../cloud-server.ts'
import { asks } from '../dialects.ts'
import { sampleOf } from '../json-sample.ts'
import { openSecurityWorld, readOperations, sendRaw } from '../security-world.ts'
import { modelOf, startServiceWorld } from '../service-world.ts'

// One test at least for each row of the OWASP API Security Top 10 (2023), through HTTP, on the whole service. What is tried route by route
// in files of its own (ownership, key-scopes, http-guard, auth-tokens, rate-limit) is not repeated here.

const secretKey = 'Zq8vN2kLx7RtY4wBs9HdPf3MgJc6TaUe'

describe('API1:2023 broken object level authorization', () => {
  test('words, exports and restores reach no conversation of another user or visitor, nor do its ids', async () => {
    const world = await openSecurityWorld()
    const [root, ana, bea] = [await world.as('root'), await world.as('ana'), await world.as('bea')]
    const made = await ana('POST', '/conversations', { title: 'the heron' })
    const id = idOf(made.body)
    await ana('POST', `/conversations/${id}/messages`, { parent_id: null, role: 'user', content: 'a kingfisher at noon' })
    for (const other of [root, bea, world.nobody]) {
      for (const word of ['kingfisher', 'heron'])
        expect((await other('GET', `/conversations?search=${word}`)).body).toMatchObject({ items: [] })
      expect((await other('GET', '/conversations/export')).text).toBe('')
      expect((await other('GET', `/conversations/${id}/export?format=markdown`)).status).toBe(404)
      expect((await other('PATCH', `/conversations/${id}`, { title: 'mine' })).status).toBe(404)
    }
    await ana('DELETE', `/conversations/${id}`)
    for (const other of [root, bea, world.nobody]) expect((await other('POST', `/conversations/${id}/restore`)).status).toBe(404)
    expect((await ana('POST', `/conversations/${id}/restore`)).body).toMatchObject({ title: 'the heron', messages: 1 })
  })
})

describe('API2:2023 broken authentication', () => {
  test('a token that somebody else made, changed or kept too long opens nothing', async () => {
    const world = await openSecurityWorld({ settings: { SECRET_KEY: secretKey } })
    const token = await world.server.login('root')
    const [head = '', claims = '', signature = ''] = token.split('.')
    const read = JSON.parse(Buffer.from(claims, 'base64url').toString())
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const signed = (header: object, payload: object, key = secretKey, hash = 'sha256') => {
      const text = `${encode(header)}.${encode(payload)}`
      return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`
    }
    const usual = { alg: 'HS256', typ: 'JWT' }
    expect((await world.withToken(signed(usual, read))('GET', '/auth/me')).status).toBe(200)
    const forged = [
      `${encode({ alg: 'none', typ: 'JWT' })}.${claims}.`,
      `${head}.${claims}.`,
      `${head}.${encode({ ...read, sub: 'somebody' })}.${signature}`,
      signed(usual, read, 'changeme'),
      signed({ alg: 'HS512', typ: 'JWT' }, read, secretKey, 'sha512'),
      signed({ ...usual, kid: '../../dev/null' }, read),
      signed({ ...usual, jwk: { kty: 'oct', k: '' } }, read),
      signed(usual, { ...read, exp: 1e20 }),
      signed(usual, { ...read, nbf: Date.now() / 1000 + 3600 }),
      signed(usual, { ...read, iss: 'elsewhere' }),
      signed(usual, { ...read, generation: 1 }),
    ]
    for (const one of forged)
      expect({ one, status: (await world.withToken(one)('GET', '/auth/me')).status }).toMatchObject({ status: 401 })
  })

  test('each login gives a token of its own, and a guessed password is refused when it is chosen', async () => {
    const world = await openSecurityWorld()
    const [one, other] = [await world.server.login('root'), await world.server.login('root')]
    expect(one).not.toBe(other)
    expect((await world.withToken(one)('POST', '/auth/logout')).status).toBe(204)
    expect((await world.withToken(one)('GET', '/auth/me')).status).toBe(401)
    expect((await world.withToken(other)('GET', '/auth/me')).status).toBe(200)
    for (const password of ['password1', 'Qwertyuiop', 'SimpleIA!', 'carmen2024'])
      expect((await world.nobody('POST', '/auth/register', { username: 'carmen', password })).body).toMatchObject({
        error: { code: 'invalid', details: [{ field: 'password' }] },
      })
  })
})

describe('API3:2023 broken object property level authorization', () => {
  const fields = ['role', 'is_admin', 'owner_id', 'user_id', 'token_generation', 'constructor']

  test('no body of JSON takes a field that its schema does not know', async () => {
    const world = await openSecurityWorld()
    const root = await world.as('root')
    const operations = (await readOperations(world.server)).filter(({ body }) => body?.type === 'object')
    expect(operations.length).toBeGreaterThan(30)
    const taken: string[] = []
    for (const [index, { method, path, body = {} }] of operations.entries()) {
      const sample = JSON.stringify(sampleOf(body)).slice(1)
      const unknown = fields.filter((field) => !Object.hasOwn(body.properties ?? {}, field))
      for (const field of [unknown[index % unknown.length], '__proto__']) {
        const text = `{${JSON.stringify(field)}:"admin"${sample === '}' ? '' : ','}${sample}`
        const { status } = await root(method, path.replaceAll(/\{[^}]+\}/g, 'sample'), text)
        // Before anything is looked for: neither 404 nor 409.
        if (status !== 400) taken.push(`${method} ${path} ${field}: ${status}`)
      }
    }
    expect(taken).toEqual([])
    expect(Object.hasOwn(Object.prototype, 'role')).toBe(false)
  })

  test('no answer about users, keys or collections holds what is kept of them besides', async () => {
    const world = await openSecurityWorld()
    const root = await world.as('root')
    await root('POST', '/auth/keys', { name: 'a key' })
    await root('POST', '/embed/add', { documents: ['a text'] })
    const answers = ['/auth/me', '/auth/keys', '/admin/users', '/admin/keys', '/embed/collections', '/auth/usage', '/admin/audit']
    for (const path of answers) {
      const { status, text } = await root('GET', path)
      expect({ path, status }).toEqual({ path, status: 200 })
      expect(text).not.toMatch(/hash|argon2|generation|username_?key|secret|"key":|vector"/i)
    }
  })
})

describe('API4:2023 unrestricted resource consumption', () => {
  test('what is too large, too deep or too much is refused before it costs anything', async () => {
    const world = await openSecurityWorld({ settings: { MAX_BODY_BYTES: '10000', KEPT_BYTES_PER_DAY: '20000' } })
    const ana = await world.as('ana')
    expect((await ana('POST', '/predict', { prompt: 'x'.repeat(10_000) })).status).toBe(413)
    expect((await ana('POST', '/predict', `{"prompt":"x","json_schema":${'{"a":'.repeat(400)}1${'}'.repeat(400)}}`)).status).toBe(
      400,
    )
    const add = () => ana('POST', '/embed/add', { documents: ['x'.repeat(8000)] })
    expect([(await add()).status, (await add()).status]).toEqual([200, 200])
    const refused = await add()
    expect(refused.body).toMatchObject({ error: { code: 'quota_exceeded' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    // Reading goes on, and so do others.
    expect((await ana('GET', '/embed/stats')).status).toBe(200)
    expect((await (await world.as('bea'))('POST', '/embed/add', { documents: ['x'] })).status).toBe(200)
  })

  test('who has shown nothing has little read', async () => {
    const world = await openSecurityWorld({ settings: { ALLOW_ANONYMOUS: 'false' } })
    const body = { username: 'ana', password: 'a password nobody guesses', scope: 'x'.repeat(70_000) }
    for (const path of ['/auth/login', '/auth/register']) expect((await world.nobody('POST', path, body)).status).toBe(413)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await sendRaw(world.server, 'POST', '/auth/login', form, `username=ana&password=${'x'.repeat(70_000)}`)).status).toBe(
      413,
    )
    // Elsewhere the guard answers before the body is read.
    expect((await world.nobody('POST', '/predict', { prompt: 'x'.repeat(1_000_000) })).status).toBe(401)
  })

  test('visitors share what their address may hand in, however many cookies they throw away', async () => {
    const world = await openSecurityWorld({ settings: { KEPT_BYTES_PER_DAY: '2000' } })
    const begin = () => world.nobody('POST', '/conversations', { title: 'x'.repeat(150) })
    const statuses: number[] = []
    for (let times = 0; times < 14; times += 1) statuses.push((await begin()).status)
    expect(statuses[0]).toBe(201)
    expect(statuses.at(-1)).toBe(429)
  })

  test('each list has a bound on what it gives at once', async () => {
    const world = await openSecurityWorld()
    const limits = (await readOperations(world.server)).filter(({ query }) => 'limit' in query)
    expect(limits.length).toBeGreaterThan(8)
    const unbounded = limits.filter(({ path, query }) => !path.startsWith('/v1/') && query.limit?.maximum === undefined)
    expect(unbounded.map(({ path }) => path)).toEqual([])
  })
})

describe('API5:2023 broken function level authorization', () => {
  test('each route of admins is closed to users and to nobody, whatever the method says', async () => {
    const world = await openSecurityWorld()
    await world.as('root')
    const ana = await world.as('ana')
    const routes = world.server.app.routes.filter(({ scope }) => scope === 'admin')
    expect(routes.length).toBeGreaterThan(30)
    for (const { method, url } of routes) {
      const path = url.replaceAll(/:\w+|\*/g, 'sample')
      const body = method === 'GET' ? undefined : {}
      expect({ method, path, status: (await ana(method, path, body)).status }).toMatchObject({ status: 403 })
      expect({ method, path, status: (await world.nobody(method, path, body)).status }).toMatchObject({ status: 401 })
      const overridden = await ana(method === 'GET' ? 'GET' : 'POST', path, body, {
        'x-http-method-override': method,
        'x-original-url': '/health',
      })
      expect(overridden.status).toBeOneOf([403, 404])
    }
  })
})

describe('API6:2023 unrestricted access to sensitive business flows', () => {
  test('passwords are not guessed by the hundred, whatever is said of where the guesses come from', async () => {
    const world = await openSecurityWorld()
    await world.as('ana')
    const guess = (index: number) =>
      world.nobody(
        'POST',
        '/auth/login',
        { username: ['ana', 'ANA', 'ａna'][index % 3], password: `guess ${index}` },
        {
          'x-forwarded-for': `192.0.2.${index}`,
          'x-real-ip': `192.0.2.${index}`,
          forwarded: `for=192.0.2.${index}`,
        },
      )
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => guess(index)))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([...Array(5).fill(401), ...Array(7).fill(429)])
    expect(answers.find(({ status }) => status === 429)?.headers.get('retry-after')).toMatch(/^\d+$/)
  })

  test('of many who come first at once, one becomes the admin', async () => {
    const world = await openSecurityWorld()
    const register = (index: number) =>
      world.nobody('POST', '/auth/register', { username: `user-${index}`, password: 'a password nobody guesses' })
    const answers = await Promise.all(Array.from({ length: 6 }, (_, index) => register(index)))
    expect(answers.filter(({ text }) => text.includes('"admin"'))).toHaveLength(1)
  })
})

describe('API7:2023 server side request forgery', () => {
  test('no way of writing an address leads the service inside its own network', async () => {
    const inside = createServer((socket) => socket.destroy())
    let connections = 0
    inside.on('connection', () => {
      connections += 1
    })
    inside.listen(0, '127.0.0.1')
    await once(inside, 'listening')
    onTestFinished(() => void inside.close())
    const { port } = inside.address() as AddressInfo
    const world = await openSecurityWorld()
    const ana = await world.as('ana')
    const hosts = [
      '127.0.0.1',
      'localhost',
      '127.1',
      '0x7f.1',
      '2130706433',
      '017700000001',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
    ]
    const others = [
      '0.0.0.0',
      '[::]',
      '[64:ff9b::7f00:1]',
      '169.254.169.254',
      '10.0.0.1',
      '[fd00::1]',
      '100.64.0.1',
      'user:pass@127.0.0.1',
    ]
    for (const host of [...hosts, ...others]) {
      const answer = await ana('POST', '/rag/documents', { url: `http://${host}:${port}/latest/meta-data` })
      expect({ host, status: answer.status }).toMatchObject({ status: 400 })
    }
    for (const url of ['file:///etc/passwd', 'gopher://127.0.0.1/x', 'data:text/plain,x', 'ftp://127.0.0.1/x'])
      expect((await ana('POST', '/rag/documents', { url })).status).toBe(400)
    expect(connections).toBe(0)
  })
})

describe('API8:2023 security misconfiguration', () => {
  test('each answer, a failure too, has the headers that protect a browser, and tells nothing of what runs', async () => {
    const world = await openSecurityWorld({ settings: { ENVIRONMENT: 'production', SECRET_KEY: secretKey } })
    for (const [method, path, body] of [
      ['GET', '/health', ''],
      ['GET', '/nowhere', ''],
      ['GET', '/auth/me', ''],
      ['POST', '/auth/login', '{'],
      ['TRACE', '/health', ''],
      ['GET', '/../../etc/passwd', ''],
      ['GET', '/%2e%2e/%2e%2e/etc/passwd', ''],
      ['GET', '/.git/config', ''],
      ['GET', '/.env', ''],
    ] as const) {
      const { headers, text, status } = await sendRaw(world.server, method, path, { 'content-type': 'application/json' }, body)
      expect({ path, status: status === 200 && path !== '/health' }).toEqual({ path, status: false })
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers).not.toHaveProperty('server')
      expect(headers).not.toHaveProperty('x-powered-by')
      expect(text).not.toMatch(/node_modules|\.ts:\d+|at \w+ \(|Fastify|root:x:/)
    }
    const { headers } = await sendRaw(world.server, 'GET', '/health')
    expect(String(headers['content-security-policy'])).toMatch(/^default-src 'self';(?!.*unsafe)/)
    expect(String(headers['strict-transport-security'])).toMatch(/max-age=(?:3153|3[2-9]|[4-9])\d+/)
  })

  test('a request whose length can be read in two ways is refused, and what it hides is not answered', async () => {
    const world = await openSecurityWorld()
    const lengths = [
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
      'Content-Length: 5\r\nContent-Length: 6',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
      'Transfer-Encoding : chunked',
      'Transfer-Encoding: xchunked',
    ]
    for (const length of lengths) {
      const socket = connect(world.server.port, '127.0.0.1')
      socket.end(
        `POST /predict HTTP/1.1\r\nHost: localhost\r\n${length}\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      )
      let answer = ''
      for await (const chunk of socket) answer += chunk
      expect({ length, statuses: answer.match(/HTTP\/1\.1 \d+/g) }).toEqual({ length, statuses: ['HTTP/1.1 400'] })
    }
  })

  test('what is kept is readable by the service alone', async () => {
    const world = await openSecurityWorld()
    const ana = await world.as('ana')
    await ana('POST', '/embed/add', { documents: ['a text'] })
    await ana('POST', '/embed/save', { name: 'mine' })
    const { dataDir } = world.server
    for (const file of ['secret-key', 'simpleia.db']) {
      const found = await stat(join(dataDir, file)).catch(() => undefined)
      if (found !== undefined) expect({ file, mode: found.mode & 0o077 }).toEqual({ file, mode: 0 })
    }
    expect((await stat(join(dataDir, 'secret-key'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(dataDir, 'snapshots'))).mode & 0o077).toBe(0)
  })

  test('a name that was made to point here opens nothing, in a network neither', async () => {
    const world = await openSecurityWorld({
      settings: { HOST: '0.0.0.0', SECRET_KEY: secretKey, ALLOW_ANONYMOUS: 'true', ALLOWED_HOSTS: 'ai.example.com' },
    })
    const statusOf = async (host: string, more = {}) => (await sendRaw(world.server, 'GET', '/health', { host, ...more })).status
    for (const host of ['evil.example', 'ai.example.com.evil.example', '192.168.1.5.nip.io'])
      expect({ host, status: await statusOf(host) }).toMatchObject({ status: 403 })
    expect(await statusOf('evil.example', { 'x-forwarded-for': '10.0.0.1', 'x-forwarded-host': 'ai.example.com' })).toBe(403)
    for (const host of [
      'ai.example.com',
      'AI.example.com:8000',
      '192.168.1.5:8000',
      '[fd00::1]',
      'server',
      'server.local',
      'localhost',
    ])
      expect({ host, status: await statusOf(host) }).toMatchObject({ status: 200 })
  })
})

describe('API9:2023 improper inventory management', () => {
  /** Reached by a browser or a socket, and told in words. */
  const untold = [
    /^\/$/,
    /^\/docs/,
    /^\/openapi\.json$/,
    /^\/predict\/ws$/,
    /^\/admin$/,
    /^\/metrics$/,
    /^\/(?:assets|icons)\//,
    /^\/[\w-]+\.(?:html|txt|svg|webmanifest|js)$/,
  ]

  test('every route that is there is described, with what it does, and the description names no other', async () => {
    const world = await openSecurityWorld()
    const operations = await readOperations(world.server)
    // The name of a model may hold slashes, so one route takes all that comes after it; the description tells its endpoints apart.
    const asMounted = (path: string) =>
      path.replace(/^(\/v1)?\/models\/\{name\}(\/(un)?load)?$/, '$1/models/*').replaceAll(/\{(\w+)\}/g, ':$1')
    const told = new Set(operations.map(({ method, path }) => `${method} ${asMounted(path)}`))
    const there = world.server.app.routes.map(({ method, url }) => ({ url, name: `${method} ${url}` }))
    const hidden = there.filter(({ name, url }) => !told.has(name) && !untold.some((pattern) => pattern.test(url)))
    expect(hidden.map(({ name }) => name)).toEqual([])
    expect(operations.filter(({ summary = '' }) => summary.length < 5)).toEqual([])
    const names = new Set(there.map(({ name }) => name))
    expect([...told].filter((name) => !names.has(name))).toEqual([])
    expect(there.filter(({ url }) => /debug|\/test|internal|actuator/i.test(url))).toEqual([])
  })
})

describe('API10:2023 unsafe consumption of APIs', () => {
  test('what a provider answers is read with care: no redirect is followed, no nonsense passed on, no size without end', async () => {
    const world = await startServiceWorld()
    const { openai, gpu } = world.clouds
    const model = `openai/${modelOf.openai}`
    const bad = [
      says(200, 'text/html', '<script>alert(1)</script>'),
      streams('data: {"choices":7}\n\n'),
      streams(`data: ${'x'.repeat(5 * 1024 * 1024)}`),
      says(200, 'application/json', '{"__proto__":{"polluted":true}}'),
    ]
    for (const script of bad) {
      openai.answer(script)
      const answer = await asks.chat(world, model)
      expect(answer.status).toBeOneOf([502, 503])
      expect(JSON.stringify(answer)).not.toContain('<script>')
    }
    const before = gpu.requests.length
    openai.answer((response) => void response.writeHead(307, { location: `${gpu.url}/v1/chat/completions` }).end())
    expect((await asks.chat(world, model)).status).toBeOneOf([502, 503])
    expect(gpu.requests).toHaveLength(before)
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  })
})

function idOf(body: unknown): string {
  return typeof body === 'object' && body !== null && 'id' in body ? String(body.id) : ''
}
