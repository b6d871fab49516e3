import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { createFetchPage, type FetchPageParts, isPublic, readPageUrl } from '../../src/rag/fetch-page.ts'
import { openEgress } from '../open-egress.ts'

const never = new AbortController().signal

async function serve(answer: RequestListener): Promise<{ port: number; asked: string[]; connections: () => number }> {
  const asked: string[] = []
  let connections = 0
  const server = createServer((request, response) => {
    asked.push(`${request.headers.host}${request.url}`)
    answer(request, response)
  })
  server.on('connection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, asked, connections: () => connections }
}

const parts = (more: Partial<FetchPageParts> = {}): FetchPageParts => ({
  egress: openEgress().egress,
  maxBytes: 1000,
  lookup: async () => [{ address: '127.0.0.1', family: 4 }],
  ...more,
})
/** For names that the test serves itself. */
const anywhere = { isAllowed: () => true }
const fetchText = async (url: string, given: FetchPageParts) => text((await createFetchPage(given)(readPageUrl(url), never)).body)

test.each([
  '127.0.0.1',
  '127.9.9.9',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '192.0.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '240.0.0.1',
  '::',
  '::1',
  'fe80::1',
  'fc00::1',
  'fd00:ec2::254',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
  '2001:db8::1',
  '4000::1',
  '8000::1',
  '1fff::1',
  'not an address',
])('%s is no address of the public internet', (address) => {
  expect(isPublic(address)).toBe(false)
})

test.each(['93.184.216.34', '8.8.8.8', '2606:4700::1111', '::ffff:8.8.8.8'])('%s is one', (address) => {
  expect(isPublic(address)).toBe(true)
})

test.each([
  'http://127.0.0.1:PORT/',
  'http://0x7f000001:PORT/',
  'http://2130706433:PORT/',
  'http://017700000001:PORT/',
  'http://[::1]:PORT/',
  'http://[::ffff:127.0.0.1]:PORT/',
  'http://169.254.169.254/latest/meta-data',
  'http://localhost:PORT/',
  'http://localhost.:PORT/',
  'http://inside.example.org:PORT/',
])('%s is refused before any connection', async (address) => {
  const { port, connections } = await serve((_request, response) => response.end('secret'))
  await expect(fetchText(address.replace('PORT', String(port)), parts())).rejects.toMatchObject({ code: 'invalid' })
  expect(connections()).toBe(0)
})

test.each([
  'file:///etc/passwd',
  'ftp://example.org/a',
  'gopher://example.org',
  'data:text/plain,a',
  'http://user:word@example.org/',
  'no address',
])('%s is refused', (address) => {
  expect(() => readPageUrl(address)).toThrowError(expect.objectContaining({ code: 'invalid' }))
})

test('one private address among public ones is enough to refuse a name', async () => {
  const lookup = async () => [
    { address: '93.184.216.34', family: 4 },
    { address: '10.0.0.1', family: 4 },
  ]
  await expect(fetchText('http://mixed.example.org/', parts({ lookup }))).rejects.toMatchObject({ code: 'invalid' })
})

test('a name is looked up once, and the connection goes to what was checked', async () => {
  const { port, asked } = await serve((_request, response) => response.end('the page'))
  const answers = [[{ address: '127.0.0.1', family: 4 }], [{ address: '127.0.0.2', family: 4 }]]
  const lookups: string[] = []
  const checked: string[] = []
  const lookup = async (name: string) => {
    lookups.push(name)
    return answers.shift() ?? []
  }
  const isAllowed = (address: string) => checked.push(address) > 0
  expect(await fetchText(`http://rebind.example.org:${port}/a`, parts({ lookup, isAllowed }))).toBe('the page')
  expect({ lookups, checked, asked }).toEqual({
    lookups: ['rebind.example.org'],
    checked: ['127.0.0.1'],
    asked: [`rebind.example.org:${port}/a`],
  })
})

test('a redirect to an address inside is refused, and nobody is asked there', async () => {
  const inside = await serve((_request, response) => response.end('secret'))
  const outside = await serve((_request, response) =>
    response.writeHead(302, { location: `http://127.0.0.1:${inside.port}/` }).end(),
  )
  const given = parts({ lookup: async () => [{ address: '127.0.0.1', family: 4 }] })
  // The name is let through by its first check, as a public one would be.
  let checks = 0
  const isAllowed = () => ++checks === 1
  await expect(fetchText(`http://public.example.org:${outside.port}/`, { ...given, isAllowed })).rejects.toMatchObject({
    code: 'invalid',
  })
  expect([outside.connections(), inside.connections()]).toEqual([1, 0])
})

test.each(['file:///etc/passwd', 'http://a:b@example.org/'])('a redirect to %s is refused', async (location) => {
  const { port } = await serve((_request, response) => response.writeHead(301, { location }).end())
  await expect(fetchText(`http://a.example.org:${port}/`, parts(anywhere))).rejects.toMatchObject({ code: 'invalid' })
})

test.each([{}, { location: 'http://[' }])('a redirect with %j leads to nowhere', async (headers) => {
  const { port } = await serve((_request, response) => response.writeHead(301, headers).end())
  await expect(fetchText(`http://a.example.org:${port}/`, parts(anywhere))).rejects.toMatchObject({
    code: 'upstream',
    message: expect.stringContaining('nowhere'),
  })
})

test.each([
  ['nobody', async () => []],
  ['an error', () => Promise.reject(new Error('ENOTFOUND'))],
])('a name for which the lookup gives %s is told as not found', async (_what, lookup) => {
  await expect(fetchText('http://a.example.org/', parts({ lookup }))).rejects.toMatchObject({
    code: 'upstream',
    message: expect.stringContaining('a.example.org cannot be found'),
  })
})

test.each([
  ['/ports%20of%20call.html', 'ports of call.html'],
  ['/100%', '100%'],
  ['/', 'a.example.org'],
])('a page at %s is named %s', async (path, name) => {
  const { port } = await serve((_request, response) => response.end('x'))
  const page = await createFetchPage(parts(anywhere))(readPageUrl(`http://a.example.org:${port}${path}`), never)
  await text(page.body)
  expect(page.name).toBe(name)
})

test('five redirects are followed, a sixth is not', async () => {
  const { port } = await serve((request, response) => {
    const left = Number(request.url?.slice(1))
    if (left > 0) response.writeHead(302, { location: `/${left - 1}` }).end()
    else response.end('arrived')
  })
  expect(await fetchText(`http://a.example.org:${port}/5`, parts(anywhere))).toBe('arrived')
  await expect(fetchText(`http://a.example.org:${port}/6`, parts(anywhere))).rejects.toMatchObject({ code: 'upstream' })
})

test.each([
  [{ 'content-length': '5000' }, 200, 'too_large'],
  [{ 'content-encoding': 'gzip' }, 200, 'upstream'],
  [{}, 404, 'upstream'],
  [{}, 500, 'upstream'],
])('an answer with %j and %d is %s', async (headers, status, code) => {
  const { port } = await serve((_request, response) => {
    response.writeHead(status, headers)
    response.write('x')
  })
  await expect(fetchText(`http://a.example.org:${port}/`, parts(anywhere))).rejects.toMatchObject({ code })
})

test('a server that never answers, and one that stops in the middle, end in time', async () => {
  const silent = await serve(() => {})
  const given = parts({ ...anywhere, timeoutMs: 50 })
  await expect(fetchText(`http://a.example.org:${silent.port}/`, given)).rejects.toMatchObject({
    code: 'upstream',
    message: expect.stringContaining('too long'),
  })
  const half = await serve((_request, response) => void response.write('half'))
  await expect(fetchText(`http://a.example.org:${half.port}/`, given)).rejects.toMatchObject({ code: 'upstream' })
})

test('a lookup that never answers ends in time, and when the reader leaves', async () => {
  const lookup = () => new Promise<never>(() => {})
  const page = readPageUrl('http://a.example.org/')
  const late = createFetchPage(parts({ lookup, timeoutMs: 20 }))(page, never)
  await expect(late).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('too long') })
  const leaving = new AbortController()
  const left = createFetchPage(parts({ lookup }))(page, leaving.signal)
  leaving.abort()
  await expect(left).rejects.toMatchObject({ code: 'aborted' })
})

