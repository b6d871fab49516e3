import { describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { measured } from '../measured.ts'
import { bodyOf, joinTokens, startServer, type TestServer } from '../server.ts'

const requests = 1000
const parallel = 16

/** Asks in one of three ways, leaves early in one of five cases; gives the text, or undefined when it left. */
async function askSomehow(server: TestServer, number: number): Promise<string | undefined> {
  const body = { prompt: `marker-${number}-`, max_length: 50 }
  const leaves = number % 5 === 0
  const gone = new AbortController()
  switch (number % 3) {
    case 0: {
      if (leaves) setTimeout(() => gone.abort(), number % 7)
      const answer = await server.predict(body, {}, gone.signal).then(bodyOf, () => undefined)
      return answer?.choices[0]?.text
    }
    case 1: {
      if (!leaves) return (await server.stream(body)).text
      const response = await server.predict({ ...body, stream: true }, {}, gone.signal)
      await response.body?.getReader().read()
      gone.abort()
      return undefined
    }
    default: {
      using socket = await server.socket()
      socket.send(body)
      if (!leaves) return joinTokens(await socket.answer())
      await socket.next()
      return undefined
    }
  }
}

test('a thousand answers in all ways, with some who leave, are each for the one who asked', async () => {
  const host = createFakeEngine({ answer: (prompt) => ({ pieces: [...`<${prompt}>`] }) })
  await using server = await startServer({ host })
  let next = 0
  let answered = 0
  async function worker(): Promise<void> {
    while (next < requests) {
      const number = next
      next += 1
      const text = await askSomehow(server, number)
      if (text === undefined) continue
      expect(text).toBe(`<marker-${number}->`)
      answered += 1
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  expect(answered).toBeGreaterThanOrEqual(requests * 0.8)
  await expect.poll(() => host.status().active).toBe(0)
}, 60_000)

describe('overload', () => {
  test('one runs, two wait in order, the others are told so at once', measured, async () => {
    const started: string[] = []
    const host = createFakeEngine({
      answer: (prompt) => {
        if (!started.includes(prompt)) started.push(prompt)
        return { pieces: Array(20).fill('w ') }
      },
      parallel: 1,
      maxQueue: 2,
      pauseMs: 10,
    })
    await using server = await startServer({ host })
    const first = server.predict({ prompt: 'first' })
    await expect.poll(() => host.status().active).toBe(1)
    const second = server.predict({ prompt: 'second' })
    await expect.poll(() => host.status().queued).toBe(1)
    const third = server.predict({ prompt: 'third' })
    await expect.poll(() => host.status().queued).toBe(2)

    const start = performance.now()
    const refused = await Promise.all(['a', 'b', 'c'].map((prompt) => server.predict({ prompt })))
    expect(performance.now() - start).toBeLessThan(200)
    expect(refused.map(({ status }) => status)).toEqual([503, 503, 503])
    for (const { headers } of refused) expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    expect((await bodyOf(refused[0] ?? new Response())).error.code).toBe('busy')

    expect((await Promise.all([first, second, third])).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(started).toEqual(['first', 'second', 'third'])
    expect([host.status().active, host.status().queued]).toEqual([0, 0])
  })

  test('one who leaves the queue never runs, and makes room', async () => {
    const started: string[] = []
    const host = createFakeEngine({
      answer: (prompt) => {
        if (!started.includes(prompt)) started.push(prompt)
        return { pieces: Array(20).fill('w ') }
      },
      parallel: 1,
      maxQueue: 1,
      pauseMs: 10,
    })
    await using server = await startServer({ host })
    const first = server.predict({ prompt: 'first' })
    await expect.poll(() => host.status().active).toBe(1)
    const gone = new AbortController()
    const leaver = server.predict({ prompt: 'leaver' }, {}, gone.signal).catch(() => undefined)
    await expect.poll(() => host.status().queued).toBe(1)
    gone.abort()
    await leaver
    await expect.poll(() => host.status().queued).toBe(0)
    const short = server.predict({ prompt: 'short', max_length: 1 })
    expect((await Promise.all([first, short])).map(({ status }) => status)).toEqual([200, 200])
    expect(started).toEqual(['first', 'short'])
  })
})
