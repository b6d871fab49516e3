import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createEgress, isThisMachine } from '../../src/engine/cloud/egress.ts'
import { AppError } from '../../src/errors.ts'
import { openEgress } from '../open-egress.ts'

/** A server that stands for every host of the outside world, and the `fetch` that leads to it. */
async function startOutside(answer: RequestListener) {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const asked: string[] = []
  const fetch: typeof globalThis.fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    asked.push(url.hostname)
    return globalThis.fetch(`http://127.0.0.1:${port}${url.pathname}${url.search}`, init)
  }
  return { ...openEgress({ fetch }), fetch, asked, port }
}

const echoLength: RequestListener = async (request, response) => {
  const sent = await text(request)
  response.sendDate = false
  response.end(String(Buffer.byteLength(sent)))
}

describe('an errand', () => {
  test('counts what goes out and what comes back, and names the host and the status', async () => {
    const { egress, entries } = await startOutside(echoLength)
    const call = egress.begin({ purpose: 'answer', user: 'user:1', provider: 'openai', model: 'gpt-9' })
    const body = JSON.stringify({ prompt: 'ñandú' })
    const response = await call.fetch('https://api.example.com/v1/chat', { method: 'POST', body, headers: { 'x-a': '1' } })
    expect(await response.text()).toBe(String(Buffer.byteLength(body)))
    await call.end()
    const head = 'POST https://api.example.com/v1/chat\r\nx-a: 1\r\n\r\n'
    expect(entries()).toMatchObject([
      {
        purpose: 'answer',
        user: 'user:1',
        provider: 'openai',
        model: 'gpt-9',
        hosts: ['api.example.com'],
        requests: 1,
        status: 200,
        bytesOut: Buffer.byteLength(head + body),
        durationMs: expect.any(Number),
      },
    ])
    const [entry] = entries()
    const headIn = [...response.headers].reduce(
      (sum, [name, value]) => sum + name.length + value.length + 4,
      '200 OK\r\n\r\n'.length,
    )
    expect(entry?.bytesIn).toBe(headIn + 2)
  })

  const kinds: ReadonlyArray<readonly [string, () => RequestInit, number]> = [
    ['text', () => ({ body: 'año' }), 4],
    ['bytes', () => ({ body: new Uint8Array(5) }), 5],
    ['a form', () => ({ body: new URLSearchParams({ a: 'ñ' }) }), 8],
    ['a file', () => ({ body: new Blob(['12345678']) }), 8],
    ['a stream', () => ({ body: new Blob(['abc', 'def']).stream(), duplex: 'half' }), 6],
  ]
  test.each(kinds)('counts a body that is %s, and the server gets it whole', async (_kind, init, bytes) => {
    const { egress, entries } = await startOutside(echoLength)
    const call = egress.begin({ purpose: 'answer' })
    const response = await call.fetch('https://a.example/', { method: 'POST', ...init() })
    expect(await response.text()).toBe(String(bytes))
    await call.end()
    const without = egress.begin({ purpose: 'answer' })
    await (
      await without.fetch('https://a.example/', {
        method: 'POST',
        headers: init().body instanceof URLSearchParams ? { 'content-type': 'x' } : {},
      })
    ).text()
    await without.end()
    const [withBody, noBody] = entries()
    const typeHeader = init().body instanceof URLSearchParams ? -Buffer.byteLength('content-type: x\r\n') : 0
    expect((withBody?.bytesOut ?? 0) - (noBody?.bytesOut ?? 0) - typeHeader).toBe(bytes)
  })

  test('counts the bytes of a form with files as they are sent', async () => {
    let received = ''
    const { egress, entries } = await startOutside(async (request, response) => {
      received = await text(request)
      response.end(request.headers['content-type'])
    })
    const form = new FormData()
    form.append('file', new Blob(['hello']), 'a.txt')
    const call = egress.begin({ purpose: 'answer' })
    const type = await (await call.fetch('https://a.example/', { method: 'POST', body: form })).text()
    await call.end()
    expect(type).toMatch(/^multipart\/form-data; boundary=/)
    expect(received).toContain(type.split('boundary=')[1])
    const head = `POST https://a.example/\r\ncontent-type: ${type}\r\n\r\n`
    expect(entries()[0]?.bytesOut).toBe(Buffer.byteLength(head + received))
  })

  test('that is left in the middle of its answer has counted what was read until then', async () => {
    const piece = 'x'.repeat(1000)
    const { egress, entries } = await startOutside((_request, response) => {
      response.write(piece)
    })
    const stop = new AbortController()
    const call = egress.begin({ purpose: 'answer' })
    const response = await call.fetch('https://a.example/', { signal: stop.signal })
    const reader = response.body?.getReader()
    await reader?.read()
    stop.abort()
    await expect(reader?.read()).rejects.toThrow()
    await call.end()
    const head = [...response.headers].reduce(
      (sum, [name, value]) => sum + name.length + value.length + 4,
      '200 OK\r\n\r\n'.length,
    )
    expect(entries()[0]?.bytesIn).toBe(head + piece.length)
  })

  test('that reaches nobody has an entry without a status', async () => {
    const { egress, entries } = openEgress({ fetch: () => Promise.reject(new TypeError('fetch failed')) })
    const call = egress.begin({ purpose: 'probe', provider: 'claude' })
    await expect(call.fetch('https://a.example/')).rejects.toThrow('fetch failed')
    await call.end()
    expect(entries()).toMatchObject([{ hosts: ['a.example'], requests: 1, status: undefined, bytesIn: 0 }])
  })

  test('that asks several hosts names each once, with all requests and the last status', async () => {
    const { egress, entries } = await startOutside((request, response) =>
      response.writeHead(request.url === '/b' ? 404 : 200).end(),
    )
    const call = egress.begin({ purpose: 'model-download', model: 'owner/repo' })
    for (const url of ['https://a.example/a', 'https://a.example/a', 'https://B.example:444/b'])
      await (await call.fetch(url)).text()
    await call.end()
    await call.end()
    expect(entries()).toMatchObject([{ hosts: ['a.example', 'b.example'], requests: 3, status: 404 }])
  })

  test('that stays on this machine, or asks nobody, is no entry', async () => {
    const { egress, entries, port } = await startOutside(echoLength)
    const call = openEgress().egress.begin({ purpose: 'answer' })
    expect(await (await call.fetch(`http://127.0.0.1:${port}/`)).text()).toBe('0')
    await call.end()
    await egress.begin({ purpose: 'answer' }).end()
    expect(entries()).toEqual([])
  })

  test('is in the ledger before the first byte goes out, and does not go out when that fails', async () => {
    const order: string[] = []
    let full = true
    const egress = createEgress({
      localOnly: false,
      now: Date.now,
      fetch: async () => {
        order.push('sent')
        return new Response('')
      },
      async record({ durationMs }) {
        if (full) throw new AppError('storage_full', 'The disk is full.')
        order.push(durationMs === undefined ? 'open' : 'ended')
      },
    })
    const call = egress.begin({ purpose: 'answer' })
    await expect(call.fetch('https://a.example/')).rejects.toMatchObject({ code: 'storage_full' })
    expect(order).toEqual([])
    full = false
    await call.fetch('https://a.example/')
    await call.end()
    expect(order).toEqual(['open', 'sent', 'ended'])
    await expect(call.fetch('https://a.example/')).rejects.toMatchObject({ code: 'internal' })
  })

  test('has the cost of its tokens, of which cached ones are cheaper; without a price it has none', async () => {
    const priceOf = vi.fn((model: string) => (model === 'known' ? { input: 3, output: 15, cachedInput: 0.3 } : undefined))
    const costs: unknown[] = []
    const egress = createEgress({
      localOnly: false,
      now: Date.now,
      fetch: async () => new Response(''),
      priceOf,
      async record({ costMicrodollars, durationMs }) {
        if (durationMs !== undefined) costs.push(costMicrodollars)
      },
    })
    for (const [model, used] of [
      ['known', true],
      ['unknown', true],
      ['known', false],
    ] as const) {
      const call = egress.begin({ purpose: 'answer', model })
      await call.fetch('https://a.example/')
      if (used) call.used({ promptTokens: 1000, completionTokens: 100, cachedPromptTokens: 400 })
      await call.end()
    }
    expect(costs).toEqual([600 * 3 + 400 * 0.3 + 100 * 15, undefined, undefined])
  })
})

