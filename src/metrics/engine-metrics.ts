import type { Registry } from 'prom-client'
import { batchBounds, type ModelLoad } from '../engine/engine-work.ts'
import type { EngineStatus } from '../engine/provider.ts'
import { CountedHistogram, readCounters, readGauge, readGauges } from './register.ts'

/** What the engines tell of themselves. */
export function registerEngine(registry: Registry, engine: () => EngineStatus): void {
  const gauge = (name: string, help: string, read: () => number) => readGauge(registry, { name, help }, read)
  gauge('simpleia_generations_active', 'Answers being written now.', () => engine().active)
  gauge('simpleia_generations_queued', 'Requests that wait for a place.', () => engine().queued)
  gauge('simpleia_engine_ready', '1 while a model can answer.', () => (['ready', 'unloaded'].includes(engine().state) ? 1 : 0))
  gauge('simpleia_engine_resident_bytes', 'Memory of the processes of the models.', () => engine().residentBytes)
  registerModels(registry, engine)
  registerWork(registry, engine)
}

function registerModels(registry: Registry, engine: () => EngineStatus): void {
  const gauges: ReadonlyArray<readonly [string, string, (load: ModelLoad) => number]> = [
    ['simpleia_model_loaded', '1 while the model is in memory.', ({ isLoaded }) => Number(isLoaded)],
    ['simpleia_slots', 'Answers that the model writes at once.', ({ slots }) => slots],
    ['simpleia_slots_used', 'Answers that the model writes now.', ({ usedSlots }) => usedSlots],
    ['simpleia_queue_depth', 'Requests that wait for a place at the model.', ({ queued }) => queued],
    ['simpleia_queue_limit', 'Requests that may wait for a place at the model; one more is refused.', (load) => load.queueLimit],
    ['simpleia_kv_cache_used_tokens', 'Tokens in the context memory of requests under way.', ({ memory }) => memory.usedTokens],
    [
      'simpleia_kv_cache_held_tokens',
      'Tokens in the context memory, with those kept for prompts that begin alike.',
      ({ memory }) => memory.heldTokens,
    ],
    ['simpleia_kv_cache_size_tokens', 'Tokens that the context memory has room for.', ({ memory }) => memory.totalTokens],
  ]
  for (const [name, help, pick] of gauges) {
    readGauges(registry, { name, help, label: 'model' }, () => engine().models.map((load) => [load.name, pick(load)]))
  }
}

function registerWork(registry: Registry, engine: () => EngineStatus): void {
  new CountedHistogram(
    registry,
    {
      name: 'simpleia_batch_tokens',
      help: 'Tokens that one step evaluates: those of all answers under way, and of pieces of prompts.',
      label: 'model',
      bounds: batchBounds,
    },
    () => engine().models.map(({ name, work }) => ({ label: name, counts: work.batches, sum: work.tokens })),
  )
  const counters: ReadonlyArray<readonly [string, string, (load: ModelLoad) => number]> = [
    [
      'simpleia_draft_tokens_total',
      'Tokens that were guessed from a passage, to be checked together (speculative decoding).',
      ({ work }) => work.draftedTokens,
    ],
    [
      'simpleia_engine_deaths_total',
      'Processes of the model that ended by themselves, as where the system had no memory for them; each is started again.',
      ({ deaths }) => deaths,
    ],
    ['simpleia_draft_accepted_tokens_total', 'Those of the guessed tokens that were right.', ({ work }) => work.acceptedTokens],
  ]
  for (const [name, help, pick] of counters) {
    readCounters(registry, { name, help, label: 'model' }, () => engine().models.map((load) => [load.name, pick(load)]))
  }
}
