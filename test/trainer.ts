import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TrainEvent, TrainJob, TrainPlan } from '../src/engine/train/protocol.ts'
import { AppError } from '../src/errors.ts'
import type { StartTrainer } from '../src/training/trainer.ts'

/** A process that does what a test says. */
export type ScriptedTrainer = Readonly<{
  job: TrainJob
  /** What it was told, in order. */
  told: readonly ('pause' | 'resume' | 'stop' | 'kill')[]
  isStill(): boolean
  isOver(): boolean
  send(...events: TrainEvent[]): void
  fail(error: Error): void
}>

/** What a process tells that has a checkpoint: it made one, goes on from one, or from a step that it has not taken itself. */
const tellsOfCheckpoint = (event: TrainEvent) =>
  event.type === 'train-checkpoint' || event.type === 'train-resume' || (event.type === 'train-step' && event.step > 1)

/** Processes of training that are none; `onStart` may send what each tells by itself. */
export function scriptedTrainers(onStart: (trainer: ScriptedTrainer) => void = () => {}) {
  const trainers: ScriptedTrainer[] = []
  const start: StartTrainer = (job, signal) => {
    const told: ('pause' | 'resume' | 'stop' | 'kill')[] = []
    const events: TrainEvent[] = []
    let failure: Error | undefined
    let isOver = false
    let isStill = false
    let wake = () => {}
    const fail = (error: Error) => {
      failure ??= error
      wake()
    }
    signal.addEventListener('abort', () => {
      told.push('kill')
      fail(new AppError('aborted', 'The process was ended.'))
    })
    const trainer: ScriptedTrainer = {
      job,
      told,
      isStill: () => isStill,
      isOver: () => isOver,
      send(...more) {
        if (more.some(tellsOfCheckpoint)) writeFileSync(join(job.folder, 'checkpoint-0.bin'), '')
        events.push(...more)
        wake()
      },
      fail,
    }
    trainers.push(trainer)
    onStart(trainer)
    return {
      pause() {
        isStill = true
        told.push('pause')
      },
      resume() {
        isStill = false
        told.push('resume')
      },
      stop: () => void told.push('stop'),
      events: (async function* () {
        try {
          for (;;) {
            const event = events.shift()
            if (event !== undefined) yield event
            else if (failure !== undefined) throw failure
            else
              await new Promise<void>((resolve) => {
                wake = resolve
              })
          }
        } finally {
          isOver = true
        }
      })(),
    }
  }
  return { start, trainers }
}

export const plan: TrainPlan = {
  type: 'train-plan',
  examples: 4,
  tooLong: 1,
  empty: 0,
  heldOut: 1,
  tokens: 400,
  targets: 100,
  steps: 10,
  trainableParameters: 1000,
  memoryBytes: 1e9,
  seconds: 60,
  parity: { ours: 2.5, reference: 2.5001, tolerance: 0.005 },
}

export function stepOf(step: number, more: Partial<Extract<TrainEvent, { type: 'train-step' }>> = {}): TrainEvent {
  const numbers = { loss: 10 / step, learningRate: 1e-4, gradientNorm: 1, tokens: 100, ms: 50, residentBytes: 1e8 + step }
  return { type: 'train-step', step, epoch: Math.ceil(step / 5), ...numbers, ...more }
}

export function epochOf(epoch: number, more: Partial<Extract<TrainEvent, { type: 'train-epoch' }>> = {}): TrainEvent {
  const numbers = { trainLoss: 2 / epoch, heldOutLoss: 3 / epoch, preferenceAccuracy: undefined, isBest: true }
  return { type: 'train-epoch', epoch, step: epoch * 5, ...numbers, ...more }
}

export function endOf(
  reason: 'completed' | 'early-stop' | 'stopped',
  step: number,
  adapterFile: string | undefined = undefined,
): Extract<TrainEvent, { type: 'train-end' }> {
  return { type: 'train-end', reason, step, bestStep: step, heldOutLoss: 0.3, adapterFile }
}
