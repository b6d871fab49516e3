import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createAddresses, type Lease } from '../../src/engine/cloud/addresses.ts'
import { type CloudServer, isSilent, refuses, says, startCloudServer, streams, tears, tearsAfter } from '../cloud-server.ts'
import { ask, createCloudWorld, kinds, listEvents, never } from '../cloud-world.ts'
import { createFakeClock } from '../fake-clock.ts'

const none: ReadonlySet<string> = new Set()

function createPlain(count: number, probe: () => Promise<void> = () => Promise.reject(new Error('down'))) {
  const clock = createFakeClock()
  let ended = 0
  const openProbe = () => ({
    ask: probe,
    async end() {
      ended += 1
    },
  })
  const baseUrls = Array.from({ length: count }, (_, index) => `http://server-${index}`)
  return { clock, baseUrls, addresses: createAddresses({ provider: 'custom', baseUrls, openProbe, clock }), ended: () => ended }
}

describe('choosing among servers', () => {
  test('goes where the fewest requests are, in turn among equals', () => {
    const { addresses, baseUrls } = createPlain(3)
    const leases = [1, 2, 3].map(() => addresses.take(none))
    expect(leases.map(({ baseUrl }) => baseUrl)).toEqual(baseUrls)
    leases[1]?.release()
    expect(addresses.take(none).baseUrl).toBe(baseUrls[1])
  })

  test('starves none, and counts back to zero, whatever the order', () => {
    const steps = fc.array(fc.record({ takes: fc.boolean(), which: fc.nat() }), { maxLength: 200 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), steps, (count, all) => {
        const { addresses, baseUrls } = createPlain(count)
        const open: Lease[] = []
        for (const { takes, which } of all) {
          if (takes) open.push(addresses.take(none))
          else open.splice(which % Math.max(1, open.length), 1)[0]?.release()
        }
        const numbers = Object.values(addresses.outstanding())
        expect(numbers.reduce((sum, number) => sum + number, 0)).toBe(open.length)
        for (const lease of open) {
          lease.release()
          lease.release()
        }
        expect(Object.values(addresses.outstanding()).every((number) => number === 0)).toBe(true)
        // One after the other: each has its turn within one round.
        const round = baseUrls.map(() => {
          const lease = addresses.take(none)
          lease.release()
          return lease.baseUrl
        })
        expect(new Set(round).size).toBe(count)
      }),
    )
  })

  test('holds two servers to the same number, give or take one, while nobody leaves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 60 }), (count, requests) => {
        const { addresses } = createPlain(count)
        for (let taken = 0; taken < requests; taken += 1) addresses.take(none)
        const numbers = Object.values(addresses.outstanding())
        expect(Math.max(...numbers) - Math.min(...numbers)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('leaves out a server that is down, and asks after it less and less often', async () => {
    let probes = 0
    let isWell = false
    const { addresses, baseUrls, clock, ended } = createPlain(2, async () => {
      probes += 1
      if (!isWell) throw new Error('down')
    })
    addresses.take(none).markDown()
    for (let turn = 0; turn < 4; turn += 1) expect(addresses.take(none).baseUrl).toBe(baseUrls[1])
    for (const pauseMs of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      await clock.awaited(pauseMs)
      clock.advance(pauseMs)
    }
    expect([probes, ended()]).toEqual([7, 0])
    isWell = true
    await clock.awaited(30_000)
    clock.advance(30_000)
    await expect.poll(() => addresses.hasOther(new Set([baseUrls[1] ?? '']))).toBe(true)
    expect([clock.waits(), ended()]).toEqual([[], 1])
  })

  test('says how many there are when none is well, and probes no more once it is closed', async () => {
    const { addresses, clock, ended } = createPlain(2)
    for (let turn = 0; turn < 2; turn += 1) addresses.take(none).markDown()
    expect(() => addresses.take(none)).toThrow(
      expect.objectContaining({ code: 'unavailable', message: expect.stringContaining('2 servers') }),
    )
    await addresses.close()
    expect([clock.waits(), ended()]).toEqual([[], 2])
  })
})

describe('a provider of several servers', () => {
  const { hello, begun, failure } = kinds.custom
  let first: CloudServer
  let second: CloudServer
  beforeEach(async () => {
    first = await startCloudServer(streams(hello))
    second = await startCloudServer(streams(hello))
  })
  afterEach(() => Promise.all([first.close(), second.close()]))

  const createWorld = () => createCloudWorld('custom', [first.url, second.url])

  test('spreads its requests', async () => {
    const { provider } = createWorld()
    await Promise.all([1, 2, 3, 4].map(() => listEvents(provider)))
    expect([first.requests.length, second.requests.length]).toEqual([2, 2])
  })

  test.each([
    ['tears the connection', tears],
    ['fails', refuses(503, failure('Loading', 'server_error'))],
    ['answers nonsense', says(200, 'text/html', '<h1>Hi</h1>')],
    ['has no place left', refuses(429, failure('Busy', 'rate_limit'))],
  ])('goes to another at once when one %s', async (_what, script) => {
    first.answer(script)
    const { provider, egress } = createWorld()
    expect(await listEvents(provider)).toHaveLength(4)
    expect(egress.calls).toMatchObject([{ urls: [expect.stringContaining(first.url), expect.stringContaining(second.url)] }])
    await provider.close()
  })

  test('goes to another when one does not begin in time', async () => {
    first.answer(isSilent)
    const { provider, clock } = createWorld()
    const events = listEvents(provider)
    await first.request(0)
    clock.advance(1001)
    expect(await events).toHaveLength(4)
    await provider.close()
  })

  test('never goes to another once an answer has begun', async () => {
    first.answer(tearsAfter(begun))
    const { provider } = createWorld()
    await expect(listEvents(provider)).rejects.toMatchObject({ code: 'upstream' })
    expect(second.requests).toEqual([])
    await provider.close()
  })

  test('does not ask another what all would refuse', async () => {
    first.answer(refuses(400, failure('Bad', 'invalid_request_error')))
    await expect(listEvents(createWorld().provider)).rejects.toMatchObject({ code: 'invalid' })
    expect(second.requests).toEqual([])
  })

  test('takes a server back once its list of models can be had', async () => {
    first.answer(tears)
    const { provider, clock, egress } = createWorld()
    await listEvents(provider)
    await listEvents(provider)
    expect([first.requests.length, second.requests.length]).toEqual([1, 2])
    first.answer(refuses(200, { object: 'list', data: [] }))
    clock.advance(1000)
    expect(await first.request(1)).toMatchObject({ method: 'GET', path: '/v1/models' })
    await expect.poll(() => egress.calls.some(({ intent, ended }) => intent.purpose === 'probe' && ended)).toBe(true)
    first.answer(streams(hello))
    await listEvents(provider)
    await listEvents(provider)
    expect(first.requests).toHaveLength(3)
    await provider.close()
  })

  test('is unavailable when all are down, and waits for none', async () => {
    first.answer(tears)
    second.answer(refuses(500, failure('Oops', 'server_error')))
    const { provider } = createWorld()
    const gone = { code: 'unavailable', message: expect.stringContaining('2 servers') }
    await expect(listEvents(provider)).rejects.toMatchObject(gone)
    await expect(listEvents(provider)).rejects.toMatchObject(gone)
    expect([first.requests.length, second.requests.length]).toEqual([1, 1])
    await provider.close()
  })

  test('closes in the middle of a probe', async () => {
    first.answer(tears)
    const { provider, clock } = createWorld()
    await listEvents(provider)
    first.answer(isSilent)
    clock.advance(1000)
    const { closed } = await first.request(1)
    await provider.close()
    await closed
    expect(clock.waits()).toEqual([])
  })

  test('gives its place back when the loop is left', async () => {
    first.answer(streams(hello))
    const { provider } = createWorld()
    for (let turn = 0; turn < 10; turn += 1) for await (const _event of provider.generate(ask(), never)) break
    expect(Math.abs(first.requests.length - second.requests.length)).toBeLessThanOrEqual(1)
  })
})
