import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { speak } from '../../bench/messages.ts'
import { createAsk, type Result } from '../../bench/soak/ask.ts'
import { checkFindings, checkNames, type Findings } from '../../bench/soak/checks.ts'
import { judge, type KnownAnswer, type Outcome } from '../../bench/soak/judge.ts'
import { runLoad } from '../../bench/soak/load.ts'
import { measureGrowth, type Sample, takeSample } from '../../bench/soak/memory.ts'
import { formatChecks, formatFaults, formatMemory, formatRequests } from '../../bench/soak/report.ts'
import { type Asked, createRequests, kindNames, knownQuestions } from '../../bench/soak/requests.ts'
import { describeHouse, readGauge, untilIdle } from '../../bench/soak/slots.ts'
import { createTally } from '../../bench/soak/tally.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { PredictBody } from '../../src/predict/schema.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

const say = speak('en')
const never = new AbortController().signal
const draw = (seed: number, count: number) => {
  const next = createRequests(seed)
  return Array.from({ length: count }, next)
}

describe('the requests of the load', () => {
  test('are the same for the same seed, and of every kind', () => {
    expect(draw(1, 50)).toEqual(draw(1, 50))
    expect(draw(1, 50)).not.toEqual(draw(2, 50))
    expect(new Set(draw(3, 2000).map(({ kind }) => kind))).toEqual(new Set(kindNames))
  })

  test('ask known questions as they are, but for a seed that makes the cache miss', () => {
    for (const { knownIndex, way, body, kind } of draw(4, 1000)) {
      if (knownIndex === undefined || way === 'chat') continue
      const question = knownQuestions[knownIndex]
      const seed = kind === 'known, whole' || kind === 'leaves a whole answer' ? { seed: expect.any(Number) } : {}
      expect(body).toEqual({ ...question, ...seed })
      if (way === 'stream') expect(question?.num_return_sequences ?? 1).toBe(1)
    }
  })
})

const known: readonly KnownAnswer[] = [
  { texts: ['red and blue'], reasons: ['stop'] },
  { texts: ['one\r\ntwo'], reasons: ['length'] },
]
const streamed: Asked = { kind: 'known, streamed', way: 'stream', body: { prompt: 'x' }, knownIndex: 0 }
const whole = (body: Omit<PredictBody, 'prompt'>): Asked => {
  return { kind: 'short answer', way: 'whole', body: { prompt: 'x', ...body } }
}
const answered = (texts: readonly string[], reasons = texts.map(() => 'stop')): Result => ({ type: 'answered', texts, reasons })
const failed = (code: ErrorCode): Result => ({ type: 'failed', code, message: 'why' })
const faultOf = (asked: Asked, result: Result) => judge(asked, result, known).fault

describe('the verdict on a request', () => {
  test.each<[Outcome, Asked, Result]>([
    ['answered', streamed, answered(['red and blue'])],
    ['answered', { ...streamed, knownIndex: 1 }, answered(['one\ntwo'], ['length'])],
    ['answered', whole({ num_return_sequences: 2, stop: 'z' }), answered(['any', 'text'])],
    ['left', { ...streamed, leave: { afterPieces: 2 } }, { type: 'left', text: 'red a' }],
    ['busy', streamed, failed('busy')],
    ['refused', { ...whole({ temperature: 9 }), refusal: 'invalid' }, failed('invalid')],
  ])('is "%s" where all is as it must be', (outcome, asked, result) => {
    expect(judge(asked, result, known)).toEqual({ outcome })
  })

  test.each<[string, Asked, Result]>([
    ['question 0 got the answer to question 1', streamed, answered(['one\r\ntwo'], ['length'])],
    ['question 0 got another text from character 8 on: "red and green"', streamed, answered(['red and green'])],
    ['question 0 got another text from character 3 on', streamed, answered(['red'])],
    ['ended by length instead of stop', streamed, answered(['red and blue'], ['length'])],
    ['question 0 got another text', { ...streamed, leave: { afterPieces: 2 } }, { type: 'left', text: 'reed' }],
    ['answered instead of invalid', { ...whole({}), refusal: 'invalid' }, answered(['text'])],
    ['unavailable: why', streamed, failed('unavailable')],
    ['invalid: why', streamed, failed('invalid')],
    ['1 answers instead of 2', whole({ num_return_sequences: 2 }), answered(['one'])],
    ['a stop text', whole({ stop: ['.', 'no'] }), answered(['and now'])],
    ['no JSON', whole({ json_schema: {} }), answered(['{"half'])],
  ])('is "%s" where it is not', (fault, asked, result) => {
    expect(faultOf(asked, result)).toContain(fault)
  })

  test('lets a JSON answer be cut at its length', () => {
    expect(faultOf(whole({ json_schema: {} }), answered(['{"half'], ['length']))).toBeUndefined()
  })
})

