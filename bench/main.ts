import { writeFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { createCloser } from '../src/closer.ts'
import type { Language } from '../src/config/kinds.ts'
import { AppError } from '../src/errors.ts'
import { type BenchOptions, measureNames, type PeerOptions, readBenchArguments } from './arguments.ts'
import { openBareLoop } from './bare-target.ts'
import { type About, busyShare, calmShare, describeMachine, formatAbout, waitUntilCalm } from './machine.ts'
import { measures } from './measures.ts'
import { type Say, speak } from './messages.ts'
import { createOwnEnvironment, firstModel, ownServer } from './own-server.ts'
import { createPrompts } from './prompts.ts'
import { formatTable, summarize } from './report.ts'
import { openServer, usualSampling } from './servers.ts'
import { runSoak } from './soak/soak.ts'
import { rotate } from './statistics.ts'
import type { Target } from './target.ts'

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

/**
 * Measures all servers in alternating rounds and writes a table, or soaks our own. Throws `invalid`, `unavailable` or `upstream` in
 * the person's language, and `internal` when the service fails a check of the soak.
 */
export async function runBench({ args, language, version, modelsDir, write, tell }: BenchParts): Promise<void> {
  const say = speak(language)
  const options = readBenchArguments(args, say)
  if (options.help) return write(say('help', { program: 'simpleia', measures: measureNames.join(', ') }))
  const busy = await busyShare(1000)
  if (busy > calmShare && !options.force) {
    throw new AppError('busy', say('busy', { share: percentOf(busy), limit: percentOf(calmShare) }))
  }
  const file = options.file ?? (await firstModel(modelsDir))
  const getFile = () => file ?? fail(say('noModel', { folder: modelsDir }))
  const about = { version, node: process.version, machine: describeMachine(), date: new Date() }
  const closer = createCloser()
  // Servers that were started here must not outlive it.
  const stop = () => void closer.close().finally(() => process.exit(1))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  try {
    const { json, soak } = options
    if (soak === undefined) await compareServers({ options, file, getFile, about, say, write, tell, use: closer.use })
    else await runSoak({ file: getFile(), minutes: soak, json, about, say, write, tell, use: closer.use })
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
    await closer.close()
  }
}

type Comparing = Readonly<{
  options: BenchOptions
  file: string | undefined
  /** Throws `not_found` where there is none. */
  getFile(): string
  about: About
  say: Say
  write(line: string): void
  tell(line: string): void
  use: ReturnType<typeof createCloser>['use']
}>

async function compareServers(comparing: Comparing): Promise<void> {
  const { options, say, write, tell } = comparing
  const targets = await openTargets(comparing)
  const about = { ...describeTargets(targets), ...comparing.about }
  write(formatHead(about, options))
  const { values, notes } = await measureAll(targets, options, tell, say)
  const summaries = summarize(values, options.only, options.clients)
  write(
    formatTable(
      summaries,
      targets.map(({ name }) => name),
    ),
  )
  for (const note of notes) write(note)
  if (options.json === undefined) return
  const everything = { ...about, options, summaries, rounds: plain(values), notes }
  await writeFile(options.json, `${JSON.stringify(everything, null, 2)}\n`)
}

const percentOf = (share: number) => Math.round(share * 100)

/** Ours first, then the peers, then the bare loop. */
async function openTargets({ options, file, getFile, say, use }: Comparing): Promise<readonly Target[]> {
  const { environment } = use(await createOwnEnvironment(file))
  const sampling = { ...usualSampling, temperature: options.temperature }
  const servers: Target[] = []
  const open = async (peer: PeerOptions) => {
    const target = await openServer(peer, { sampling, model: options.model, environment, say })
    use(target.server)
    servers.push(target)
  }
  for (const peer of options.peers) await open(peer)
  const isOurs = ({ server }: Target) => server?.dialect === 'simpleia'
  if (!servers.some(isOurs) && getFile()) await open(ownServer)
  const targets = [...servers.filter(isOurs), ...servers.filter((target) => !isOurs(target))]
  if (!options.bare) return targets
  targets.push(use(await openBareLoop({ file: resolve(getFile()), threads: options.threads })))
  return targets
}

function fail(message: string): never {
  throw new AppError('not_found', message)
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

function formatHead(
  { targets, ...about }: About & ReturnType<typeof describeTargets>,
  { file, temperature, threads, rounds }: BenchOptions,
): string {
  return [
    formatAbout(about),
    `model ${file === undefined ? 'of the servers' : basename(file)} · temperature ${temperature} · bare loop ${threads} threads · ${rounds} rounds`,
    ...targets.map(({ name, url = '', version: theirs = '' }) => [name, url, theirs].filter(Boolean).join(' · ')),
  ].join('\n')
}

const plain = (values: ReadonlyMap<string, ReadonlyMap<string, unknown>>) =>
  Object.fromEntries([...values].map(([metric, targets]) => [metric, Object.fromEntries(targets)]))
