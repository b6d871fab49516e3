import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, joinTokens, startServer } from '../server.ts'

const echo = () => createFakeEngine({ answer: (prompt) => ({ pieces: [...`<${prompt}>`] }) })
const endless = () => createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), pauseMs: 1 })
const closed = { ALLOW_ANONYMOUS: 'false' }

describe('one socket', () => {
  test('carries several requests at once, told apart by request_id', async () => {
    await using server = await startServer({ host: echo() })
    using socket = await server.socket()
    for (const name of ['a', 'b', 'c']) socket.send({ prompt: name, request_id: name })
    const messages = []
    for (let done = 0; done < 3; ) {
      const message = await socket.next()
      messages.push(message ?? {})
      if (message?.type !== 'token') done += 1
    }
    for (const name of ['a', 'b', 'c']) expect(joinTokens(messages.filter((one) => one.request_id === name))).toBe(`<${name}>`)
  })

  test('refuses a second request under a name that is still at work', async () => {
    await using server = await startServer({ host: endless() })
    using socket = await server.socket()
    socket.send({ prompt: 'x', request_id: 'a' })
    await socket.next()
    socket.send({ prompt: 'x', request_id: 'a' })
    const messages = await socket.answer()
    expect(messages.at(-1)).toMatchObject({ type: 'error', request_id: 'a', error: { code: 'conflict' } })
  })

  test('says busy beyond sixteen requests at once', async () => {
    await using server = await startServer({ host: endless() })
    using socket = await server.socket()
    for (let number = 0; number < 17; number += 1) socket.send({ prompt: 'x', request_id: String(number) })
    expect((await socket.answer('16')).at(-1)).toMatchObject({ type: 'error', error: { code: 'busy' } })
  })

  test('a stop without a name ends all; one that fits nothing does nothing', async () => {
    await using server = await startServer({ host: endless() })
    using socket = await server.socket()
    socket.send({ type: 'stop', request_id: 'nobody' })
    for (const name of ['a', 'b']) socket.send({ prompt: 'x', request_id: name })
    await socket.next()
    socket.send({ type: 'stop' })
    const ends = []
    while (ends.length < 2) ends.push((await socket.answer()).at(-1))
    expect(ends.map((end) => [end?.request_id, end?.finish_reason]).sort()).toEqual([
      ['a', 'stopped'],
      ['b', 'stopped'],
    ])
  })

  test('a stop with a name ends that request, and no other', async () => {
    await using server = await startServer({ host: endless() })
    using socket = await server.socket()
    for (const name of ['a', 'b']) socket.send({ prompt: 'x', request_id: name })
    for (const seen = new Set(); seen.size < 2; ) seen.add((await socket.next())?.request_id)
    socket.send({ type: 'stop', request_id: 'a' })
    expect((await socket.answer('a')).at(-1)).toMatchObject({ type: 'done', finish_reason: 'stopped' })
    for (let piece = 0; piece < 3; piece += 1) expect(await socket.next()).toMatchObject({ type: 'token', request_id: 'b' })
  })

  test('answers nonsense with an error and goes on', async () => {
    await using server = await startServer({ host: echo() })
    using socket = await server.socket()
    for (const nonsense of [
      '',
      '{',
      '[]',
      'null',
      '7',
      '{"type":"launch"}',
      '{"type":"stop","now":true}',
      '{"request_id":"a"}',
    ]) {
      socket.send(nonsense)
      expect((await socket.answer()).at(-1)).toMatchObject({ type: 'error', error: { code: 'invalid' } })
    }
    socket.send({ prompt: 'x', type: 'predict', stream: true })
    expect(joinTokens(await socket.answer())).toBe('<x>')
  })
})

