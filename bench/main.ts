import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createCloser } from '../src/closer.ts'
import type { Language } from '../src/config/kinds.ts'
import { AppError } from '../src/errors.ts'
import { type BenchOptions, measureNames, type PeerOptions, readBenchArguments } from './arguments.ts'
import { openBareLoop } from './bare-target.ts'
import { busyShare, calmShare, describeMachine, waitUntilCalm } from './machine.ts'
import { measures } from './measures.ts'
import { type Say, speak } from './messages.ts'
import { createPrompts } from './prompts.ts'
import { formatTable, summarize } from './report.ts'
import { openServer } from './servers.ts'
import { rotate } from './statistics.ts'
import type { Target } from './target.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
/** How long to wait for a calm machine before each measurement. */
const calmLimitMs = 10_000

export type BenchParts = Readonly<{
  args: readonly string[]
  language: Language
  version: string
  modelsDir: string
  write(line: string): void
  /** What is not the result: progress, warnings. */
  tell(line: string): void
}>

/** Measures all servers in alternating rounds and writes a table. Throws `invalid`, `unavailable` or `upstream` in the person's language. */
export async function runBench({ args, language, version, modelsDir, write, tell }: BenchParts): Promise<void> {
  const say = speak(language)
  const options = readBenchArguments(args, say)
  if (options.help) return write(say('help', { program: 'simpleia', measures: measureNames.join(', ') }))
  const busy = await busyShare(1000)
  if (busy > calmShare && !options.force) {
    throw new AppError('busy', say('busy', { share: percentOf(busy), limit: percentOf(calmShare) }))
  }
  const closer = createCloser()
  // Servers that were started here must not outlive it.
  const stop = () => void closer.close().finally(() => process.exit(1))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  try {
    const targets = await openTargets({ options, modelsDir, say, use: closer.use })
    const about = { ...describeTargets(targets), version, node: process.version, machine: describeMachine(), date: new Date() }
    write(formatHead(about, options))
    const { values, notes } = await measureAll(targets, options, (line) => tell(line), say)
    const summaries = summarize(values, options.only, options.clients)
    write(
      formatTable(
        summaries,
        targets.map(({ name }) => name),
      ),
    )
    for (const note of notes) write(note)
    if (options.json !== undefined) {
      await writeFile(
        options.json,
        `${JSON.stringify({ ...about, options, summaries, rounds: plain(values), notes }, null, 2)}\n`,
      )
    }
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
    await closer.close()
  }
}

const percentOf = (share: number) => Math.round(share * 100)

type Opening = Readonly<{ options: BenchOptions; modelsDir: string; say: Say; use: ReturnType<typeof createCloser>['use'] }>

/** Ours first, then the peers, then the bare loop. */
async function openTargets({ options, modelsDir, say, use }: Opening): Promise<readonly Target[]> {
  const file = options.file ?? (await firstModel(modelsDir))
  const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-bench-'))
  use({ close: () => rm(dataDir, { recursive: true, force: true }) })
  const environment = {
    HOST: '127.0.0.1',
    DATA_DIR: dataDir,
    CONFIG_FILE: join(dataDir, 'config.json'),
    RATE_LIMIT_REQUESTS: '1000000',
    RATE_LIMIT_WINDOW_SECONDS: '1',
    LOG_LEVEL: 'warn',
    ALLOW_ANONYMOUS: 'true',
    ...(file === undefined ? {} : { MODELS_DIR: dirname(resolve(file)), DEFAULT_MODEL: basename(file) }),
  }
  const sampling = { temperature: options.temperature, topK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1 }
  const servers: Target[] = []
  const open = async (peer: PeerOptions) => {
    const target = await openServer(peer, { sampling, model: options.model, environment, say })
    use(target.server)
    servers.push(target)
  }
  for (const peer of options.peers) await open(peer)
  const isOurs = ({ server }: Target) => server?.dialect === 'simpleia'
  const command = `'${process.execPath}' '${join(root, 'src', 'main.ts')}' api`
  const needsModel = () => file ?? fail(say('noModel', { folder: modelsDir }))
  if (!servers.some(isOurs) && needsModel()) await open({ name: 'simpleia', url: undefined, dialect: 'simpleia', command })
  const targets = [...servers.filter(isOurs), ...servers.filter((target) => !isOurs(target))]
  if (!options.bare) return targets
  for (const weights of ['repacked', 'as-stored'] as const) {
    targets.push(use(await openBareLoop({ file: resolve(needsModel()), threads: options.threads, weights })))
  }
  return targets
}

function fail(message: string): never {
  throw new AppError('not_found', message)
}

