import type { MeasureName } from './arguments.ts'
import { measureCached } from './cached.ts'
import { cpuSeconds, memoryOf } from './processes.ts'
import type { Prompts } from './prompts.ts'
import { sum } from './statistics.ts'
import type { Answer, Ask, Target } from './target.ts'

/** One figure of one round; several where a later percentile is taken over all rounds together. */
export type Figure = Readonly<{ metric: string; values: readonly number[] }>

export type Measuring = Readonly<{ target: Target; prompts: Prompts; clients: readonly number[]; notes: Notes }>

/** Where a measure tells what its reader should know. */
export type Notes = Readonly<{
  promptTokens(metric: string, tokens: number): void
  /** What share of the tokens asked for was generated. */
  share(metric: string, share: number): void
}>

export type Measure = Readonly<{
  applies(target: Target): boolean
  run(measuring: Measuring): Promise<readonly Figure[]>
}>

/** How a metric is summed up over the rounds, and which direction is good. */
export type Metric = Readonly<{ name: string; unit: string; percent: number; better: 'more' | 'less' }>

const ordinaryPrompt = 100
const ordinaryAnswer = 128
const sharedBeginning = 1000
const cachedSeconds = 5

const metric = (name: string, unit: string, better: Metric['better'], percent = 50): Metric => ({ name, unit, better, percent })

/** The metrics of each measure, in the order of the report. */
export function metricsOf(measure: MeasureName, clients: readonly number[]): readonly Metric[] {
  switch (measure) {
    case 'single':
      return [metric('single stream', 'tokens/s', 'more'), metric('first token, 100-token prompt', 'ms', 'less')]
    case 'prompt':
      return promptSizes.map((size) => metric(`prompt of ${size} tokens`, 'tokens/s', 'more'))
    case 'clients':
      return clients.flatMap((count) => [
        metric(`${count} clients`, 'tokens/s', 'more'),
        metric(`${count} clients, p50`, 'ms', 'less'),
        metric(`${count} clients, p95`, 'ms', 'less', 95),
        metric(`${count} clients, first token`, 'ms', 'less'),
      ])
    case 'prefix':
      return [
        metric('first token, new 1,000-token beginning', 'ms', 'less'),
        metric('first token, known 1,000-token beginning', 'ms', 'less'),
      ]
    case 'shared16':
      return [metric('16 clients, one new beginning', 'tokens/s', 'more')]
    case 'copy':
      return [metric('copying from the prompt', 'tokens/s', 'more')]
    case 'cached':
      return [
        metric('cached answers', 'requests/s', 'more'),
        metric('cached answers per core', 'requests/CPU-s', 'more'),
        metric('cached answers, p99', 'ms', 'less'),
      ]
    case 'memory':
      return [metric('memory at 16 clients', 'MiB', 'less'), metric('anonymous memory at 16 clients', 'MiB', 'less')]
    case 'cold':
      return [metric('cold start to first token', 'ms', 'less')]
  }
}

const promptSizes = [512, 1500]
const always = () => true