describe('a client of the load', () => {
  test('gathers streams and whole answers, and names what failed', async () => {
    await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['red ', 'and ', 'blue'] }) }) })
    const ask = createAsk(server.url)
    expect(await ask({ way: 'stream', body: { prompt: 'x' } }, never)).toEqual(answered(['red and blue']))
    const two = { prompt: 'x', num_return_sequences: 2 }
    expect(await ask({ way: 'whole', body: two }, never)).toEqual(answered(['red and blue', 'red and blue']))
    expect(await ask({ way: 'chat', body: { messages: [{ role: 'user', content: 'x' }] } }, never)).toMatchObject({
      texts: ['red and blue'],
    })
    expect(await ask({ way: 'whole', body: { prompt: 'x', model: 'y' } }, never)).toMatchObject({ code: 'not_found' })
  })

  test('leaves after so many pieces, after a time, and when all is over; nothing of it stays in the service', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), contextSize: 1_000_000 })
    await using server = await startServer({ host })
    const ask = createAsk(server.url)
    const body = { prompt: 'x', max_length: 900_000 }
    expect(await ask({ way: 'stream', body, leave: { afterPieces: 2 } }, never)).toMatchObject({
      text: expect.stringMatching(/^word word /),
    })
    expect(await ask({ way: 'stream', body, leave: { afterMs: 0 } }, never)).toMatchObject({ type: 'left' })
    const over = new AbortController()
    const asked = ask({ way: 'whole', body }, over.signal)
    over.abort()
    expect(await asked).toMatchObject({ type: 'left' })
    expect(await untilIdle(new URL(server.url), 5000)).toMatchObject({ active: 0, queued: 0 })
  })

  test.each([
    ['a stream without its last event', 200, {}, 'data: red\n\n', 'unavailable'],
    ['busy without Retry-After', 503, {}, '{"error":{"code":"busy"}}', 'unavailable'],
    ['busy with it', 503, { 'retry-after': '1' }, '{"error":{"code":"busy"}}', 'busy'],
  ])('takes %s for what it is', async (_, status, headers, body, code) => {
    const url = await listen((_request, response) => response.writeHead(status, headers).end(body))
    expect(await createAsk(url)({ way: 'stream', body: { prompt: 'x' } }, never)).toMatchObject({ type: 'failed', code })
  })
})

describe('the load', () => {
  test('asks until it is over, also in crowds, and counts what came', async () => {
    const over = new AbortController()
    const tally = createTally()
    let now = 0
    let most = 0
    const ask = async (): Promise<Result> => {
      now += 1
      most = Math.max(most, now)
      await setImmediate()
      now -= 1
      if (tally.totals().answered >= 100) over.abort()
      return answered(['red and blue'])
    }
    const parts = { ask, createRequests: () => () => streamed, known, tally, seed: 1, elapsedMs: () => 0, pause: async () => {} }
    await runLoad(parts, over.signal)
    expect(tally.totals()).toMatchObject({ busy: 0, wrong: 0 })
    expect(most).toBeGreaterThanOrEqual(42)
  })

  test('sees a wrong answer among right ones, and comes back later where it was sent away', async () => {
    const over = new AbortController()
    const tally = createTally()
    const waits: number[] = []
    const results = [failed('busy'), answered(['red and blue']), answered(['red and blu'])]
    const ask = async () => {
      const result = results.shift()
      if (result === undefined) over.abort()
      return result ?? { type: 'left' as const, text: '' }
    }
    const pause = async (ms: number) => {
      waits.push(ms)
      if (ms > 1000) await new Promise((resolve) => over.signal.addEventListener('abort', resolve))
    }
    const parts = { ask, createRequests: () => () => streamed, known, tally, seed: 1, elapsedMs: () => 61_000, pause }
    await runLoad(parts, over.signal)
    expect(waits).toContain(1000)
    expect(tally.totals()).toMatchObject({ answered: 1, busy: 1, wrong: 1 })
    expect(formatFaults(tally.faults(), say)).toEqual([expect.stringMatching(/minute 1, known, streamed: .*from character 11/)])
    expect(formatRequests(tally)).toMatch(/^known, streamed +1 +\d+ +1 +0 +1$/m)
  })
})

const mebibyte = 2 ** 20
const samplesOf = (memory: (minute: number) => number): readonly Sample[] =>
  Array.from({ length: 60 }, (_, index) => {
    const bytes = memory(index / 6) * mebibyte
    const one = { pid: 1, program: 'main', residentBytes: bytes, anonymousBytes: 50 * mebibyte }
    return { elapsedMs: index * 10_000, processes: [one] }
  })
