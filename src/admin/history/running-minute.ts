import type { EngineStatus } from '../../engine/provider.ts'
import type { PredictMetrics } from '../../predict/predict.ts'
import { count } from './histogram.ts'
import { addModel, emptyTally, modelKey, mostOf, type StatusClass, type Tally } from './tally.ts'

export const minuteMs = 60_000
/** Of minutes in which nothing happens one in so many is kept, for what was in memory. */
const quietMinutes = 5

/** What went on in a minute. */
export type Minute = Readonly<{ startMs: number; tally: Tally }>

export interface RunningMinute {
  readonly told: PredictMetrics
  /** `ms`: from its arrival to the end of its answer; undefined where that tells nothing of the service. */
  requestEnd(status: number, ms: number | undefined): void
  /** Looks at what is in memory and at work. */
  sample(): void
  /** The minutes that are over and were not taken yet, oldest first. */
  takeOver(): Minute[]
  /** Ends the minute that runs, so that it can be taken. */
  end(): void
  current(): Minute
}

export type RunningMinuteParts = Readonly<{
  /** Milliseconds since 1970. */
  now: () => number
  engine: () => Pick<EngineStatus, 'active' | 'queued' | 'residentBytes'>
  /** Memory of this process. */
  serviceBytes: () => number
}>

/** Counts what happens, minute by minute, in memory. */
export function createRunningMinute({ now, engine, serviceBytes }: RunningMinuteParts): RunningMinute {
  const over: Minute[] = []
  const begin = () => ({ startMs: Math.floor(now() / minuteMs) * minuteMs, tally: emptyTally(), isQuiet: true })
  let running = begin()

  function end(): void {
    const { startMs, tally, isQuiet } = running
    const isKept = !isQuiet || (tally.gauges !== undefined && (startMs / minuteMs) % quietMinutes === 0)
    if (isKept) over.push({ startMs, tally })
    running = begin()
  }

  function current(): typeof running {
    if (Math.floor(now() / minuteMs) * minuteMs !== running.startMs) end()
    return running
  }

  function happened(): Tally {
    const minute = current()
    minute.isQuiet = false
    return minute.tally
  }

  function sample(): void {
    const { tally } = current()
    const { active, queued, residentBytes } = engine()
    const atMs = now()
    const seen = { active, queued, serviceBytes: serviceBytes(), engineBytes: residentBytes, fromMs: atMs, toMs: atMs }
    tally.gauges = mostOf(tally.gauges, seen)
  }

  return {
    told: {
      cacheHit() {
        happened().cacheHits += 1
      },
      cacheMiss() {
        happened().cacheMisses += 1
      },
      firstToken(seconds) {
        count(happened().firstToken, seconds * 1000)
        // Now is when most are at work.
        sample()
      },
      generationEnd({ promptTokens, completionTokens }, { provider, model, timings }) {
        const { generationMs, tokensPerSecond } = timings
        const timedMs = tokensPerSecond > 0 ? generationMs : 0
        const timedTokens = (tokensPerSecond * timedMs) / 1000
        const more = { answers: 1, promptTokens, completionTokens, timedTokens, timedMs }
        addModel(happened().models, modelKey(provider, model), more)
      },
      generationFailed(code) {
        // Who left has not been failed.
        if (code !== 'aborted') happened().failed += 1
      },
    },
    requestEnd(status, ms) {
      const tally = happened()
      tally.requests[classOf(status)] += 1
      if (ms !== undefined) count(tally.latency, ms)
    },
    sample,
    takeOver() {
      current()
      return over.splice(0)
    },
    end,
    current,
  }
}

function classOf(status: number): StatusClass {
  if (status >= 500) return '5xx'
  if (status === 499) return '499'
  return status >= 400 ? '4xx' : '2xx'
}