export const measures: Readonly<Record<MeasureName, Measure>> = {
  single: {
    applies: always,
    async run({ target, prompts, notes }) {
      const ask = { prompt: prompts.text(ordinaryPrompt), maxTokens: 256 }
      const answers = await target.generate([ask])
      notes.share('single stream', generatedShare([ask], answers))
      return [
        { metric: 'single stream', values: answers.map(decodeSpeed) },
        { metric: 'first token, 100-token prompt', values: answers.map(({ firstMs }) => firstMs) },
      ]
    },
  },
  prompt: {
    applies: always,
    async run({ target, prompts, notes }) {
      const figures: Figure[] = []
      for (const size of promptSizes) {
        const name = `prompt of ${size} tokens`
        const answers = await target.generate([{ prompt: prompts.text(size), maxTokens: 1 }])
        for (const { promptTokens } of answers) notes.promptTokens(name, promptTokens)
        figures.push({ metric: name, values: answers.map(({ promptTokens, firstMs }) => (promptTokens / firstMs) * 1000) })
      }
      return figures
    },
  },
  clients: {
    applies: always,
    async run({ target, prompts, clients, notes }) {
      const figures: Figure[] = []
      for (const count of clients) {
        const name = `${count} clients`
        const asks = ordinary(prompts, count)
        const answers = await target.generate(asks)
        notes.share(name, generatedShare(asks, answers))
        const latencies = answers.map(({ endMs }) => endMs)
        figures.push(
          { metric: name, values: [throughput(answers)] },
          { metric: `${name}, p50`, values: latencies },
          { metric: `${name}, p95`, values: latencies },
          { metric: `${name}, first token`, values: answers.map(({ firstMs }) => firstMs) },
        )
      }
      return figures
    },
  },
  prefix: {
    applies: isServer,
    async run({ target, prompts }) {
      const beginning = prompts.text(sharedBeginning)
      const ask = () => ({ prompt: `${beginning} ${prompts.text(20)}`, maxTokens: 8 })
      const [first] = await target.generate([ask()])
      const [second] = await target.generate([ask()])
      return [
        { metric: 'first token, new 1,000-token beginning', values: [first?.firstMs ?? Number.NaN] },
        { metric: 'first token, known 1,000-token beginning', values: [second?.firstMs ?? Number.NaN] },
      ]
    },
  },
  shared16: {
    applies: isServer,
    async run({ target, prompts }) {
      const beginning = prompts.text(sharedBeginning)
      const asks = Array.from({ length: 16 }, () => ({ prompt: `${beginning} ${prompts.text(20)}`, maxTokens: 64 }))
      return [{ metric: '16 clients, one new beginning', values: [throughput(await target.generate(asks))] }]
    },
  },
  copy: {
    applies: always,
    async run({ target, prompts }) {
      const answers = await target.generate([{ prompt: prompts.repeated(300), maxTokens: 200, greedy: true }])
      return [{ metric: 'copying from the prompt', values: answers.map(decodeSpeed) }]
    },
  },
  cached: {
    applies: ({ server }) => server?.dialect === 'simpleia',
    async run({ target, prompts }) {
      const { server } = target
      if (server === undefined) return []
      const [pid] = await server.processes()
      const before = pid === undefined ? Number.NaN : await cpuSeconds(pid)
      const { requests, seconds, p99Ms } = await measureCached(server.url, prompts.text(20), cachedSeconds)
      const used = pid === undefined ? Number.NaN : (await cpuSeconds(pid)) - before
      return [
        { metric: 'cached answers', values: [requests / seconds] },
        { metric: 'cached answers per core', values: [requests / used] },
        { metric: 'cached answers, p99', values: [p99Ms] },
      ]
    },
  },
  memory: {
    applies: isServer,
    async run({ target, prompts }) {
      const { residentBytes, anonymousBytes } = await memoryDuring(target, target.generate(ordinary(prompts, 16)))
      return [
        { metric: 'memory at 16 clients', values: [residentBytes / 2 ** 20] },
        { metric: 'anonymous memory at 16 clients', values: [anonymousBytes / 2 ** 20] },
      ]
    },
  },
  cold: {
    applies: ({ server }) => server?.restart !== undefined,
    async run({ target }) {
      return [{ metric: 'cold start to first token', values: [(await target.server?.restart?.()) ?? Number.NaN] }]
    },
  },
}

function isServer({ server }: Target): boolean {
  return server !== undefined
}

function ordinary(prompts: Prompts, count: number): readonly Ask[] {
  return Array.from({ length: count }, () => ({ prompt: prompts.text(ordinaryPrompt), maxTokens: ordinaryAnswer }))
}

/** Tokens per second from the first text to the last. */
function decodeSpeed({ completionTokens, firstMs, lastMs }: Answer): number {
  return ((completionTokens - 1) / (lastMs - firstMs)) * 1000
}

/** Tokens per second of all together, prompts included in the time. */
function throughput(answers: readonly Answer[]): number {
  return (sum(answers.map(({ completionTokens }) => completionTokens)) / Math.max(...answers.map(({ endMs }) => endMs))) * 1000
}

function generatedShare(asks: readonly Ask[], answers: readonly Answer[]): number {
  return sum(answers.map(({ completionTokens }) => completionTokens)) / sum(asks.map(({ maxTokens }) => maxTokens))
}

const sampleMs = 100

/** The most of each that was seen. NaN where this machine does not tell. */
async function memoryDuring({ server }: Target, work: Promise<unknown>) {
  const pids = (await server?.processes()) ?? []
  let most = { residentBytes: Number.NaN, anonymousBytes: Number.NaN }
  const sample = async () => {
    if (pids.length === 0) return
    const { residentBytes, anonymousBytes } = await memoryOf(pids)
    most = {
      residentBytes: Math.max(residentBytes, most.residentBytes || 0),
      anonymousBytes: Math.max(anonymousBytes, most.anonymousBytes || 0),
    }
  }
  const timer = setInterval(() => void sample(), sampleMs)
  try {
    await work
    await sample()
    return most
  } finally {
    clearInterval(timer)
  }
}
