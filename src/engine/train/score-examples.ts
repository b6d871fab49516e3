import type { LlamaScorer } from '../local/llama-scorer.ts'
import type { TrainingExample } from './example.ts'
import { type ExampleReader, type ExampleRows, type TokenRow, targetsOf } from './example-tokens.ts'
import type { ExampleScore, ScoreEvent, ScoreTotals, TextScore } from './score-protocol.ts'

export type ScoreParts = Readonly<{
  reader: ExampleReader
  scorer: Pick<LlamaScorer, 'score'>
  /** Milliseconds. */
  now: () => number
}>

/** Scores examples one by one; the last event is `score-end`. */
export async function* scoreExamples(
  examples: AsyncIterable<Readonly<{ example: TrainingExample }>>,
  { reader, scorer, now }: ScoreParts,
): AsyncGenerator<ScoreEvent> {
  const totals = createTotals()
  let index = 0
  for await (const { example } of examples) {
    const read = await reader.read(example)
    const startedAt = now()
    const score = scoreExample(read, scorer)
    totals.add(score, { tokens: tokensOf(read), ms: now() - startedAt })
    yield { type: 'example-scored', index, score }
    index += 1
  }
  yield { type: 'score-end', totals: totals.sum() }
}

function scoreExample(read: ExampleRows, scorer: ScoreParts['scorer']): ExampleScore {
  switch (read.type) {
    case 'left-out':
      return read
    case 'pair':
      return { type: 'preference', chosen: scoreRows([read.chosen], scorer), rejected: scoreRows([read.rejected], scorer) }
    case 'rows':
      return { type: 'text', ...scoreRows(read.rows, scorer) }
  }
}

function scoreRows(rows: readonly TokenRow[], scorer: ScoreParts['scorer']): TextScore {
  let logprob = 0
  let targets = 0
  for (const row of rows) {
    const wanted = targetsOf(row)
    for (const value of scorer.score(row.tokens, wanted.targetAt, wanted.targets)) logprob += value
    targets += wanted.targets.length
  }
  return { targets, logprob }
}

function tokensOf(read: ExampleRows): number {
  if (read.type === 'left-out') return 0
  const rows = read.type === 'pair' ? [read.chosen, read.rejected] : read.rows
  return rows.reduce((sum, { tokens }) => sum + tokens.length, 0)
}

function createTotals() {
  const counts = { examples: 0, tooLong: 0, empty: 0, targets: 0, preferences: 0, preferred: 0 }
  let [logprob, tokens, ms] = [0, 0, 0]

  function count(score: Exclude<ExampleScore, { type: 'left-out' }>): void {
    const learned = score.type === 'preference' ? score.chosen : score
    counts.examples += 1
    counts.targets += learned.targets
    logprob += learned.logprob
    if (score.type !== 'preference') return
    counts.preferences += 1
    counts.preferred += Number(score.chosen.logprob > score.rejected.logprob)
  }

  return {
    add(score: ExampleScore, work: Readonly<{ tokens: number; ms: number }>): void {
      tokens += work.tokens
      ms += work.ms
      if (score.type !== 'left-out') count(score)
      else if (score.reason === 'too-long') counts.tooLong += 1
      else counts.empty += 1
    },
    sum(): ScoreTotals {
      const meanNll = counts.targets === 0 ? undefined : -logprob / counts.targets
      return { ...counts, meanNll, tokensPerSecond: ms === 0 ? 0 : (tokens / ms) * 1000 }
    },
  }
}
