import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { times } from '../case-count.ts'
import { engineProcesses, openRealHost, type RealHost, realModel, realModelFile } from '../real-host.ts'
import { bodyOf, joinTokens, startServer, type TestServer } from '../server.ts'
import { type ParsedEvent, readEvents } from '../sse-parser.ts'

const question = { prompt: 'La capital de España es', max_length: 40, temperature: 0 }

let real: RealHost
let server: TestServer
let admin: Record<string, string>

beforeAll(async () => {
  real = await openRealHost({ CONTEXT_SIZE: '2048' })
  server = await startServer({ host: real.host, settings: { CACHE_MAX_ENTRIES: '100' } })
  admin = { authorization: `Bearer ${await server.login('root')}` }
})
afterAll(async () => {
  const startedAt = performance.now()
  await server[Symbol.asyncDispose]()
  expect(performance.now() - startedAt).toBeLessThan(5000)
  await real.remove()
})

async function textOf(body: object): Promise<string> {
  const answer = await bodyOf(await server.predict(body))
  return answer.choices[0]?.text ?? ''
}

/** The same request as one that no cache knows: the engine has to work. */
async function streamed(body: object): Promise<string> {
  return (await server.stream(body)).text
}

describe('one question', () => {
  test('is answered by the model on this machine', async () => {
    const answer = await bodyOf(await server.predict(question))
    expect(answer).toMatchObject({ model: realModel, ran_on: 'local', cached: false })
    expect(answer.choices[0]).toMatchObject({ index: 0, finish_reason: 'length', text: expect.stringMatching(/\p{L}{3,}/u) })
    expect(answer.usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 40 })
    expect(answer.timings.tokens_per_second).toBeGreaterThan(0)
  })

  test('has the same answer whole, as a stream, over a socket, and from the cache', async () => {
    const whole = await textOf(question)
    expect(await streamed(question)).toBe(whole)
    using socket = await server.socket()
    socket.send({ ...question, request_id: 'a' })
    const text = joinTokens(await socket.answer('a'))
    expect(text).toBe(whole)
    expect(await bodyOf(await server.predict(question))).toMatchObject({ cached: true, choices: [{ text: whole }] })
  })
})

const prompts = [
  'La capital de España es',
  'The largest planet is',
  'Once upon a time',
  'def fib(n):',
  'In 1969, the first',
  'El Quijote comienza',
  'Water boils at',
  'My favourite colour is',
  'The harbour town kept',
  'A recipe for bread:',
]

describe('repeating', () => {
  test('ten questions at once have the answers that each has alone', async () => {
    for (const seeding of [{ temperature: 0 }, { temperature: 1, seed: 42 }]) {
      const bodies = prompts.map((prompt) => ({ prompt, max_length: 20, ...seeding }))
      const alone: string[] = []
      for (const body of bodies) alone.push(await streamed(body))
      expect(await Promise.all(bodies.map(streamed))).toEqual(alone)
    }
  })

  test('temperature 0 and a seed give the same text each time; other seeds give others', async () => {
    const greedy = await Promise.all(Array.from({ length: 4 }, () => streamed(question)))
    for (let time = 0; time < times(20, 8); time += 1) greedy.push(await streamed(question))
    expect(new Set(greedy).size).toBe(1)
    const seeded = (seed: number) => streamed({ ...question, max_length: 20, temperature: 1, seed })
    const same: string[] = []
    for (let time = 0; time < 5; time += 1) same.push(await seeded(42))
    expect(new Set(same).size).toBe(1)
    expect(new Set([await seeded(1), await seeded(2), await seeded(3), await seeded(4), await seeded(5)]).size).toBeGreaterThan(1)
  })

  test('answers that repeat a passage are the same whether it is guessed from it or not, alone and side by side', async () => {
    const passage =
      'The old lighthouse stood on a rock far from the shore, and every evening a keeper named Thomas climbed its hundred and ' +
      'twelve steps to light the lamp. In winter the waves broke over the lower windows, and once a ship from Norway lost its mast.'
    const bodies = [passage, ...passage.split('. ')].map((text) => {
      return { prompt: `${text}\n\nThe same text once more:\n\n${text.slice(0, 40)}`, max_length: 60, temperature: 0 }
    })
    const plainHost = await openRealHost({ CONTEXT_SIZE: '2048', SPECULATION: 'false' })
    await using plain = await startServer({ host: plainHost.host })
    const plainly: string[] = []
    for (const body of bodies) plainly.push((await plain.stream(body)).text)
    await plainHost.remove()
    const alone: string[] = []
    for (const body of bodies) alone.push(await streamed(body))
    expect(alone).toEqual(plainly)
    expect(await Promise.all(bodies.map(streamed))).toEqual(plainly)
    expect(plainly[0]).toContain('hundred and twelve steps')
  })

  test('holds with a context in 8 bits too', async () => {
    const small = await openRealHost({ CONTEXT_SIZE: '2048', KV_CACHE_TYPE: 'q8_0' })
    await using quantized = await startServer({ host: small.host })
    expect(small.host.selected()?.info?.cacheType).toBe('q8_0')
    const bodies = prompts.map((prompt) => ({ prompt, max_length: 20, temperature: 0 }))
    const ask = async (body: object) => (await quantized.stream(body)).text
    const alone: string[] = []
    for (const body of bodies) alone.push(await ask(body))
    expect(await Promise.all(bodies.map(ask))).toEqual(alone)
    expect(alone[0]).toMatch(/\p{L}{3,}/u)
    await small.remove()
  })

  test('a long prompt has the same answer after others have filled the memory', async () => {
    const story = 'The harbour town kept a careful record of every ship, its cargo and its captain. '.repeat(30)
    const body = { prompt: `${story}After the storm`, max_length: 20, temperature: 0 }
    const first = await streamed(body)
    for (let time = 0; time < 6; time += 1)
      await streamed({ prompt: `${time} ${story.repeat(2)}`, max_length: 4, temperature: 0.5 })
    expect(await streamed(body)).toBe(first)
  })

  test('several answers to one prompt differ, and the first is the one that a single request has', async () => {
    const body = { prompt: 'Once upon a time', max_length: 20, temperature: 1, seed: 7 }
    const answer = await bodyOf(await server.predict({ ...body, num_return_sequences: 3 }))
    const texts = answer.choices.map(({ text }) => text)
    expect(new Set(texts).size).toBe(3)
    expect(texts[0]).toBe(await streamed(body))
    expect(answer.usage).toMatchObject({ completion_tokens: 60 })
  })
})

