import { describe, expect, test } from 'vitest'
import type { Fault } from '../hub.ts'
import { openEgress } from '../open-egress.ts'
import { content, createWorld, file, repository } from './pull-world.ts'

/** The hub sends everybody who wants a file to another address. */
const leadsTo =
  (location: string): Fault =>
  ({ kind }, response) => {
    if (kind !== 'resolve') return false
    response.writeHead(302, { location }).end()
    return true
  }

/** Names of the outside world: `hub.example` is the hub on loopback, seen as a public host; whatever else is asked for is noted. */
async function createOutside(fault: Fault, addresses: Readonly<Record<string, string>> = {}) {
  const asked: string[] = []
  const inner = await createWorld({ hub: { fault } })
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const url = new URL(String(input))
    asked.push(url.origin)
    if (url.hostname !== 'hub.example') throw new Error(`${url.origin} was asked`)
    return globalThis.fetch(inner.hub.endpoint + url.pathname + url.search, init)
  }
  const known: Readonly<Record<string, string>> = { 'hub.example': '93.184.216.34', ...addresses }
  const lookup = async (name: string) => {
    const address = known[name]
    return address === undefined ? [] : [{ address, family: address.includes(':') ? 6 : 4 }]
  }
  const world = await createWorld({ fetch, lookup, endpoint: 'http://hub.example' })
  return { ...world, asked }
}

