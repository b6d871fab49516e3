import { createRandom } from '../../src/engine/local/random.ts'
import type { Ask } from './ask.ts'
import { judge, type KnownAnswer } from './judge.ts'
import type { Asked } from './requests.ts'
import type { Tally } from './tally.ts'

/** Clients that ask one question after the other. */
const workers = 12
/** Every so often so many more come at once: more than the queue takes. */
const burstEveryMs = 45_000
const burst = { least: 30, most: 40 }
/** How long a client waits that was sent away. */
const busyMs = 1000

export type LoadParts = Readonly<{
  ask: Ask
  /** Draws one request after the other; the same ones for the same seed. */
  createRequests(seed: number): () => Asked
  known: readonly KnownAnswer[]
  tally: Tally
  seed: number
  /** Milliseconds since the load began. */
  elapsedMs(): number
  /** Resolves after the time, or when the signal aborts. */
  pause(ms: number, signal: AbortSignal): Promise<void>
}>

/** Asks for as long as `over` does not abort; then all clients leave at once, and it resolves. */
export async function runLoad(parts: LoadParts, over: AbortSignal): Promise<void> {
  const { ask, createRequests, known, tally, seed, elapsedMs, pause } = parts
  async function askOne(asked: Asked) {
    const verdict = judge(asked, await ask(asked, over), known)
    tally.add(asked.kind, verdict, elapsedMs())
    return verdict.outcome
  }

  async function work(worker: number): Promise<void> {
    const next = createRequests(seed + worker)
    while (!over.aborted) if ((await askOne(next())) === 'busy') await pause(busyMs, over)
  }

  async function comeInCrowds(): Promise<void> {
    const next = createRequests(seed)
    const random = createRandom(seed)
    for (;;) {
      await pause(burstEveryMs, over)
      if (over.aborted) return
      const size = burst.least + Math.floor(random() * (burst.most - burst.least + 1))
      await Promise.all(Array.from({ length: size }, () => askOne(next())))
    }
  }

  await Promise.all([comeInCrowds(), ...Array.from({ length: workers }, (_, index) => work(index + 1))])
}