const growthOf = (memory: (minute: number) => number) => measureGrowth(samplesOf(memory), 5 * 60_000)[0]?.growth

describe('memory', () => {
  test('may do in the first minutes what it likes', () => {
    expect(growthOf((minute) => (minute < 5 ? 10 + 50 * minute : 100))).toBe(0)
  })

  test('has grown by what the last minute, or any time after the settled one, is above it', () => {
    expect(growthOf((minute) => 100 + Math.max(0, minute - 6))).toBeCloseTo(0.038, 2)
    expect(growthOf((minute) => (minute === 7 ? 120 : 100))).toBeCloseTo(0.2)
    expect(growthOf((minute) => (minute < 6 ? 100 : 80))).toBeCloseTo(-0.2)
  })

  test('is told for each process, with the program that it runs', async () => {
    const { processes } = await takeSample([process.pid], 0)
    expect(processes).toMatchObject([{ pid: process.pid, program: expect.any(String) }])
    expect(processes[0]?.residentBytes).toBeGreaterThan(processes[0]?.anonymousBytes ?? Number.NaN)
  })
})

describe('places', () => {
  const answer = (firstMs: number, endMs: number) => ({ promptTokens: 1, completionTokens: 100, firstMs, lastMs: endMs, endMs })

  test('are as many as answers were written at the same time', () => {
    expect(describeHouse([answer(10, 1000), answer(20, 900)])).toEqual({ tokensPerSecond: 200, together: 2 })
    expect(describeHouse([answer(10, 1000), answer(20, 500), answer(500, 2000)]).together).toBe(2)
  })

  test('are read from the metrics of the service', () => {
    expect(readGauge('# HELP a b\na 3\nab 4\n', 'a')).toBe(3)
    expect(readGauge('ab 4', 'a')).toBeNaN()
  })
})

describe('the checks', () => {
  const house = { tokensPerSecond: 100, together: 16 }
  const tally = (outcome: Outcome) => {
    const counted = createTally()
    counted.add('short answer', { outcome: 'answered' }, 0)
    counted.add('short answer', { outcome, ...(outcome === 'wrong' ? { fault: 'why' } : {}) }, 0)
    return counted
  }
  const samples = samplesOf(() => 100)
  const good: Findings = {
    tally: tally('busy'),
    places: 16,
    before: house,
    after: { ...house, tokensPerSecond: 95 },
    occupancy: { active: 0, queued: 0, afterMs: 10 },
    samples,
    growths: measureGrowth(samples, 5 * 60_000),
  }
  const failing = (more: Partial<Findings>) => {
    const checks = checkFindings({ ...good, ...more })
    return checkNames.filter((name) => !checks[name])
  }
  const restarted = { elapsedMs: 600_000, processes: [{ pid: 2, program: 'main', residentBytes: 1, anonymousBytes: 1 }] }
  const grown = measureGrowth(
    samplesOf((minute) => 100 + minute),
    5 * 60_000,
  )

  test('pass where nothing is wrong', () => {
    expect(failing({})).toEqual([])
  })

  test.each<[string, Partial<Findings>]>([
    ['answers', { tally: tally('wrong') }],
    ['answers', { tally: createTally() }],
    ['places', { occupancy: { active: 1, queued: 0, afterMs: 10 } }],
    ['places', { after: { ...house, together: 15 } }],
    ['speed', { after: { ...house, tokensPerSecond: 89 } }],
    ['memory', { growths: [] }],
    ['processes', { samples: [...samples, restarted] }],
  ])('fail by "%s" for what is wrong', (name, more) => {
    expect(failing(more)).toEqual([name])
  })

  test('fail by "memory" where any process has grown', () => {
    expect(failing({ growths: [...good.growths, ...grown] })).toEqual([])
    expect(formatMemory(grown, 5)).toMatch(/^main, resident +105\.5 +109\.3 +109\.8 +4\.1 %$/m)
    expect(
      failing({
        growths: measureGrowth(
          samplesOf((minute) => 100 + 2 * minute),
          5 * 60_000,
        ),
      }),
    ).toEqual(['memory'])
  })

  test('are told one by one', () => {
    const lines = formatChecks({ ...checkFindings(good), speed: false }, say)
    expect(lines.filter((line) => line.startsWith('✗'))).toEqual([expect.stringContaining('as fast')])
    expect(lines).toHaveLength(checkNames.length)
  })
})

const opened: Server[] = []
afterEach(() => {
  for (const server of opened.splice(0)) server.close()
})

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  opened.push(server)
  await once(server, 'listening')
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}