describe('a hub that leads elsewhere', () => {
  test('is followed, without the token', async () => {
    const { run, hub, expectInstalled } = await createWorld()
    await run()
    await expectInstalled()
    expect(hub.of('revision', 'tree', 'resolve').every(({ authorization }) => authorization === 'Bearer hf_canary')).toBe(true)
    expect(hub.of('cdn').length).toBeGreaterThan(0)
    expect(hub.of('cdn').every(({ authorization }) => authorization === undefined)).toBe(true)
    for (const { headers } of hub.of('cdn')) expect(headers['accept-encoding']).toMatch(/^identity(, identity)?$/)
  })

  test('to itself is followed by a relative address, with the token', async () => {
    const fault: Fault = ({ kind, url }, response) => {
      if (kind !== 'resolve' || url.includes('?again')) return false
      response.writeHead(307, { location: `${url}?again` }).end()
      return true
    }
    const { run, hub } = await createWorld({ hub: { fault, sendsFiles: true } })
    // The fake hub does not know the longer address as a file: that the token came with it is what counts.
    await run().catch(() => {})
    expect(hub.of('resolve').at(-1)).toMatchObject({ url: expect.stringContaining('?again'), authorization: 'Bearer hf_canary' })
  })

  test('in circles ends in an error', async () => {
    const fault: Fault = ({ kind, url }, response) => {
      if (kind !== 'resolve') return false
      response.writeHead(302, { location: url }).end()
      return true
    }
    const { run, hub } = await createWorld({ hub: { fault } })
    await expect(run()).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('without end') })
    expect(hub.of('resolve')).toHaveLength(6)
  })

  test('to nowhere ends in an error', async () => {
    for (const location of ['', 'http://', 'https://:99999/']) {
      const { run } = await createWorld({ hub: { fault: leadsTo(location) } })
      await expect(run(), location).rejects.toMatchObject({ code: 'upstream' })
    }
  })

  const inside = [
    ...[
      'http://127.0.0.1/x',
      'http://127.1/x',
      'http://0x7f000001/x',
      'http://2130706433/x',
      'http://017700000001/x',
      'http://0.0.0.0/x',
    ],
    ...[
      'http://[::1]/x',
      'http://[::]/x',
      'http://[::ffff:127.0.0.1]/x',
      'http://[::ffff:7f00:1]/x',
      'http://[64:ff9b::7f00:1]/x',
    ],
    ...[
      'http://169.254.169.254/latest/meta-data',
      'http://[fd00:ec2::254]/',
      'http://[fe80::1]/x',
      'http://[::ffff:a9fe:a9fe]/x',
    ],
    ...['http://10.0.0.1/x', 'http://172.16.0.1/x', 'http://192.168.1.1/x', 'http://100.64.0.1/x', 'http://[fc00::1]/x'],
    ...['http://localhost/x', 'http://router.local/x', 'http://six.local/x', 'http://metadata.internal/x'],
    ...['file:///etc/passwd', 'ftp://files.example/x', 'data:text/plain,x', 'http://user:pass@files.example/x'],
  ]
  const names = {
    localhost: '127.0.0.1',
    'router.local': '192.168.0.1',
    'six.local': '::1',
    'metadata.internal': '169.254.169.254',
    'files.example': '93.184.216.35',
  }

  test.each(inside)('to %s is refused, and nothing is asked there', async (location) => {
    const { run, asked, expectNothing } = await createOutside(leadsTo(location), names)
    await expect(run()).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('refused') })
    expect(new Set(asked)).toEqual(new Set(['http://hub.example']))
    await expectNothing()
  })

  test('to a host that has no address is tried again, as the line may be down', async () => {
    const { run, types } = await createOutside(leadsTo('http://nowhere.example/x'), names)
    const message = expect.stringContaining('nowhere.example cannot be found')
    await expect(run()).rejects.toMatchObject({ code: 'upstream', message })
    expect(types()).toContain('download-retry')
  })

  test('to another public host is followed', async () => {
    const { run, asked } = await createOutside(leadsTo('http://files.example/x'), names)
    await expect(run()).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('files.example was asked') })
    expect(asked).toContain('http://files.example')
  })

  test('that is itself inside this network may lead to hosts inside, but not to what a cloud keeps its secrets at', async () => {
    const { run } = await createWorld({ hub: { fault: leadsTo('http://169.254.169.254/x') } })
    await expect(run()).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('refused') })
    const other = await createWorld()
    await other.run()
    await other.expectInstalled(file, content)
  })

  test('from an encrypted address to an open one is refused', async () => {
    const fetch: typeof globalThis.fetch = async (input) => {
      const { pathname } = new URL(String(input))
      if (pathname.includes('/revision/')) return Response.json({ sha: 'a'.repeat(40) })
      const lfs = { oid: 'b'.repeat(64), size: 5 }
      if (pathname.includes('/tree/')) return Response.json([{ type: 'file', path: file, oid: '0', lfs }])
      return new Response('', { status: 302, headers: { location: 'http://files.example/x' } })
    }
    const { run } = await createWorld({
      fetch,
      endpoint: 'https://hub.example',
      lookup: async () => [{ address: '93.184.216.34', family: 4 }],
    })
    await expect(run(repository)).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('not encrypted') })
  })
})

test('where nothing may leave, a hub on this machine cannot lead outside, and no name is looked up', async () => {
  const { egress } = openEgress({ localOnly: true })
  const lookup = () => expect.unreachable('a name was looked up')
  const { run } = await createWorld({ egress, lookup, hub: { fault: leadsTo('http://files.example/x') } })
  await expect(run()).rejects.toMatchObject({ code: 'forbidden', message: expect.stringContaining('files.example') })
})

test('a download is in the ledger with its hosts, requests and bytes', async () => {
  const inner = await createWorld({ hub: { sendsFiles: true } })
  const fetch: typeof globalThis.fetch = (input, init) => {
    const { pathname, search } = new URL(String(input))
    return globalThis.fetch(inner.hub.endpoint + pathname + search, init)
  }
  const { run, outside } = await createWorld({ fetch, endpoint: 'http://hub.example' })
  await run()
  const [entry] = outside.entries()
  expect(entry).toMatchObject({ purpose: 'model-download', model: repository, hosts: ['hub.example'], status: 206 })
  expect(entry?.requests).toBe(inner.hub.requests.length)
  expect(entry?.bytesIn).toBeGreaterThan(content.length)
  expect(entry?.bytesOut).toBeGreaterThan(0)
  expect(entry?.durationMs).toBeDefined()
})
