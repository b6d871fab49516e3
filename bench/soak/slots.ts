import { setTimeout } from 'node:timers/promises'
import type { Prompts } from '../prompts.ts'
import { sum } from '../statistics.ts'
import type { Answer, Target } from '../target.ts'

/** What the service says of its places. */
export type Occupancy = Readonly<{ active: number; queued: number }>

/** NaN where the service does not say. */
export async function readOccupancy(url: URL): Promise<Occupancy> {
  const text = await fetch(new URL('/metrics', url)).then(
    (response) => response.text(),
    () => '',
  )
  return { active: readGauge(text, 'simpleia_generations_active'), queued: readGauge(text, 'simpleia_generations_queued') }
}

/** The value of a metric without labels in Prometheus text; NaN when it is not there. */
export function readGauge(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
}

const retryMs = 50

/** Waits until nothing runs or waits, but not longer than `limitMs`; gives what was said last, and how long it took. */
export async function untilIdle(url: URL, limitMs: number): Promise<Occupancy & Readonly<{ afterMs: number }>> {
  const startedAt = performance.now()
  for (;;) {
    const occupancy = await readOccupancy(url)
    const afterMs = performance.now() - startedAt
    if (isIdle(occupancy) || afterMs > limitMs) return { ...occupancy, afterMs }
    await setTimeout(retryMs)
  }
}

export const isIdle = ({ active, queued }: Occupancy) => active === 0 && queued === 0

/** What came of as many clients at once as the service writes answers at a time. */
export type FullHouse = Readonly<{
  tokensPerSecond: number
  /** The most answers that were written at the same time: one less than there are clients for each place that is lost. */
  together: number
}>

/** Prompts and answers that nearly fill the memory which they share, 8,192 tokens by default: lost room is missed too. */
const promptTokens = 100
const answerTokens = 400
/** The first time is slower, because memory is touched for the first time, and any other may be disturbed: the best one counts. */
const rounds = 3

const emptyHouse: FullHouse = { tokensPerSecond: 0, together: 0 }

export async function fillHouse(target: Target, prompts: Prompts, places: number): Promise<FullHouse> {
  const houses: FullHouse[] = []
  for (let round = 0; round < rounds; round += 1) {
    const asks = Array.from({ length: places }, () => ({ prompt: prompts.text(promptTokens), maxTokens: answerTokens }))
    // A service that cannot do this any more must not keep the rest of the report from its reader.
    houses.push(await target.generate(asks).then(describeHouse, () => emptyHouse))
  }
  return {
    tokensPerSecond: Math.max(...houses.map(({ tokensPerSecond }) => tokensPerSecond)),
    together: Math.max(...houses.map(({ together }) => together)),
  }
}

export function describeHouse(answers: readonly Answer[]): FullHouse {
  const tokens = sum(answers.map(({ completionTokens }) => completionTokens))
  const beside = ({ firstMs: atMs }: Answer) => answers.filter(({ firstMs, endMs }) => firstMs <= atMs && atMs < endMs).length
  return {
    tokensPerSecond: (tokens / Math.max(...answers.map(({ endMs }) => endMs))) * 1000,
    together: Math.max(...answers.map(beside)),
  }
}
