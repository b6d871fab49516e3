import type { TrainEvent } from '../engine/train/protocol.ts'
import type { Evaluate, Progress } from '../evaluation/evaluation.ts'
import type { StartTrainer } from '../training/trainer.ts'
import { codeOf, tracedEvents } from './traced.ts'
import type { Attributes, Span, Tracing } from './tracing.ts'

/** Of a run: steps that are told, evenly over all of them, and epochs. A run may have a hundred thousand. */
const mostSteps = 50
const mostEpochs = 50
/** Of an evaluation: it goes through each of its few stages once. */
const mostStages = 20

/** The same processes that train, each followed as a trace of its own: a run outlives the request that asked for it. */
export function traceTraining(start: StartTrainer, tracing: Tracing): StartTrainer {
  if (!tracing.isOn) return start
  return (job, signal) => {
    const { method, epochs, batchSize, accumulation, learningRate, rank } = job.parameters
    const span = tracing.startFrom({}, 'training run', {
      attributes: {
        'simpleia.training.run.id': job.adapter.run,
        'simpleia.training.adapter': job.adapter.name,
        'gen_ai.request.model': job.adapter.baseModel,
        ...{ 'simpleia.training.method': method, 'simpleia.training.epochs': epochs, 'simpleia.training.rank': rank },
        'simpleia.training.batch_size': batchSize * accumulation,
        'simpleia.training.learning_rate': learningRate,
        'simpleia.device': job.device,
      },
    })
    const trainer = span.within(() => start(job, signal))
    const pauses = countPauses(span)
    return {
      events: tracedEvents(span, { make: () => trainer.events, saw: createFollower(span), last: 'train-end' }),
      stop: () => trainer.stop(),
      pause() {
        pauses.begin()
        trainer.pause()
      },
      resume() {
        pauses.end()
        trainer.resume()
      },
    }
  }
}

/** Tells the span what comes. */
function createFollower(span: Span): (event: TrainEvent) => void {
  let every = 1
  let steps = 0
  let epochs = 0
  let epochAt = Date.now()
  return (event) => {
    switch (event.type) {
      case 'train-plan':
        every = Math.max(1, Math.ceil(event.steps / mostSteps))
        span.set({
          'simpleia.training.examples': event.examples,
          'simpleia.training.tokens': event.tokens,
          'simpleia.training.steps': event.steps,
        })
        break
      case 'train-resume':
        span.set({ 'simpleia.training.resumed_step': event.step })
        break
      case 'train-step':
        if (event.step % every !== 0 || steps >= mostSteps) break
        steps += 1
        span.event('training.step', stepAttributes(event))
        break
      case 'train-epoch': {
        epochs += 1
        const times = { startMs: epochAt, endMs: Date.now() }
        epochAt = times.endMs
        if (epochs <= mostEpochs) span.part('epoch', times, epochAttributes(event))
        break
      }
      case 'train-checkpoint':
        span.set({ 'simpleia.training.checkpoint_step': event.step })
        break
      case 'train-end':
        span.set({
          'simpleia.training.outcome': event.reason,
          'simpleia.training.step': event.step,
          'simpleia.training.best_step': event.bestStep,
          'simpleia.training.held_out_loss': event.heldOutLoss,
        })
        break
    }
  }
}

type Of<T extends TrainEvent['type']> = Extract<TrainEvent, { type: T }>

const stepAttributes = ({ step, epoch, loss, learningRate, tokens, ms }: Of<'train-step'>): Attributes => ({
  'simpleia.training.step': step,
  'simpleia.training.epoch': epoch,
  'simpleia.training.loss': loss,
  'simpleia.training.learning_rate': learningRate,
  'simpleia.training.tokens': tokens,
  'simpleia.training.step_ms': ms,
})

const epochAttributes = ({ epoch, step, trainLoss, heldOutLoss, preferenceAccuracy, isBest }: Of<'train-epoch'>): Attributes => ({
  'simpleia.training.epoch': epoch,
  'simpleia.training.step': step,
  'simpleia.training.loss': trainLoss,
  'simpleia.training.held_out_loss': heldOutLoss,
  'simpleia.training.preference_accuracy': preferenceAccuracy,
  'simpleia.training.is_best': isBest,
})

/** How often and how long a run stands still, for the sake of requests. */
function countPauses(span: Span) {
  let count = 0
  let totalMs = 0
  let since: number | undefined
  return {
    begin() {
      if (since !== undefined) return
      since = performance.now()
      count += 1
    },
    end() {
      if (since === undefined) return
      totalMs += performance.now() - since
      since = undefined
      span.set({ 'simpleia.training.pauses': count, 'simpleia.training.paused_ms': Math.round(totalMs) })
    },
  }
}

/** The same evaluations, each followed as a trace of its own, with what its models answer as parts. */
export function traceEvaluations(evaluate: Evaluate, tracing: Tracing): Evaluate {
  if (!tracing.isOn) return evaluate
  return async (started, onProgress, signal) => {
    const { id, runId, plan } = started
    const { kind, baseline, candidate, judge } = plan
    const attributes = {
      'simpleia.evaluation.id': id,
      'simpleia.evaluation.kind': kind,
      'simpleia.evaluation.baseline': baseline.model,
      'simpleia.evaluation.candidate': candidate.model,
      'simpleia.evaluation.judge': judge?.model,
      'simpleia.training.run.id': runId,
    }
    const span = tracing.startFrom({}, 'evaluation', { attributes })
    const stages = followStages(span)
    const told = (progress: Progress) => {
      stages.saw(progress)
      onProgress(progress)
    }
    try {
      const report = await span.within(() => evaluate(started, told, signal))
      span.set({ 'simpleia.evaluation.passed': report.verdict?.passed ?? undefined })
      return report
    } catch (error) {
      span.fail(codeOf(error))
      throw error
    } finally {
      stages.end()
      span.end()
    }
  }
}

/** Each stage begins where the one before has ended. */
function followStages(span: Span) {
  let count = 0
  let since = Date.now()
  let now: Progress | undefined
  function end(): void {
    const endMs = Date.now()
    if (now !== undefined && count <= mostStages)
      span.part(
        now.stage,
        { startMs: since, endMs },
        { 'simpleia.evaluation.done': now.done, 'simpleia.evaluation.total': now.total },
      )
    since = endMs
  }
  return {
    end,
    saw(progress: Progress) {
      if (progress.stage !== now?.stage) {
        end()
        count += 1
      }
      now = progress
    },
  }
}