describe('who may open a socket', () => {
  test('without a token, or with a bad one, is refused before the handshake', async () => {
    await using server = await startServer({ host: echo(), settings: closed })
    await expect(server.socket()).rejects.toThrow('401')
    await expect(server.socket({ headers: { authorization: 'Bearer a.b.c' } })).rejects.toThrow('401')
    await expect(server.socket({}, '/predict/ws', ['simpleia', 'bearer.a.b.c'])).rejects.toThrow('401')
  })

  test('a good token in the address is refused, whether one is needed or not, with the way that is open', async () => {
    for (const settings of [closed, {}]) {
      await using server = await startServer({ host: echo(), settings })
      const path = `/predict/ws?access_token=${await server.login('ana')}`
      await expect(server.socket({}, path)).rejects.toThrow('401')
      const headers = { upgrade: 'websocket' }
      expect((await server.app.http.inject({ url: path, headers })).json().error.message).toContain('"bearer.<token>"')
    }
  })

  test('a token in the header or among the protocols opens it, and no answer holds it', async () => {
    await using server = await startServer({ host: echo(), settings: closed })
    const token = await server.login('ana')
    using byHeader = await server.socket({ headers: { authorization: `Bearer ${token}` } })
    using byProtocol = await server.socket({}, '/predict/ws', ['simpleia', `bearer.${token}`])
    using turned = await server.socket({}, '/predict/ws', [`bearer.${token}`, 'simpleia'])
    expect([byProtocol, turned].map(({ socket }) => socket.protocol)).toEqual(['simpleia', 'simpleia'])
    for (const socket of [byHeader, byProtocol, turned]) {
      socket.send({ prompt: 'x' })
      expect(joinTokens(await socket.answer())).toBe('<x>')
    }
  })

  test.each(['http://evil.example', 'null', 'http://localhost.evil.com'])('a page of %s is refused', async (origin) => {
    await using server = await startServer({ host: echo() })
    await expect(server.socket({ headers: { origin } })).rejects.toThrow('403')
  })

  test('our own page and allowed pages are let in', async () => {
    await using server = await startServer({ host: echo(), settings: { CORS_ORIGINS: 'http://friend.example' } })
    using own = await server.socket({ headers: { origin: server.url } })
    using friend = await server.socket({ headers: { origin: 'http://friend.example' } })
    expect([own.socket.readyState, friend.socket.readyState]).toEqual([1, 1])
  })
})

test('a client that leaves while its token is checked starts nothing', async () => {
  const host = endless()
  await using server = await startServer({ host, settings: closed })
  const headers = { authorization: `Bearer ${await server.login('ana')}` }
  for (let round = 0; round < 100; round += 1) {
    const socket = await server.socket({ headers })
    socket.send({ prompt: 'x', max_length: 4000 })
    if (round % 2 === 1) await sleep(round % 7)
    socket.socket.terminate()
  }
  await expect.poll(() => host.status().active, { timeout: 1000 }).toBe(0)
})

describe('a token that dies', () => {
  type Login = Readonly<{ url: string; headers: Record<string, string>; admin: Record<string, string> }>

  const asJson = (token: string) => ({ authorization: `Bearer ${token}`, 'content-type': 'application/json' })
  const post = (url: string, headers: Record<string, string>, body: object) =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  const logout = ({ url, headers }: Login) => post(`${url}/auth/logout`, headers, {})
  const changePassword = ({ url, headers }: Login) =>
    post(`${url}/auth/password`, headers, { current_password: 'ben-has-a-long-password', new_password: 'another-long-password' })
  const atUser = async ({ url, headers, admin }: Login, method: string, body?: object) => {
    const { id } = await bodyOf<{ id: string }>(await fetch(`${url}/auth/me`, { headers }))
    const { authorization = '' } = admin
    const sent = body === undefined ? { headers: { authorization } } : { headers: admin, body: JSON.stringify(body) }
    const response = await fetch(`${url}/admin/users/${id}`, { method, ...sent })
    expect(response.status).toBeLessThan(300)
  }
  const changeRole = (login: Login) => atUser(login, 'PATCH', { role: 'admin' })
  const remove = (login: Login) => atUser(login, 'DELETE')

  test.each([
    ['logout', logout],
    ['a password change', changePassword],
    ['a change of role', changeRole],
    ['deletion', remove],
  ] as const)('by %s is refused everywhere, and closes its socket at the next message', async (_how, kill) => {
    for (const settings of [closed, {}]) {
      await using server = await startServer({ host: echo(), settings })
      const admin = asJson(await server.login('ana'))
      const headers = asJson(await server.login('ben'))
      const socket = await server.socket({ headers })
      socket.send({ prompt: 'x' })
      await socket.answer()
      await kill({ url: server.url, headers, admin })
      socket.send({ prompt: 'x' })
      expect(await socket.next()).toBeUndefined()
      expect(await socket.closed).toBe(1008)
      expect((await server.predict({ prompt: 'x' }, headers)).status).toBe(401)
      expect((await post(`${server.url}/v1/completions`, headers, { prompt: 'x' })).status).toBe(401)
    }
  })

  test('closes a silent socket when its life is checked', async () => {
    await using server = await startServer({ host: echo(), settings: closed, socketLimits: { pingMs: 20 } })
    const headers = { authorization: `Bearer ${await server.login('ana')}` }
    const socket = await server.socket({ headers })
    await logout({ url: server.url, headers: { ...headers, 'content-type': 'application/json' }, admin: headers })
    expect(await socket.closed).toBe(1008)
  })
})

