import { writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import type { createCloser } from '../../src/closer.ts'
import { AppError } from '../../src/errors.ts'
import { type About, formatAbout } from '../machine.ts'
import type { Say } from '../messages.ts'
import { createOwnEnvironment, ownServer } from '../own-server.ts'
import { createPrompts } from '../prompts.ts'
import { openServer, type Server, usualSampling } from '../servers.ts'
import { type Ask, createAsk } from './ask.ts'
import { checkFindings, checkNames, type Findings } from './checks.ts'
import type { KnownAnswer } from './judge.ts'
import { runLoad } from './load.ts'
import { measureGrowth, type Sample, takeSample } from './memory.ts'
import { formatChecks, formatFaults, formatMemory, formatMinute, formatRequests } from './report.ts'
import { createRequests, knownQuestions } from './requests.ts'
import { fillHouse, untilIdle } from './slots.ts'
import { createTally, type Tally } from './tally.ts'

/** Answers that the service writes at once, and requests that may wait: few enough for a crowd to be too many. */
const places = 16
const settings = { MAX_PARALLEL: String(places), MAX_QUEUE: '16', CACHE_MAX_ENTRIES: '50' }
const seed = 1000
const sampleMs = 10_000
const minuteMs = 60_000
/** Memory has settled after five minutes, or after the first third of a short run. */
const settledMinutes = 5
const settledShare = 1 / 3
/** A service whose clients have all left must have nothing to do any more within this time. */
const idleLimitMs = 2000

export type SoakParts = Readonly<{
  minutes: number
  file: string
  json: string | undefined
  about: About
  say: Say
  write(line: string): void
  tell(line: string): void
  use: ReturnType<typeof createCloser>['use']
}>

/** Loads a server of ours with all kinds of requests, and checks that it stays as it was. Throws `internal` when it did not. */
export async function runSoak({ minutes, file, json, about, say, write, tell, use }: SoakParts): Promise<void> {
  write(formatAbout(about))
  const { environment } = use(await createOwnEnvironment(file))
  const parts = { sampling: usualSampling, model: undefined, environment: { ...environment, ...settings }, say }
  const target = await openServer(ownServer, parts)
  use(target.server)
  const ask = createAsk(target.server.url.origin)
  const known = await askAlone(ask, say)
  const before = await fillHouse(target, createPrompts(seed), places)
  const tally = createTally()
  const samples = await loadAndWatch({ server: target.server, ask, known, tally, minutes, say, tell })
  const occupancy = await untilIdle(target.server.url, idleLimitMs)
  const after = await fillHouse(target, createPrompts(seed + 1), places)
  const settled = Math.min(settledMinutes, minutes * settledShare)
  const growths = measureGrowth(samples, settled * minuteMs)
  const findings = { tally, places, before, after, occupancy, samples, growths }
  const checks = checkFindings(findings)
  for (const line of formatFindings(findings, settled, say)) write(line)
  for (const line of formatChecks(checks, say)) write(line)
  if (json !== undefined) {
    const figures = { requests: tally.rows(), faults: tally.faults(), before, after, occupancy, growths, samples, checks }
    await writeFile(json, `${JSON.stringify({ ...about, minutes, seed, settings, ...figures }, null, 2)}\n`)
  }
  if (!checkNames.every((name) => checks[name])) throw new AppError('internal', say('soakFailed'))
}

/** The right answers to the known questions: those that come while nobody else asks. One conversation starts what serves them. */
async function askAlone(ask: Ask, say: Say): Promise<readonly KnownAnswer[]> {
  const never = new AbortController().signal
  await ask({ way: 'chat', body: { messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 8 } }, never)
  const known: KnownAnswer[] = []
  for (const body of knownQuestions) {
    const result = await ask({ way: 'whole', body }, never)
    if (result.type !== 'answered') {
      const reason = result.type === 'failed' ? result.message : result.type
      throw new AppError('upstream', say('refused', { name: ownServer.name, reason }))
    }
    known.push(result)
  }
  return known
}

type Watching = Readonly<{
  server: Server
  ask: Ask
  known: readonly KnownAnswer[]
  tally: Tally
  minutes: number
  say: Say
  tell(line: string): void
}>

/** Runs the load for so many minutes; gives what memory was like meanwhile. */
async function loadAndWatch({ server, ask, known, tally, minutes, say, tell }: Watching): Promise<readonly Sample[]> {
  const startedAt = performance.now()
  const elapsedMs = () => performance.now() - startedAt
  const over = AbortSignal.timeout(minutes * minuteMs)
  const load = runLoad({ ask, createRequests, known, tally, seed, elapsedMs, pause }, over)
  const samples: Sample[] = []
  for (let due = sampleMs; !over.aborted; due += sampleMs) {
    await pause(due - elapsedMs(), over)
    const sample = await takeSample(await server.processes(), elapsedMs())
    samples.push(sample)
    if (due % minuteMs === 0) tell(formatMinute(due / minuteMs, tally.totals(), sample, say))
  }
  await load
  return samples
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(Math.max(0, ms), undefined, { signal }).catch(() => undefined)
}

function formatFindings({ tally, before, after, occupancy, growths }: Findings, settled: number, say: Say): readonly string[] {
  return [
    formatRequests(tally),
    ...formatFaults(tally.faults(), say),
    formatMemory(growths, settled),
    say('soakIdle', { ...occupancy, afterMs: Math.round(occupancy.afterMs) }),
    say('soakHouse', {
      places,
      before: before.together,
      after: after.together,
      beforeSpeed: before.tokensPerSecond.toFixed(1),
      afterSpeed: after.tokensPerSecond.toFixed(1),
    }),
  ]
}
