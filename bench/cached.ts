import autocannon from 'autocannon'
import { post } from './exchange.ts'

/** Answers from the cache: how many came in how long, and the time within which 99 % came. */
export type CachedFigures = Readonly<{ requests: number; seconds: number; p99Ms: number }>

const connections = 16

/** Asks the same question again and again, over connections that stay open. */
export async function measureCached(url: URL, prompt: string, seconds: number): Promise<CachedFigures> {
  const target = new URL('/predict', url)
  const body = JSON.stringify({ prompt, max_length: 32, temperature: 0 })
  // The first one is computed, and kept.
  await post(target, body, performance.now())
  const result = await autocannon({
    url: target.href,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    connections,
    duration: seconds,
    // A thread of its own for the load.
    workers: 1,
  })
  const failed = result.non2xx + result.errors
  if (failed > 0) throw new Error(`${failed} of ${result.requests.total} requests for a cached answer failed.`)
  return { requests: result.requests.total, seconds: result.duration, p99Ms: result.latency.p99 }
}
