import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { AppError } from '../src/errors.ts'
import { type DialectName, findDialect } from './dialects.ts'
import type { Say } from './messages.ts'

/** The measures, in the order in which they run. */
export const measureNames = ['single', 'prompt', 'clients', 'prefix', 'shared16', 'copy', 'cached', 'memory', 'cold'] as const
export type MeasureName = (typeof measureNames)[number]

/** A server to measure; started with `command` by the harness where there is one, else running. */
export type PeerOptions = Readonly<{
  name: string
  /** Undefined: the harness picks a free port. */
  url: string | undefined
  dialect: DialectName | undefined
  command: string | undefined
}>

export type BenchOptions = Readonly<{
  help: boolean
  peers: readonly PeerOptions[]
  rounds: number
  only: readonly MeasureName[]
  clients: readonly number[]
  json: string | undefined
  force: boolean
  temperature: number
  model: string | undefined
  /** The model file of the bare loop and of the server that the harness starts. */
  file: string | undefined
  threads: number
  bare: boolean
  /** Minutes of mixed load on a server of ours, instead of measures. */
  soak: number | undefined
}>

const flags = {
  help: { type: 'boolean', short: 'h' },
  peer: { type: 'string', multiple: true },
  start: { type: 'string', multiple: true },
  rounds: { type: 'string' },
  only: { type: 'string' },
  clients: { type: 'string' },
  json: { type: 'string' },
  force: { type: 'boolean' },
  temperature: { type: 'string' },
  model: { type: 'string' },
  file: { type: 'string' },
  threads: { type: 'string' },
  bare: { type: 'boolean' },
  soak: { type: 'string' },
} as const

/** A minute until memory has settled, one to compare with, and one that is compared. */
const leastSoakMinutes = 3

/** Reads the words after `bench`; throws `invalid` in the person's language. */
export function readBenchArguments(args: readonly string[], say: Say): BenchOptions {
  const { values } = parse(args)
  const number = (
    name: 'rounds' | 'threads' | 'temperature' | 'soak',
    { least = 1, usual }: { least?: number; usual: number },
  ) => {
    const value = Number(values[name] ?? usual)
    if (Number.isFinite(value) && value >= least && (name === 'temperature' || Number.isInteger(value))) return value
    throw wrong(say('wrongNumber', { flag: `--${name}`, least, got: values[name] ?? '' }))
  }
  return {
    help: values.help === true,
    peers: readPeers(values.peer ?? [], values.start ?? [], say),
    rounds: number('rounds', { usual: 5 }),
    only: values.only === undefined ? measureNames : readMeasures(values.only, say),
    clients: values.clients === undefined ? [1, 2, 4, 8, 16] : readClients(values.clients, say),
    json: values.json,
    force: values.force === true,
    temperature: number('temperature', { least: 0, usual: 0.8 }),
    model: values.model,
    file: values.file,
    threads: number('threads', { usual: availableParallelism() }),
    bare: values.bare !== false,
    soak: values.soak === undefined ? undefined : number('soak', { least: leastSoakMinutes, usual: leastSoakMinutes }),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowNegative: true })
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error))
  }
}

function readPeers(peers: readonly string[], starts: readonly string[], say: Say): readonly PeerOptions[] {
  const commands = new Map(starts.map((text) => splitAt(text, '=', () => wrong(say('wrongStart', { got: text })))))
  const named = peers.map((text): PeerOptions => {
    const problem = () => wrong(say('wrongPeer', { got: text }))
    const [name, rest] = splitAt(text, '=', problem)
    const [, url = '', dialectName] = /^(.*?)(?:,(\w+))?$/.exec(rest) ?? []
    const dialect = dialectName === undefined ? undefined : findDialect(dialectName)
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '') || (dialectName !== undefined && dialect === undefined)) throw problem()
    return { name, url, dialect, command: commands.get(name) }
  })
  const known = new Set(named.map(({ name }) => name))
  if (known.size < named.length) throw wrong(say('sameName'))
  const ours = [...commands].filter(([name]) => !known.has(name))
  return [...named, ...ours.map(([name, command]) => ({ name, url: undefined, dialect: 'simpleia' as const, command }))]
}

function splitAt(text: string, separator: string, problem: () => AppError): readonly [string, string] {
  const place = text.indexOf(separator)
  if (place < 1 || place === text.length - 1) throw problem()
  return [text.slice(0, place), text.slice(place + 1)]
}

function readMeasures(text: string, say: Say): readonly MeasureName[] {
  const wanted = text.split(',')
  const unknown = wanted.find((name) => !measureNames.some((known) => known === name))
  if (unknown !== undefined) throw wrong(say('wrongMeasure', { got: unknown, known: measureNames.join(', ') }))
  return measureNames.filter((name) => wanted.includes(name))
}

function readClients(text: string, say: Say): readonly number[] {
  const counts = text.split(',').map(Number)
  if (counts.every((count) => Number.isInteger(count) && count >= 1 && count <= 1000)) return counts
  throw wrong(say('wrongNumber', { flag: '--clients', least: 1, got: text }))
}

const wrong = (message: string) => new AppError('invalid', message)
