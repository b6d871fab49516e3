import { setTimeout } from 'node:timers/promises'
import type { Client } from '../../src/client.ts'
import type { NewRunBody } from '../../src/training/schema.ts'
import { createPrompts } from '../prompts.ts'
import { percentile } from '../statistics.ts'
import type { Fact } from './facts.ts'
import type { LearningService } from './service.ts'

const promptTokens = 30
const answerTokens = 16
/** More steps than the measurement takes. */
const manyEpochs = 1000

export type FirstTokens = Readonly<{ p50: number; p95: number }>
/** Times to the first token in ms. */
export type YieldingResult = Readonly<{
  chats: number
  alone: FirstTokens
  training: FirstTokens
  /** What the training did meanwhile. */
  steps: number
  yieldedSeconds: number
}>

export type YieldingOptions = Readonly<{
  chats: number
  /** Between chats: longer than what a training waits before it goes on, so that it works when the next one comes. */
  pauseMs: number
  recipe: NewRunBody
}>

/** Short chats one after the other: half of those with nothing running before, half after, and in between all while a run trains. */
export async function runYielding(
  { client }: LearningService,
  facts: readonly Fact[],
  { chats, pauseMs, recipe }: YieldingOptions,
): Promise<YieldingResult> {
  const prompts = createPrompts(1)
  const measure = async (count: number) => {
    const times: number[] = []
    for (let chat = 0; chat < count; chat += 1) {
      await setTimeout(pauseMs)
      times.push(await firstTokenMs(client, prompts.text(promptTokens)))
    }
    return times
  }
  const half = Math.ceil(chats / 2)
  // The first ones also pay for what is done once.
  await measure(2)
  const before = await measure(half)
  const rows = facts.map(({ question, answer }) => ({ prompt: question, completion: answer }))
  const { id: dataset } = await client.addDataset({ name: 'facts', held_out: 0, rows })
  const { id } = await client.startTraining({ ...recipe, epochs: manyEpochs, patience: 0, dataset })
  const first = await untilStep(client, id)
  const during = await measure(chats)
  const run = await client.trainingRun(id)
  if (run.state !== 'running') throw new Error(`The run was ${run.state} before the chats ended: ${run.error?.message ?? ''}`)
  await client.changeTraining(id, 'cancel')
  for await (const event of client.watchTraining(id)) if (event.type === 'done') break
  const after = await measure(chats - half)
  return {
    chats,
    alone: firstTokensOf([...before, ...after]),
    training: firstTokensOf(during),
    steps: run.step - first,
    yieldedSeconds: run.yielded_seconds,
  }
}

/** The step at which it was seen to learn. */
async function untilStep(client: Client, id: string): Promise<number> {
  for await (const event of client.watchTraining(id)) {
    if (event.type === 'step') return event.step.step
    if (event.type === 'done') throw new Error(`The run is ${event.run.state}: ${event.run.error?.message ?? 'no reason told'}`)
  }
  throw new Error('The run told nothing.')
}

/** Of an answer that ends at once, its end is the first token. */
async function firstTokenMs(client: Client, prompt: string): Promise<number> {
  const startedAt = performance.now()
  let firstMs: number | undefined
  const messages = [{ role: 'user', content: prompt }] as const
  for await (const _ of client.chatStream({ messages, temperature: 0, max_tokens: answerTokens }))
    firstMs ??= performance.now() - startedAt
  if (firstMs === undefined) throw new Error('An answer had no end.')
  return firstMs
}

const firstTokensOf = (times: readonly number[]): FirstTokens => ({ p50: percentile(times, 50), p95: percentile(times, 95) })
