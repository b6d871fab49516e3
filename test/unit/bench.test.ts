import { createServer } from 'node:http'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readBenchArguments } from '../../bench/arguments.ts'
import { measureCached } from '../../bench/cached.ts'
import { dialects } from '../../bench/dialects.ts'
import { type Reply, splitStream } from '../../bench/exchange.ts'
import { runBench } from '../../bench/main.ts'
import { speak } from '../../bench/messages.ts'
import { createPrompts } from '../../bench/prompts.ts'
import { formatTable, summarize } from '../../bench/report.ts'
import { readReply } from '../../bench/servers.ts'
import { percentile, rotate } from '../../bench/statistics.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

const say = speak('en')

describe('the words after bench', () => {
  test('name peers, with a dialect or without', () => {
    const { peers } = readBenchArguments(['--peer', 'a=http://127.0.0.1:1', '--peer', 'b=http://127.0.0.1:2/,ollama'], say)
    expect(peers).toEqual([
      { name: 'a', url: 'http://127.0.0.1:1', dialect: undefined, command: undefined },
      { name: 'b', url: 'http://127.0.0.1:2/', dialect: 'ollama', command: undefined },
    ])
  })

  test('start a peer, or a server of ours', () => {
    const { peers } = readBenchArguments(['--peer', 'a=http://127.0.0.1:1', '--start', 'a=x --y=z', '--start', 'b=node c'], say)
    expect(peers.map(({ name, url, command }) => [name, url, command])).toEqual([
      ['a', 'http://127.0.0.1:1', 'x --y=z'],
      ['b', undefined, 'node c'],
    ])
  })

  test.each([
    [['--peer', 'a'], '--peer must look like'],
    [['--peer', 'a=http://x,grpc'], '--peer must look like'],
    [['--peer', 'a=http://x', '--peer', 'a=http://y'], 'a name of its own'],
    [['--rounds', '0'], '--rounds must be a whole number from 1'],
    [['--clients', '1,x'], '--clients must be'],
    [['--only', 'speed'], 'no measure "speed"'],
    [['--speed'], '--speed'],
  ])('%j is refused with what was expected', (args, message) => {
    expect(() => readBenchArguments(args, say)).toThrow(message)
  })
})

describe('figures', () => {
  test('a percentile lies between the values around its place', () => {
    expect(percentile([4, 1, 3, 2], 50)).toBe(2.5)
    expect(percentile([5, 1, 3], 50)).toBe(3)
    expect(percentile([1, 2, 3, 4, 5], 95)).toBeCloseTo(4.8)
    expect(percentile([], 50)).toBeNaN()
  })

  test('each target stands at each place once in as many rounds as there are targets', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 6 }), fc.nat(50), (list, first) => {
        const rounds = list.map((_, round) => rotate(list, first + round))
        for (const place of list.keys()) expect(new Set(rounds.map((order) => order[place]))).toEqual(new Set(list))
      }),
    )
  })

  test('the table holds medians, and ratios to the first target', () => {
    const values = new Map([
      [
        'single stream',
        new Map([
          ['ours', [[90], [110], [100]]],
          ['theirs', [[50], [40], [60]]],
        ]),
      ],
    ])
    const summaries = summarize(values, ['single'], [])
    expect(summaries).toEqual([{ metric: 'single stream', unit: 'tokens/s', values: { ours: 100, theirs: 50 } }])
    expect(formatTable(summaries, ['ours', 'theirs'])).toMatch(/single stream +tokens\/s +100 +50\.0 +2\.00×$/m)
  })

  test('prompts are the same for the same seed, and unlike each other', () => {
    const [one, same, other] = [createPrompts(1), createPrompts(1), createPrompts(2)].map((prompts) => prompts.text(100))
    expect(one).toBe(same)
    expect(one).not.toBe(other)
    expect(one?.split(' ')).toHaveLength(99)
  })
})