describe('limits', () => {
  /** "a" once more for each token, as this model's tokenizer has it. */
  const ofTokens = (count: number) => 'a\n'.repeat(Math.floor((count - 1) / 2)) + (count % 2 === 0 ? 'a' : '')

  test('prompts around the sizes of batch and context are answered or refused with both numbers', async () => {
    for (const tokens of [2, 63, 64, 65, 127, 128, 129, 511, 512, 513, 2046, 2047]) {
      const response = await server.predict({ prompt: ofTokens(tokens), max_length: 2, temperature: 0 })
      const { usage } = await bodyOf(response)
      expect([response.status, usage.prompt_tokens]).toEqual([200, tokens])
    }
    for (const tokens of [2048, 2049, 5000]) {
      const response = await server.predict({ prompt: ofTokens(tokens), max_length: 2 })
      expect(response.status).toBe(400)
      expect((await bodyOf(response)).error).toMatchObject({
        code: 'context_length_exceeded',
        message: expect.stringMatching(new RegExp(`${tokens}.*2048`)),
      })
    }
  })

  test('the same on a stream, a socket and the OpenAI dialect', async () => {
    const reasonOn = {
      stream: async (prompt: string) => bodyOf(await server.predict({ prompt, max_length: 2, stream: true })),
      socket: async (prompt: string) => {
        using socket = await server.socket()
        socket.send({ prompt, max_length: 2 })
        return (await socket.answer()).at(-1)
      },
      dialect: async (prompt: string) => {
        const body = JSON.stringify({ prompt, max_tokens: 2 })
        const headers = { 'content-type': 'application/json' }
        return bodyOf(await fetch(`${server.url}/v1/completions`, { method: 'POST', headers, body }))
      },
    }
    for (const ask of Object.values(reasonOn)) {
      for (const tokens of [2048, 2049]) {
        const { error } = (await ask(ofTokens(tokens))) ?? {}
        expect(error).toMatchObject({
          code: 'context_length_exceeded',
          message: expect.stringMatching(new RegExp(`${tokens}.*2048`)),
        })
      }
    }
    expect(await streamed({ prompt: ofTokens(2047), max_length: 2, temperature: 0 })).not.toContain('context_length_exceeded')
  })

  test('an answer without an end stops at the end of the context', async () => {
    const answer = await bodyOf(await server.predict({ prompt: ofTokens(2040), max_length: 100_000, temperature: 0 }))
    expect(answer.usage.completion_tokens).toBeLessThanOrEqual(8)
  })
})

