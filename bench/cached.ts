import { Worker } from 'node:worker_threads'
import { post } from './exchange.ts'

/** Answers from the cache: how many came in how long, and the time within which 99 % came. */
export type CachedFigures = Readonly<{ requests: number; seconds: number; p99Ms: number }>

const connections = 16
const durationSeconds = 5

/** Asks the same question again and again, over connections that stay open. */
export async function measureCached(url: URL, prompt: string): Promise<CachedFigures> {
  const target = new URL('/predict', url)
  const body = JSON.stringify({ prompt, max_length: 32, temperature: 0 })
  // The first one is computed, and kept.
  await post(target, body, performance.now())
  const worker = new Worker(new URL('./cached-load.ts', import.meta.url), {
    workerData: { url: target.href, body, connections, durationSeconds },
  })
  try {
    return await new Promise<CachedFigures>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  } finally {
    await worker.terminate()
  }
}
