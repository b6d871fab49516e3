import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { ErrorCode } from '../errors.ts'
import { stageSeconds } from './buckets.ts'
import type { LabelledModel } from './model-label.ts'

/** What documents and questions go through. */
export type RagStage = 'extract' | 'split' | 'embed' | 'retrieve' | 'rerank' | 'answer'

export type TextWork = Readonly<{
  kind: 'embedding' | 'rerank'
  /** Of an installed file. */
  model: string
  outcome: 'ok' | ErrorCode
  seconds: number
  texts: number
  tokens: number
}>

export interface WorkMetrics {
  /** Texts that go to an embedding model or a reranker; what this gives is to be called when they have come back. */
  textsBegin(kind: TextWork['kind']): (work: Omit<TextWork, 'kind'>) => void
  ragStage(stage: RagStage, seconds: number): void
}

export function registerWork(registry: Registry, labelOf: (target: LabelledModel) => string): WorkMetrics {
  const kinds = { embedding: registerTexts(registry, embedding), rerank: registerTexts(registry, reranking) }
  const stages = new Histogram({
    name: 'simpleia_rag_stage_duration_seconds',
    help: 'What documents (extract, split, embed) and questions to them (retrieve, with rerank in it; answer) take.',
    labelNames: ['stage'],
    buckets: stageSeconds,
    registers: [registry],
  })
  return {
    textsBegin(kind) {
      const { active, requests, texts, tokens, durations } = kinds[kind]
      active.inc()
      return (work) => {
        const model = labelOf({ model: work.model, ranOn: 'local' })
        active.dec()
        requests.inc({ outcome: work.outcome, model })
        if (work.outcome !== 'ok') return
        texts.inc({ model }, work.texts)
        tokens.inc({ model }, work.tokens)
        durations.observe({ model }, work.seconds)
      }
    },
    ragStage: (stage, seconds) => stages.observe({ stage }, seconds),
  }
}

const embedding = { name: 'embedding', work: 'embedding models', what: 'texts that were made vectors of' }
const reranking = { name: 'rerank', work: 'rerankers', what: 'texts that were ordered' }

function registerTexts(registry: Registry, { name, work, what }: typeof embedding) {
  const registers = [registry]
  const labelNames = ['model']
  return {
    active: new Gauge({
      name: `simpleia_${name}_requests_active`,
      help: `Requests to ${work} that are under way or wait.`,
      registers,
    }),
    requests: new Counter({
      name: `simpleia_${name}_requests_total`,
      help: `Requests to ${work} by how they ended: ok, or the code of the error.`,
      labelNames: ['outcome', 'model'],
      registers,
    }),
    texts: new Counter({ name: `simpleia_${name}_texts_total`, help: `The ${what}.`, labelNames, registers }),
    tokens: new Counter({ name: `simpleia_${name}_tokens_total`, help: `Tokens of the ${what}.`, labelNames, registers }),
    durations: new Histogram({
      name: `simpleia_${name}_duration_seconds`,
      help: `From a request to one of the ${work} to its answer; waiting and loading are part of it.`,
      labelNames,
      buckets: stageSeconds,
      registers,
    }),
  }
}
