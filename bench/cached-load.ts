import { parentPort, workerData } from 'node:worker_threads'
import autocannon from 'autocannon'
import type { CachedFigures } from './cached.ts'

// The load of the measure of cached answers, in a thread of its own.

const { url, body, connections, durationSeconds } = workerData
const result = await autocannon({
  url,
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body,
  connections,
  duration: durationSeconds,
})
if (result.non2xx + result.errors > 0) throw new Error(`${result.non2xx + result.errors} of the requests failed.`)
const figures: CachedFigures = { requests: result.requests.total, seconds: result.duration, p99Ms: result.latency.p99 }
parentPort?.postMessage(figures)
