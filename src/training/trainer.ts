import type { TrainEvent, TrainJob } from '../engine/train/protocol.ts'
import type { Pausable } from './yielding.ts'

/** A process that trains. */
export interface Trainer extends Pausable {
  /** The last one is `train-end`. Throws what the job failed with, `unavailable` when the process dies, `aborted` by the signal. */
  readonly events: AsyncIterable<TrainEvent>
  /** Has it write a checkpoint after the step under way, and end. */
  stop(): void
}

/** Starts a process for a job; the signal ends it at once, and what it has not written by then is lost. */
export type StartTrainer = (job: TrainJob, signal: AbortSignal) => Trainer

/** A dataset, as far as training needs to know it. */
export type LearnedDataset = Readonly<{
  id: string
  name: string
  version: number
  kind: 'chat' | 'text' | 'preference'
  trainRows: number
  heldOutRows: number
}>

export interface LearnedDatasets {
  /** By id, `name` (its newest version) or `name:version`; undefined: the newest of all. Throws `not_found`. */
  get(name: string | undefined): Promise<LearnedDataset>
  /** Characters of some examples to learn from, as they are stored. */
  sampleLengths(id: string): Promise<readonly number[]>
  /** Writes the examples of a split as JSON lines of `TrainingExample`; the file is there, whole, or not at all. */
  writeExamples(id: string, split: 'train' | 'held-out', file: string): Promise<void>
}
