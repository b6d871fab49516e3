import { AppError } from '../../errors.ts'
import { type Evaluation, type EvaluationOptions, evaluationBatch } from './evaluation.ts'
import type { Divergence, MeasureEvent, MeasureJob, Measurement, ModelMeasures } from './quantize-protocol.ts'
import { createMean, klDivergence, normalize } from './token-scores.ts'

/** Tokens of one chunk; its second half is scored, as llama.cpp's perplexity tool does with this context. */
const chunkTokens = 512
/** A text of fewer tokens says nothing. */
const fewestTokens = 64
/** Rows of scores at a time: for a vocabulary of 262,144 tokens 64 rows are 64 MB, twice, for each model. */
const rowsAtOnce = 64

export type MeasureParts = Readonly<{
  open: (options: EvaluationOptions) => Evaluation
  send: (event: MeasureEvent) => void
  /** Milliseconds. */
  now: () => number
}>

/**
 * Perplexity and speed of a model, and of another made from it; for that one also how far its distributions are from the original's.
 * Both go through the text together, so that no distribution is kept. Throws `invalid` for a text of less than 64 tokens.
 */
export function measureModels({ original, result, text }: MeasureJob, { open, send, now }: MeasureParts): Measurement {
  const options = { contextSize: chunkTokens, mostOutputs: rowsAtOnce }
  const models = [original, ...(result === undefined ? [] : [result])].map((path) => open({ ...options, path }))
  const [first, second] = models
  if (first === undefined) throw new AppError('internal', 'There is no model to measure.')
  if (second !== undefined && second.vocabularySize !== first.vocabularySize)
    throw new AppError('invalid', 'The two models have different vocabularies, so they cannot be compared.')
  const chunks = splitChunks(first.tokenize(text))
  const scores = createScores(first, second)
  for (const [index, chunk] of chunks.entries()) {
    measureChunk(models, chunk, scores.add)
    send({ type: 'measure-progress', chunk: index + 1, chunks: chunks.length })
  }
  const speeds = measureSpeeds(models, chunks[0] ?? [], now)
  for (const model of models) model.close()
  return { chunks: chunks.length, ...scores.summary(speeds) }
}

/** Whole chunks, or a single shorter one. */
function splitChunks(tokens: readonly number[]): readonly (readonly number[])[] {
  if (tokens.length < fewestTokens)
    throw new AppError('invalid', `The text to measure with has ${tokens.length} tokens; at least ${fewestTokens} are needed.`)
  const size = Math.min(chunkTokens, tokens.length)
  return Array.from({ length: Math.floor(tokens.length / size) }, (_, index) => tokens.slice(index * size, (index + 1) * size))
}

/** Calls `add` for each scored token with the row that holds the scores of what comes before it. */
function measureChunk(models: readonly Evaluation[], chunk: readonly number[], add: (row: number, next: number) => void): void {
  const scoredFrom = Math.floor(chunk.length / 2)
  for (const model of models) {
    model.clear()
    evaluateSilently(model, withStart(model, chunk).slice(0, scoredFrom))
  }
  for (let from = scoredFrom; from < chunk.length - 1; from += rowsAtOnce) {
    const rows = chunk.slice(from, Math.min(from + rowsAtOnce, chunk.length - 1))
    for (const model of models) model.evaluate(rows, from, true)
    for (const row of rows.keys()) add(row, chunk[from + row + 1] ?? 0)
  }
}

/** Each chunk begins as a text does: BOS takes the place of its first token. */
function withStart({ firstToken }: Evaluation, chunk: readonly number[]): readonly number[] {
  return firstToken === undefined ? chunk : [firstToken, ...chunk.slice(1)]
}

function evaluateSilently(model: Evaluation, tokens: readonly number[]): void {
  for (let from = 0; from < tokens.length; from += evaluationBatch)
    model.evaluate(tokens.slice(from, from + evaluationBatch), from, false)
}

/** What is summed up over the scored tokens. */
function createScores(first: Evaluation, second: Evaluation | undefined) {
  const [firstLoss, secondLoss, divergence, agreement] = [createMean(), createMean(), createMean(), createMean()]

  function add(row: number, next: number): void {
    const wanted = first.scores(row)
    const { top, logSum } = normalize(wanted)
    firstLoss.add(logSum - (wanted[next] ?? 0))
    if (second === undefined) return
    const got = second.scores(row)
    const other = normalize(got)
    secondLoss.add(other.logSum - (got[next] ?? 0))
    divergence.add(klDivergence(wanted, logSum, got, other.logSum))
    agreement.add(Number(top === other.top))
  }

  function summary([firstSpeed = 0, secondSpeed = 0]: readonly number[]): Omit<Measurement, 'chunks'> {
    const apart: Divergence = {
      klDivergence: divergence.mean(),
      klDivergenceError: divergence.error(),
      topAgreement: agreement.mean(),
    }
    return {
      scoredTokens: firstLoss.count(),
      original: describe(first, firstLoss, firstSpeed),
      result: second && { ...describe(second, secondLoss, secondSpeed), ...apart },
    }
  }

  return { add, summary }
}

function describe(model: Evaluation, loss: ReturnType<typeof createMean>, tokensPerSecond: number): ModelMeasures {
  const { quantization, weightBytes, parameters } = model
  const perplexity = Math.exp(loss.mean())
  return {
    quantization,
    weightBytes,
    bitsPerWeight: (weightBytes * 8) / parameters,
    perplexity,
    perplexityError: perplexity * loss.error(),
    tokensPerSecond,
  }
}

const speedPrompt = 16
const speedTokens = 32
const speedRounds = 3

/** Tokens per second of each model when it goes on token by token: the best of some rounds taken in turns, as others use the machine too. */
function measureSpeeds(models: readonly Evaluation[], chunk: readonly number[], now: () => number): readonly number[] {
  const best = models.map(() => 0)
  for (let round = 0; round < speedRounds; round += 1) {
    for (const [index, model] of models.entries()) best[index] = Math.max(best[index] ?? 0, measureSpeed(model, chunk, now))
  }
  return best
}

function measureSpeed(model: Evaluation, chunk: readonly number[], now: () => number): number {
  model.clear()
  model.evaluate(withStart(model, chunk).slice(0, speedPrompt), 0, false)
  const startedAt = now()
  const tokens = chunk.slice(speedPrompt, speedPrompt + speedTokens)
  for (const [index, token] of tokens.entries()) model.evaluate([token], speedPrompt + index, true)
  return (tokens.length / Math.max(now() - startedAt, 1e-3)) * 1000
}
