import { type AddressInfo, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createWebClient } from '../../src/cli/web-client.ts'
import { createClient } from '../../src/client.ts'
import { startServer } from '../server.ts'
import { scriptedHost } from './cli-world.ts'

async function serve(pieces: Iterable<string>) {
  const { host } = scriptedHost(pieces)
  const server = await startServer({ host })
  const web = createWebClient({ apiUrl: server.url, unreachable: 'Nobody is there.' })
  const url = await web.http.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    await web.close()
    await server[Symbol.asyncDispose]()
  })
  return { url: url.replace('localhost', '127.0.0.1'), server, host }
}

test('what the API answers comes through: JSON, streams, errors, cookies', async () => {
  const { url } = await serve(['one ', 'two'])
  const client = createClient({ baseUrl: url })
  expect((await client.predict({ prompt: '?' })).choices[0]?.text).toBe('one two')
  let text = ''
  for await (const event of client.predictStream({ prompt: '?' })) if (event.type === 'text') text += event.text
  expect(text).toBe('one two')
  await expect(client.listUsers()).rejects.toMatchObject({ code: 'unauthorized' })
  await client.register('ana', 'a-long-password-of-ana')
  const body = new URLSearchParams({ username: 'ana', password: 'a-long-password-of-ana' })
  const login = await fetch(`${url}/auth/login`, { method: 'POST', body })
  expect(login.headers.get('set-cookie')).toContain('HttpOnly')
})

test('for a browser the web client and the API are one site', async () => {
  const { url } = await serve(['x'])
  const ask = (origin: string) =>
    fetch(`${url}/predict`, { method: 'POST', headers: { origin, 'content-type': 'application/json' }, body: '{"prompt":"?"}' })
  expect((await ask(url)).status).toBe(200)
  expect((await ask('http://evil.example')).status).toBe(403)
})

test('who comes this way is no local caller: the metrics want a token', async () => {
  const { url, server } = await serve([])
  expect((await fetch(`${server.url}/metrics`)).status).toBe(200)
  expect((await fetch(`${url}/metrics`)).status).toBe(401)
})

test('a reader who leaves frees the model', async () => {
  let freed = () => {}
  const done = new Promise<void>((resolve) => {
    freed = resolve
  })
  function* forever() {
    try {
      for (;;) yield 'word '
    } finally {
      freed()
    }
  }
  const { url } = await serve(forever())
  for await (const _event of createClient({ baseUrl: url }).predictStream({ prompt: '?' })) break
  await done
})

test('a stop lets an answer come to its end, and takes no more', async () => {
  const { host } = scriptedHost(Array(200).fill('word '))
  await using server = await startServer({ host })
  const web = createWebClient({ apiUrl: server.url, unreachable: '' })
  const url = await web.http.listen({ host: '127.0.0.1', port: 0 })
  const client = createClient({ baseUrl: url })
  const events = client.predictStream({ prompt: '?' })
  expect(await events.next()).toMatchObject({ value: { type: 'text' } })
  const closed = web.close({ graceMs: 10_000 })
  await expect(client.health()).rejects.toMatchObject({ code: 'unavailable' })
  const types: string[] = []
  for await (const { type } of events) types.push(type)
  expect([types.length, types.at(-1)]).toEqual([200, 'done'])
  await closed
})

test('a stop cuts what has not come to its end in time', async () => {
  function* forever() {
    for (;;) yield 'word '
  }
  const { host } = scriptedHost(forever())
  await using server = await startServer({ host })
  const web = createWebClient({ apiUrl: server.url, unreachable: '' })
  const url = await web.http.listen({ host: '127.0.0.1', port: 0 })
  const events = createClient({ baseUrl: url }).predictStream({ prompt: '?' })
  await events.next()
  const readAll = async () => {
    for await (const _event of events);
  }
  const broken = expect(readAll()).rejects.toMatchObject({ code: 'unavailable' })
  await web.close({ graceMs: 50 })
  await broken
})

test('an answer that breaks off does not come to its end: the browser is told that it is broken', async () => {
  const reset = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n', () =>
        setImmediate(() => socket.resetAndDestroy()),
      )
    })
  })
  await new Promise<void>((resolve) => reset.listen(0, '127.0.0.1', resolve))
  const { port } = reset.address() as AddressInfo // a TCP server has no other kind of address
  const web = createWebClient({ apiUrl: `http://127.0.0.1:${port}`, unreachable: '' })
  const url = await web.http.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    await web.close()
    reset.close()
  })
  const answer = await fetch(url)
  expect(answer.status).toBe(200)
  await expect(answer.text()).rejects.toThrow()
})

test('what does not listen yet has nothing to close', async () => {
  await createWebClient({ apiUrl: 'http://127.0.0.1:9', unreachable: '' }).close({ graceMs: 60_000 })
})

test('without an API the browser is told so', async () => {
  const web = createWebClient({ apiUrl: 'http://127.0.0.1:9', unreachable: 'Nobody is there.' })
  const url = await web.http.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => web.close())
  await expect(createClient({ baseUrl: url }).health()).rejects.toMatchObject({ code: 'upstream', message: 'Nobody is there.' })
})
