import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer } from '../server.ts'

const host = () => createFakeEngine({ answer: () => ({ pieces: ['a'] }) })
const limited = (requests: number, settings: Record<string, string> = {}) =>
  startServer({ host: host(), settings: { RATE_LIMIT_REQUESTS: String(requests), ...settings } })

describe('past the limit', () => {
  test('the answer is 429 with the time to wait; after it the next request passes', async () => {
    await using server = await limited(2, { RATE_LIMIT_WINDOW_SECONDS: '1' })
    const answers = []
    for (let request = 0; request < 4; request += 1) answers.push(await server.predict({ prompt: 'x' }))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 429])
    expect(answers.map(({ headers }) => headers.get('ratelimit-remaining'))).toEqual(['1', '0', '0', '0'])
    expect(answers.map(({ headers }) => headers.get('ratelimit-limit'))).toEqual(['2', '2', '2', '2'])
    expect(answers.map(({ headers }) => headers.get('retry-after'))).toEqual([null, null, '1', '1'])
    const { error } = await bodyOf(answers[3] ?? new Response())
    expect(error).toMatchObject({ code: 'rate_limited', retry_after_seconds: 1 })
    await sleep(1000)
    expect((await server.predict({ prompt: 'x' })).status).toBe(200)
  })

  test('Retry-After is a whole number of seconds within the window', async () => {
    await using server = await limited(1)
    await server.predict({ prompt: 'x' })
    const seconds = (await server.predict({ prompt: 'x' })).headers.get('retry-after')
    expect(seconds).toMatch(/^\d+$/)
    expect(Number(seconds)).toBeGreaterThanOrEqual(1)
    expect(Number(seconds)).toBeLessThanOrEqual(60)
  })
})

test('a clock that jumps neither opens nor prolongs a window', async () => {
  let nowMs = Date.UTC(2026, 0, 1)
  await using server = await startServer({ host: host(), settings: { RATE_LIMIT_REQUESTS: '1' }, now: () => nowMs })
  await server.predict({ prompt: 'x' })
  for (const jumpMs of [86_400_000, -2 * 86_400_000]) {
    nowMs += jumpMs
    const { status, headers } = await server.predict({ prompt: 'x' })
    expect(status).toBe(429)
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60)
  }
})

describe('one client', () => {
  const disguises = (number: number): Record<string, string> => {
    const address = `10.0.${Math.floor(number / 250)}.${number % 250}`
    return { 'x-forwarded-for': address, 'x-real-ip': address, forwarded: `for=${address}` }
  }

  test('stays one, whatever addresses it claims in its headers', async () => {
    await using server = await limited(10)
    let passed = 0
    for (let number = 0; number < 200; number += 1) {
      if ((await server.predict({ prompt: 'x' }, disguises(number))).status === 200) passed += 1
    }
    expect(passed).toBe(10)
  })

  test('behind a trusted proxy is the right-most address that the proxy did not make', async () => {
    await using server = await limited(1, { TRUST_PROXY: '127.0.0.1,10.9.0.0/16' })
    const ask = async (forwardedFor: string) =>
      (await server.predict({ prompt: 'x' }, { 'x-forwarded-for': forwardedFor })).status
    expect(await ask('1.1.1.1, 203.0.113.7')).toBe(200)
    expect(await ask('2.2.2.2, 203.0.113.7')).toBe(429)
    expect(await ask('3.3.3.3, 203.0.113.7, 10.9.1.1')).toBe(429)
    expect(await ask('203.0.113.8')).toBe(200)
  })

  test('is a /64 network where it speaks IPv6', async () => {
    await using server = await limited(1, { TRUST_PROXY: '127.0.0.1' })
    const ask = async (forwardedFor: string) =>
      (await server.predict({ prompt: 'x' }, { 'x-forwarded-for': forwardedFor })).status
    expect(await ask('2001:db8:1:2::1')).toBe(200)
    expect(await ask('2001:db8:1:2:ffff::9')).toBe(429)
    expect(await ask('2001:db8:1:3::1')).toBe(200)
    expect(await ask('::ffff:203.0.113.9')).toBe(200)
    expect(await ask('203.0.113.9')).toBe(429)
  })

  test('is a user where there is one, apart from others at the same address', async () => {
    await using server = await limited(1)
    const [ana, bea] = [await server.login('ana'), await server.login('bea')]
    const ask = async (token?: string) =>
      (await server.predict({ prompt: 'x' }, token === undefined ? {} : { authorization: `Bearer ${token}` })).status
    expect([await ask(ana), await ask(ana), await ask(bea), await ask(), await ask()]).toEqual([200, 429, 200, 200, 429])
  })
})

test('addresses that lead nowhere are limited too, health checks are not', async () => {
  await using server = await limited(10)
  const statuses = new Map<number, number>()
  for (let round = 0; round < 21; round += 1) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, number) => fetch(`${server.url}/nowhere-${round}-${number}`)),
    )
    for (const answer of answers) {
      await answer.arrayBuffer()
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    }
  }
  expect([...statuses]).toEqual([
    [404, 1000],
    [429, 50],
  ])
  expect((await fetch(`${server.url}/model`)).status).toBe(429)
  expect((await fetch(`${server.url}/health`)).status).toBe(200)
  expect((await fetch(`${server.url}/health/ready`)).status).toBe(200)
})