describe('clients that leave', () => {
  test('free their place, before and after the first token', async () => {
    const story = 'The harbour town kept a careful record. '.repeat(150)
    for (let round = 0; round < 12; round += 1) {
      const leaving = new AbortController()
      const body = { prompt: round % 2 === 0 ? story : 'Once upon a time', max_length: 1500, stream: round % 3 !== 0 }
      const answer = server.predict(body, {}, leaving.signal).then((response) => response.text())
      await expect.poll(() => real.host.status().active, { interval: 5 }).toBe(1)
      if (round % 2 === 1) await new Promise((resolve) => setTimeout(resolve, 30 * round))
      leaving.abort()
      await expect(answer).rejects.toThrow()
      await expect.poll(() => real.host.status().active, { timeout: 1000, interval: 5 }).toBe(0)
    }
    expect(await textOf({ ...question, max_length: 3 })).not.toBe('')
  })

  test('four hundred rounds of leaving and staying lose no place', async () => {
    for (let round = 0; round < 100; round += 1) {
      const leaving = new AbortController()
      const asked = [0, 1, 2, 3].map((one) => {
        const body = {
          prompt: `${prompts[(round + one) % prompts.length]} ${round}`,
          max_length: 1 + ((round * 7 + one) % 5),
          stream: true,
        }
        return server.predict(body, {}, one % 2 === 0 ? leaving.signal : undefined).then((response) => response.text())
      })
      setTimeout(() => leaving.abort(), round % 30)
      const ends = await Promise.allSettled(asked)
      for (const end of [ends[1], ends[3]])
        expect(end).toMatchObject({ status: 'fulfilled', value: expect.stringContaining('event: done') })
    }
    await expect.poll(() => real.host.status()).toMatchObject({ active: 0, queued: 0, state: 'ready' })
  })
})

test('two hundred requests in parallel get each its own answer', async () => {
  const wanted = new Map<string, string>()
  const bodies = Array.from({ length: 20 }, (_, index) => ({
    prompt: `${prompts[index % 10]} ${'again '.repeat(index)}`,
    max_length: 6,
    temperature: 0,
  }))
  for (const body of bodies) wanted.set(body.prompt, await streamed(body))
  const asked = Array.from({ length: 180 }, (_, index) => bodies[(index * 7) % 20] ?? question)
  const running = new Set<Promise<void>>()
  for (const body of asked) {
    const one: Promise<void> = streamed(body).then((text) => {
      expect(text).toBe(wanted.get(body.prompt))
      running.delete(one)
    })
    running.add(one)
    if (running.size >= 16) await Promise.race(running)
  }
  await Promise.all(running)
})

describe('an engine whose process is killed', () => {
  test('ends its stream with an error event, and the next request is answered', async () => {
    const before = engineProcesses()
    const events = readEvents(await server.predict({ prompt: 'Once upon a time', max_length: 1500, stream: true }))
    expect((await events.next()).value?.event).toBe('message')
    for (const pid of before) process.kill(pid, 'SIGKILL')
    let end: ParsedEvent | undefined
    for await (const event of events) end = event
    expect(end?.event).toBe('error')
    expect(JSON.parse(end?.data ?? '')).toMatchObject({
      error: { code: 'unavailable', message: expect.stringContaining('SIGKILL') },
    })
    expect(await textOf({ ...question, max_length: 7 })).not.toBe('')
    expect(engineProcesses()).not.toEqual(before)
  })
})

describe('a file that is no whole model', () => {
  const magic = Buffer.from('GGUF')
  const version = Buffer.from([3, 0, 0, 0])
  const count = (value: bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(value)
    return bytes
  }

  async function brokenFiles(): Promise<ReadonlyArray<readonly [string, Uint8Array]>> {
    const whole = await readFile(realModelFile)
    return [
      ['empty', Buffer.alloc(0)],
      ['magic', magic],
      ['header', Buffer.concat([magic, version, count(0n), count(0n)])],
      ['no-key', Buffer.concat([magic, version, count(0n), count(1n), count(0n), Buffer.alloc(4)])],
      ['many-tensors', Buffer.concat([magic, version, count(2n ** 60n), count(0n)])],
      ['many-keys', Buffer.concat([magic, version, count(0n), count(2n ** 60n)])],
      ['page', Buffer.from('<!doctype html><title>Not found</title>')],
      ['half', whole.subarray(0, whole.length / 2)],
      ['nearly', whole.subarray(0, Math.floor(whole.length * 0.99))],
      ['torn-header', whole.subarray(0, 100_000)],
    ]
  }

  test('is refused with a reason, and the model in use answers on', async () => {
    const [pid] = engineProcesses()
    for (const [name, bytes] of await brokenFiles()) {
      await writeFile(join(real.modelsDir, `${name}.gguf`), bytes)
      const response = await fetch(`${server.url}/model`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...admin },
        body: JSON.stringify({ model_name: name }),
      })
      const { error } = await bodyOf(response)
      expect([name, response.status >= 400 && response.status < 500, error.message.length > 10]).toEqual([name, true, true])
    }
    expect(engineProcesses()).toEqual([pid])
    expect(await textOf({ ...question, max_length: 9 })).not.toBe('')
  })
})
