import { expect, test } from 'vitest'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import type { ExampleRows, TokenRow } from '../../src/engine/train/example-tokens.ts'
import { scoreExamples } from '../../src/engine/train/score-examples.ts'
import { runScoring } from '../../src/engine/train/score-process.ts'
import type { FromScorer, ScoreEvent, ToScorer } from '../../src/engine/train/score-protocol.ts'
import { scriptedProcesses } from '../quantizer.ts'

const row = (tokens: number[], places: number[]): TokenRow => ({
  tokens: Int32Array.from(tokens),
  places: Int32Array.from(places),
})

/** Each example is a text with the number of its rows. */
const rows: readonly ExampleRows[] = [
  { type: 'rows', rows: [row([1, 2, 3], [1, 2]), row([1, 4], [1])], weight: 1 },
  { type: 'left-out', reason: 'too-long' },
  { type: 'pair', chosen: row([1, 2], [1]), rejected: row([1, 9, 9], [1, 2]), weight: 1 },
  { type: 'left-out', reason: 'refused' },
  { type: 'pair', chosen: row([1, 9], [1]), rejected: row([1, 2], [1]), weight: 1 },
]

async function* examples(): AsyncGenerator<{ example: TrainingExample }> {
  for (const index of rows.keys()) yield { example: { type: 'text', text: String(index) } }
}

/** The log-probability of a token is minus its number. */
const scorer = {
  score: (_tokens: ArrayLike<number>, _at: ArrayLike<number>, targets: ArrayLike<number>) =>
    Float32Array.from(targets, (target) => -target),
}
const reader = {
  read: async (example: TrainingExample) =>
    rows[example.type === 'text' ? Number(example.text) : 0] ?? { type: 'left-out', reason: 'empty' },
} as const

test('examples are scored one by one, and summed up over what was predicted', async () => {
  let time = 0
  const events: ScoreEvent[] = []
  for await (const event of scoreExamples(examples(), { reader, scorer, now: () => (time += 500) })) events.push(event)
  expect(events.slice(0, -1).map((event) => (event.type === 'example-scored' ? [event.index, event.score] : []))).toEqual([
    [0, { type: 'text', targets: 3, logprob: -9 }],
    [1, { type: 'left-out', reason: 'too-long' }],
    [2, { type: 'preference', chosen: { targets: 1, logprob: -2 }, rejected: { targets: 2, logprob: -18 } }],
    [3, { type: 'left-out', reason: 'refused' }],
    [4, { type: 'preference', chosen: { targets: 1, logprob: -9 }, rejected: { targets: 1, logprob: -2 } }],
  ])
  expect(events.at(-1)).toEqual({
    type: 'score-end',
    totals: {
      examples: 3,
      tooLong: 1,
      empty: 1,
      targets: 5,
      meanNll: 4,
      preferences: 2,
      preferred: 1,
      tokensPerSecond: (14 / 2500) * 1000,
    },
  })
})

test('a process goes on when an event has been read, so that not reading is a pause', async () => {
  const score = { type: 'text', targets: 1, logprob: -1 } as const
  const scored: FromScorer[] = [0, 1].map((index) => ({ type: 'example-scored', index, score }))
  const { spawn, jobs, killed } = scriptedProcesses<ToScorer, FromScorer>(({ type }) => (type === 'score-start' ? scored : []))
  const job = { modelPath: 'a', adapterPath: undefined, examplesFile: 'b', maxLength: 9, threads: 1 }
  const events = runScoring(job, { spawn, signal: new AbortController().signal })
  await events.next()
  expect(jobs).toEqual([{ type: 'score-start', job }])
  await events.next()
  expect(jobs.slice(1)).toEqual([{ type: 'score-next' }])
  await events.return(undefined)
  expect(killed).toEqual([true])
})