test('with LOCAL_ONLY nothing is fetched, nor any name looked up', async () => {
  const lookup = () => Promise.reject(new Error('asked'))
  await expect(
    fetchText('http://example.org/', parts({ egress: openEgress({ localOnly: true }).egress, lookup })),
  ).rejects.toMatchObject({ code: 'forbidden' })
})

test('what is fetched is in the ledger with all hosts, bytes and the user', async () => {
  const { port } = await serve((request, response) => {
    if (request.url === '/') response.writeHead(302, { location: `http://other.example:${port}/page` }).end()
    else response.end('x'.repeat(500))
  })
  const { egress, entries } = openEgress()
  const fetchPage = createFetchPage(parts({ ...anywhere, egress }))
  await text((await fetchPage(readPageUrl(`http://page.example:${port}/`), never, 'user:1')).body)
  expect(entries()).toMatchObject([
    { purpose: 'page-fetch', user: 'user:1', hosts: ['page.example', 'other.example'], requests: 2, status: 200 },
  ])
  const [entry] = entries()
  expect(entry?.bytesIn).toBeGreaterThan(500)
  expect(entry?.bytesIn).toBeLessThan(1000)
  expect(entry?.bytesOut).toBeGreaterThan(100)
  expect(entry?.durationMs).toBeDefined()
})

test('what is refused after its answer, or reaches nobody, has an entry that has ended', async () => {
  const { port } = await serve((_request, response) => response.writeHead(404).end())
  const { egress, entries } = openEgress()
  const given = parts({ ...anywhere, egress })
  await expect(fetchText(`http://page.example:${port}/`, given)).rejects.toMatchObject({ code: 'upstream' })
  await expect(fetchText('http://page.example:9/', given)).rejects.toMatchObject({ code: 'upstream' })
  expect(entries()).toMatchObject([
    { status: 404, durationMs: expect.any(Number) },
    { status: undefined, durationMs: expect.any(Number) },
  ])
})