describe('a redirect', () => {
  const away: RequestListener = (_request, response) =>
    response.writeHead(302, { location: 'http://169.254.169.254/' }).end('moved')

  test.each([{}, { redirect: 'follow' as const }, { redirect: 'error' as const }])('is not followed (%o)', async (init) => {
    const { egress, asked } = await startOutside(away)
    const call = egress.begin({ purpose: 'answer' })
    await expect(call.fetch('https://a.example/', init)).rejects.toMatchObject({ code: 'upstream' })
    await expect(call.fetch(new Request('https://a.example/'), init)).rejects.toMatchObject({ code: 'upstream' })
    expect(asked).toEqual(['a.example', 'a.example'])
  })

  test('is given to who follows it alone', async () => {
    const { egress } = await startOutside(away)
    const response = await egress.begin({ purpose: 'answer' }).fetch('https://a.example/', { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([302, 'http://169.254.169.254/'])
  })

  test('to the outside does not lead out where nothing may leave', async () => {
    const { port } = await startOutside(away)
    const { egress } = openEgress({ localOnly: true })
    await expect(egress.begin({ purpose: 'answer' }).fetch(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({
      code: 'upstream',
    })
  })
})

describe('where nothing may leave', () => {
  test.each([
    'https://api.openai.com/',
    'http://10.0.0.1/',
    'http://0.0.0.0/',
    'http://[::ffff:127.0.0.1]/',
    'http://localhost.example.com/',
    'http://127.0.0.1.example.com/',
    'http://app.localhost/',
  ])('%s is not asked', async (url) => {
    const fetch = vi.fn(async () => new Response(''))
    const { egress, entries } = openEgress({ localOnly: true, fetch })
    const call = egress.begin({ purpose: 'answer' })
    await expect(call.fetch(url)).rejects.toMatchObject({ code: 'forbidden', message: expect.stringContaining('LOCAL_ONLY') })
    await expect(call.request(new URL(url).hostname)).rejects.toMatchObject({ code: 'forbidden' })
    expect(() => call.check(new URL(url).hostname)).toThrow('LOCAL_ONLY')
    await call.end()
    expect(fetch).not.toHaveBeenCalled()
    expect(entries()).toEqual([])
  })

  test.each(['http://127.0.0.1:11434/', 'http://127.9.9.9/', 'http://[::1]:8080/', 'http://localhost/', 'http://LOCALHOST/'])(
    '%s is this machine',
    async (url) => {
      const fetch = vi.fn(async () => new Response('here'))
      const { egress } = openEgress({ localOnly: true, fetch })
      expect(await (await egress.begin({ purpose: 'answer' }).fetch(url)).text()).toBe('here')
      expect(isThisMachine(new URL(url).hostname)).toBe(true)
    },
  )

  test('a request by other means is refused, too, and otherwise counted', async () => {
    const closed = openEgress({ localOnly: true }).egress.begin({ purpose: 'package-download' })
    await expect(closed.request('pip')).rejects.toMatchObject({ code: 'forbidden' })
    const { egress, entries } = openEgress()
    const call = egress.begin({ purpose: 'page-fetch' })
    const tally = await call.request('[2606:4700::1111]')
    tally.sent(10)
    tally.answered(200)
    tally.received(7)
    tally.received(3)
    await call.end()
    expect(entries()).toMatchObject([{ hosts: ['2606:4700::1111'], bytesOut: 10, bytesIn: 10, status: 200 }])
  })
})

test('a connection that breaks in the middle of an answer gives what came before, and counts it', async () => {
  const { egress, entries } = await startOutside((request, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('0123456789', () => request.socket.destroy())
  })
  const call = egress.begin({ purpose: 'model-download' })
  const response = await call.fetch('https://a.example/')
  let read = 0
  const reading = (async () => {
    for await (const chunk of response.body ?? []) read += chunk.length
  })()
  await expect(reading).rejects.toThrow()
  await call.end()
  expect(read).toBe(10)
  expect(entries()[0]?.status).toBe(200)
})