async function firstModel(folder: string): Promise<string | undefined> {
  const files = await readdir(folder).catch(() => [])
  const file = files.sort().find((name) => name.endsWith('.gguf'))
  return file === undefined ? undefined : join(folder, file)
}

/** Each measure in alternating rounds: what drifts, drifts for all. */
async function measureAll(targets: readonly Target[], options: BenchOptions, tell: (line: string) => void, say: Say) {
  const values = new Map<string, Map<string, Array<readonly number[]>>>()
  const promptTokens = new Map<string, number>()
  const shares = new Map<string, number[]>()
  const failures = new Map<string, string>()
  let total = 0
  let disturbed = 0
  for (const target of targets) await target.generate([{ prompt: createPrompts(1).text(50), maxTokens: 16 }])
  for (const measure of options.only) {
    const { applies, run } = measures[measure]
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const target of rotate(targets.filter(applies), round)) {
        const failureKey = `${target.name} ${measure}`
        if (failures.has(failureKey)) continue
        tell(say('progress', { measure, round, rounds: options.rounds, server: target.name }))
        total += 1
        if (!options.force && (await waitUntilCalm(calmLimitMs)) > calmShare) disturbed += 1
        const notes = {
          promptTokens: (metric: string, tokens: number) => promptTokens.set(metric, tokens),
          share(metric: string, share: number) {
            const key = say('fewTokens', { server: target.name, measure: metric })
            shares.set(key, [...(shares.get(key) ?? []), share])
          },
        }
        // The same prompts for each target of a round, others in each round and measure.
        const prompts = createPrompts(round * 100 + measureNames.indexOf(measure))
        const figures = await run({ target, prompts, clients: options.clients, notes }).catch((error: unknown) => {
          // What one server cannot do is no reason to lose what the others did.
          if (!(error instanceof AppError)) throw error
          failures.set(failureKey, say('failed', { server: target.name, measure, reason: error.message }))
          return []
        })
        for (const figure of figures) {
          const ofMetric = values.get(figure.metric) ?? new Map<string, Array<readonly number[]>>()
          values.set(figure.metric, ofMetric)
          ofMetric.set(target.name, [...(ofMetric.get(target.name) ?? []), figure.values])
        }
      }
    }
  }
  return { values, notes: [...failures.values(), ...listNotes({ promptTokens, shares, total, disturbed, say })] }
}

type Noted = Readonly<{
  promptTokens: ReadonlyMap<string, number>
  shares: ReadonlyMap<string, readonly number[]>
  total: number
  disturbed: number
  say: Say
}>

/** So much less than was asked for makes figures hard to compare. */
const fewTokens = 0.9

function listNotes({ promptTokens, shares, total, disturbed, say }: Noted): readonly string[] {
  const list = [...promptTokens].map(([metric, tokens]) => `${metric}: ${tokens}`).join(', ')
  const short = [...shares]
    .map(([text, all]) => ({ text, share: Math.min(...all) }))
    .filter(({ share }) => share < fewTokens)
    .map(({ text, share }) => text.replace('{share}', String(percentOf(share))))
  return [
    ...(list === '' ? [] : [say('promptTokens', { list })]),
    ...short,
    ...(disturbed === 0 ? [] : [say('notCalm', { count: disturbed, total })]),
  ]
}

function describeTargets(targets: readonly Target[]) {
  return {
    targets: targets.map(({ name, server }) => {
      return { name, url: server?.url.href, dialect: server?.dialect, version: server?.version }
    }),
  }
}

type About = ReturnType<typeof describeTargets> &
  Readonly<{ version: string; node: string; machine: ReturnType<typeof describeMachine>; date: Date }>

function formatHead(
  { targets, version, node, machine, date }: About,
  { file, temperature, threads, rounds }: BenchOptions,
): string {
  const load = machine.load.map((value) => value.toFixed(2)).join(' ')
  return [
    `simpleIA ${version} · Node.js ${node} · ${date.toISOString()}`,
    `${machine.cpu} · ${machine.cores} cores · ${machine.system} · load ${load}`,
    `model ${file === undefined ? 'of the servers' : basename(file)} · temperature ${temperature} · bare loop ${threads} threads · ${rounds} rounds`,
    ...targets.map(({ name, url = '', version: theirs = '' }) => [name, url, theirs].filter(Boolean).join(' · ')),
  ].join('\n')
}

const plain = (values: ReadonlyMap<string, ReadonlyMap<string, unknown>>) =>
  Object.fromEntries([...values].map(([metric, targets]) => [metric, Object.fromEntries(targets)]))