describe('limits', () => {
  test('a message over 1 MiB closes the socket with 1009', async () => {
    await using server = await startServer({ host: echo() })
    const socket = await server.socket()
    socket.send({ prompt: 'x'.repeat(10 * 1024 * 1024) })
    expect(await socket.closed).toBe(1009)
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
  })

  test('binary messages close it with 1008', async () => {
    await using server = await startServer({ host: echo() })
    const socket = await server.socket()
    socket.socket.send(Buffer.from('{}'))
    expect(await socket.closed).toBe(1008)
  })

  test('a thousand messages at once close it with 1008', async () => {
    await using server = await startServer({ host: echo() })
    const socket = await server.socket()
    for (let message = 0; message < 1000; message += 1) socket.send({ type: 'stop' })
    expect(await socket.closed).toBe(1008)
  })

  test('requests on a socket count in the same bucket as others', async () => {
    await using server = await startServer({ host: echo(), settings: { RATE_LIMIT_REQUESTS: '3' } })
    await server.predict({ prompt: 'x' })
    using socket = await server.socket()
    const ends = []
    for (let request = 0; request < 3; request += 1) {
      socket.send({ prompt: 'x' })
      ends.push((await socket.answer()).at(-1))
    }
    expect(ends.map((end) => end?.type)).toEqual(['done', 'done', 'error'])
    expect(ends[2]).toMatchObject({ error: { code: 'rate_limited', retry_after_seconds: expect.any(Number) } })
    expect((await server.predict({ prompt: 'x' })).status).toBe(429)
  })

  test('one client has at most 32 sockets, and a closed one makes room', async () => {
    await using server = await startServer({ host: echo() })
    const opened = await Promise.allSettled(Array.from({ length: 200 }, () => server.socket()))
    const sockets = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const refused = opened.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
    expect([sockets.length, refused.length]).toEqual([32, 168])
    expect(refused.every((reason) => reason.includes('429'))).toBe(true)
    sockets[0]?.socket.close()
    await sockets[0]?.closed
    using again = await server.socket()
    expect(again.socket.readyState).toBe(1)
    for (const { socket } of sockets) socket.terminate()
  })

  test('a client that gives no sign of life is cut', async () => {
    await using server = await startServer({ host: echo(), socketLimits: { pingMs: 20 } })
    const socket = await server.socket({ autoPong: false })
    expect(await socket.closed).toBe(1006)
  })
})

test('a hundred clients that vanish at any moment do no harm', async () => {
  await using server = await startServer({ host: endless(), settings: { MAX_QUEUE: '200' }, socketLimits: { perClient: 200 } })
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  await Promise.all(
    Array.from({ length: 100 }, async (_, number) => {
      const socket = await server.socket()
      socket.send({ prompt: 'x' })
      await sleep(number * 5)
      socket.socket.terminate()
      await socket.closed
    }),
  )
  await expect.poll(async () => (await fetch(`${server.url}/metrics`)).text()).toMatch(/^simpleia_generations_active 0$/m)
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
  expect((await fetch(`${server.url}/health`)).status).toBe(200)
})
