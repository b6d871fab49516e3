import { Counter, Histogram, type Registry } from 'prom-client'
import type { PredictMetrics } from '../predict/predict.ts'
import { answerSeconds, firstTokenSeconds, tokenSeconds, waitSeconds } from './buckets.ts'
import type { LabelledModel } from './model-label.ts'

type AnswerMetrics = Pick<PredictMetrics, 'firstToken' | 'generationEnd' | 'generationFailed'>

/** Counts answers, their tokens and their times. */
export function registerAnswers(registry: Registry, labelOf: (target: LabelledModel) => string): AnswerMetrics {
  const registers = [registry]
  const generations = new Counter({
    name: 'simpleia_generations_total',
    help: 'Generations by how they ended: ok, or the code of the error.',
    labelNames: ['outcome', 'model'],
    registers,
  })
  const tokens = registerTokens(registry)
  const times = registerTimes(registry)
  return {
    firstToken: (seconds, target) => times.firstToken.observe({ model: labelOf(target) }, seconds),
    generationEnd(usage, answer) {
      const model = labelOf(answer)
      const { timings, choices, seconds } = answer
      generations.inc({ outcome: 'ok', model })
      tokens.prompt.inc({ model }, usage.promptTokens)
      tokens.cached.inc({ model }, usage.cachedPromptTokens)
      tokens.completion.inc({ model }, usage.completionTokens)
      times.queue.observe({ model }, timings.queueMs / 1000)
      times.prompt.observe({ model }, timings.promptMs / 1000)
      times.whole.observe({ model }, seconds)
      if (timings.tokensPerSecond > 0) times.token.observe({ model }, choices / timings.tokensPerSecond)
    },
    generationFailed: (code, target) => generations.inc({ outcome: code, model: labelOf(target) }),
  }
}

function registerTokens(registry: Registry) {
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames: ['model'], registers: [registry] })
  return {
    prompt: counter('simpleia_prompt_tokens_total', 'Tokens of prompts, of answers that came to their end.'),
    cached: counter(
      'simpleia_prompt_cached_tokens_total',
      'Those of the tokens of prompts that were in memory already and were not computed again.',
    ),
    completion: counter('simpleia_completion_tokens_total', 'Tokens of answers that came to their end.'),
  }
}

function registerTimes(registry: Registry) {
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, labelNames: ['model'], buckets, registers: [registry] })
  return {
    firstToken: histogram(
      'simpleia_time_to_first_token_seconds',
      'From the arrival of a request at the engine to its first text.',
      firstTokenSeconds,
    ),
    queue: histogram(
      'simpleia_queue_wait_seconds',
      'From the arrival of a request at the engine to the start of its prompt; a model that has to be loaded is part of it.',
      waitSeconds,
    ),
    prompt: histogram('simpleia_prompt_duration_seconds', 'Reading the prompt, to the first token.', waitSeconds),
    token: histogram(
      'simpleia_time_per_output_token_seconds',
      'Mean time between two tokens of an answer, once for each answer.',
      tokenSeconds,
    ),
    whole: histogram(
      'simpleia_generation_duration_seconds',
      'From the arrival of a request at the engine to the end of its answer, of those that came to their end.',
      answerSeconds,
    ),
  }
}
