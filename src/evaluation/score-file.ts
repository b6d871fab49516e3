import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { discard, toDiskError } from '../engine/disk.ts'
import type { ScoreEvent, ScoreJob, TextScore } from '../engine/train/score-protocol.ts'
import { AppError } from '../errors.ts'
import { findProcessFolder } from '../storage/process-folder.ts'
import type { ExampleScore, Likelihood, Score } from './evaluation.ts'

export type ScoreFileParts = Readonly<{
  runScoring: (job: ScoreJob, signal: AbortSignal) => AsyncIterable<ScoreEvent>
  /** For the examples, as long as they are scored. */
  folder: string
  maxLength: number
  threads: number
}>

/** Scores with a process of its own, which reads the examples from a file. What a killed process left in the folder is removed. */
export async function openScore({ runScoring, folder: shared, maxLength, threads }: ScoreFileParts): Promise<Score> {
  const folder = await findProcessFolder(shared)
  return async (model, examples, { onProgress, signal }) => {
    const examplesFile = join(folder, `${randomUUID()}.jsonl`)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await writeFile(examplesFile, examples.map((example) => `${JSON.stringify(example)}\n`).join(''))
      const scores: ExampleScore[] = []
      for await (const event of runScoring({ ...model, examplesFile, maxLength, threads }, signal)) {
        if (event.type !== 'example-scored') continue
        if (event.index !== scores.length) throw new AppError('internal', `Example ${event.index} was scored out of turn.`)
        scores.push(toScore(event.score))
        onProgress(scores.length)
      }
      return scores
    } catch (error) {
      throw toDiskError(error, folder)
    } finally {
      await discard(examplesFile)
    }
  }
}

function toScore(score: Scored): ExampleScore {
  if (score.type === 'left-out') return { type: 'left-out' }
  if (score.type === 'text') return { type: 'text', ...toLikelihood(score) }
  return { type: 'pair', chosen: toLikelihood(score.chosen), rejected: toLikelihood(score.rejected) }
}

type Scored = Extract<ScoreEvent, { type: 'example-scored' }>['score']

const toLikelihood = ({ logprob, targets }: TextScore): Likelihood => ({ logprob, tokens: targets })