describe('streams', () => {
  test('are cut into the same events however they arrive', () => {
    const text = 'data: uno €\n\ndata: dos\n\nevent: done\ndata: {}\n\n'
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: Buffer.byteLength(text) })), (cuts) => {
        const bytes = Buffer.from(text)
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        const arrivals = places.slice(1).map((end, index) => ({ atMs: index, bytes: bytes.subarray(places[index], end) }))
        expect([...splitStream(arrivals, '\n\n')].map((event) => event.text)).toEqual(text.split('\n\n').slice(0, 3))
      }),
    )
  })

  test.each([
    ['simpleia', 'data: hi', 'event: done\ndata: {"usage":{"prompt_tokens":3,"completion_tokens":2}}'],
    [
      'llama',
      'data: {"content":"hi","stop":false}',
      'data: {"content":"","stop":true,"tokens_evaluated":3,"tokens_predicted":2}',
    ],
    ['ollama', '{"response":"hi","done":false}', '{"response":"","done":true,"prompt_eval_count":3,"eval_count":2}'],
    ['openai', 'data: {"choices":[{"text":"hi"}]}', 'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'],
  ] as const)('of %s tell text and token counts', (name, piece, end) => {
    expect(dialects[name].read(piece)).toMatchObject({ hasText: true })
    expect(dialects[name].read(end)).toMatchObject({ hasText: false, usage: { promptTokens: 3, completionTokens: 2 } })
  })

  test.each([
    ['simpleia', 'event: error\ndata: {"error":{}}'],
    ['llama', 'error: {"code":500}'],
    ['ollama', '{"error":"no such model"}'],
    ['openai', 'data: {"error":{"message":"no"}}'],
  ] as const)('of %s tell a failure', (name, event) => {
    expect(dialects[name].read(event).failure).toBeDefined()
  })

  const brokenOff = (event: string, separator: string): Reply => {
    const arrivals = [10, 20, 30].map((atMs) => ({ atMs, bytes: Buffer.from(event + separator) }))
    return { status: 200, arrivals, endMs: 40 }
  }
  const refuse = (reason: string) => new AppError('upstream', reason)

  test('of ollama that break off without counts are taken for a token a piece', () => {
    const reply = brokenOff('{"response":"hi","done":false}', '\n')
    const answer = readReply(dialects.ollama, reply, refuse)
    expect(answer).toEqual({ promptTokens: Number.NaN, completionTokens: 3, firstMs: 10, lastMs: 30, endMs: 40 })
  })

  test('of another server that break off without counts are refused', () => {
    const reply = brokenOff('data: {"content":"hi","stop":false}', '\n\n')
    expect(() => readReply(dialects.llama, reply, refuse)).toThrow('without its token counts')
  })
})

async function bench(args: readonly string[]): Promise<string> {
  const lines: string[] = []
  const write = (line: string) => lines.push(line)
  const quiet = ['--no-bare', '--force', '--rounds', '1', ...args]
  await runBench({ args: quiet, language: 'en', version: '0', modelsDir: '/nowhere', write, tell: () => {} })
  return lines.join('\n')
}

describe('cached answers', () => {
  test('are counted and timed, and the model wrote only the first', async () => {
    await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['mundo'] }) }) })
    const { requests, seconds, p99Ms } = await measureCached(new URL(server.url), 'Hola', 1)
    expect(requests).toBeGreaterThan(0)
    expect(seconds).toBeGreaterThan(0)
    expect(p99Ms).toBeGreaterThanOrEqual(0)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/^simpleia_cache_misses_total 1$/m)
  })

  test('that were refused are no measurement', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['mundo'] }) })
    await using server = await startServer({ host, settings: { RATE_LIMIT_REQUESTS: '2' } })
    await expect(measureCached(new URL(server.url), 'Hola', 1)).rejects.toThrow('requests for a cached answer failed')
  })
})

describe('a run', () => {
  test('measures servers side by side, each in its own dialect', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), contextSize: 20_000, cacheSize: 200_000 })
    await using server = await startServer({ host })
    const url = server.url
    const report = await bench([
      ...[
        '--peer',
        `one=${url}`,
        '--peer',
        `two=${url},openai`,
        '--only',
        'single,prompt,clients,prefix,copy',
        '--clients',
        '1,2',
      ],
    ])
    expect(report).toMatch(/unit +one +two +ratio/)
    expect(report).toMatch(/single stream +tokens\/s +[\d.,]+ +[\d.,]+ +[\d.]+×/)
    expect(report).toMatch(/2 clients, p95 +ms +[\d.,]+ +[\d.,]+ +[\d.]+×/)
    expect(report).toMatch(/known 1,000-token beginning +ms/)
    expect(report).not.toContain('ended early')
  })

  test('says when texts ended early', async () => {
    await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a', 'b'] }) }) })
    expect(await bench(['--peer', `short=${server.url}`, '--only', 'single'])).toMatch(
      /short, single stream: only \d+ % of the tokens/,
    )
  })

  test('says which server does not answer', async () => {
    await expect(bench(['--peer', 'gone=http://127.0.0.1:1,llama', '--only', 'single'])).rejects.toThrow('127.0.0.1:1')
  })

  test('says what a server answered that refused', async () => {
    const refusing = createServer((_, response) => response.writeHead(400).end('{"error":"no"}')).listen(0, '127.0.0.1')
    await new Promise((resolve) => refusing.once('listening', resolve))
    const address = refusing.address()
    const port = typeof address === 'object' ? address?.port : 0
    await expect(bench(['--peer', `no=http://127.0.0.1:${port},llama`])).rejects.toThrow('no could not answer: {"error":"no"}')
    refusing.close()
  })
})
