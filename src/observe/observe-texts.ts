import type { Embedder, Embedders, Reranker, Rerankers } from '../engine/embedder.ts'
import type { TextWork, WorkMetrics } from '../metrics/work-metrics.ts'
import { codeOf, traced } from './traced.ts'
import type { Attributes, Tracing } from './tracing.ts'

export type Observers = Readonly<{ metrics: WorkMetrics; tracing: Tracing }>

type Asked = Readonly<{ kind: TextWork['kind']; model: string; texts: number }>
type Answered<T> = Readonly<{ answer: T; tokens: number; attributes?: Attributes }>

async function observed<T>({ metrics, tracing }: Observers, asked: Asked, work: () => Promise<Answered<T>>): Promise<T> {
  const { kind, model, texts } = asked
  const operation = kind === 'embedding' ? 'embeddings' : kind
  const done = metrics.textsBegin(kind)
  const startMs = performance.now()
  const seconds = () => (performance.now() - startMs) / 1000
  const attributes = {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': 'simpleia',
    'gen_ai.request.model': model,
    'simpleia.texts': texts,
  }
  try {
    return await traced(tracing, `${operation} ${model}`, { kind: 'client', attributes }, async (span) => {
      const { answer, tokens, attributes: told = {} } = await work()
      span.set({ 'gen_ai.usage.input_tokens': tokens, ...told })
      done({ model, outcome: 'ok', seconds: seconds(), texts, tokens })
      return answer
    })
  } catch (error) {
    done({ model, outcome: codeOf(error), seconds: seconds(), texts, tokens: 0 })
    throw error
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)

/** The same models, whose work is counted and followed. */
export function observeEmbedders(embedders: Embedders, observers: Observers): Embedders {
  const observe = keepEach((embedder: Embedder): Embedder => {
    const { name } = embedder
    return {
      ...embedder,
      encode: (request, signal) =>
        observed(observers, { kind: 'embedding', model: name, texts: request.texts.length }, async () => {
          const answer = await embedder.encode(request, signal)
          const attributes = { 'gen_ai.embeddings.dimension.count': answer.vectors[0]?.length }
          return { answer, tokens: sum(answer.tokens), attributes }
        }),
    }
  })
  return {
    ...embedders,
    usual: observe(embedders.usual),
    find: async (name) => unlessMissing(await embedders.find(name), observe),
  }
}

export function observeRerankers(rerankers: Rerankers, observers: Observers): Rerankers {
  const observe = keepEach((reranker: Reranker): Reranker => {
    const { name } = reranker
    return {
      ...reranker,
      rerank: (request, signal) =>
        observed(observers, { kind: 'rerank', model: name, texts: request.texts.length }, async () => {
          const answer = await reranker.rerank(request, signal)
          return { answer, tokens: sum(answer.tokens) }
        }),
    }
  })
  return { ...rerankers, find: async (name) => unlessMissing(await rerankers.find(name), observe) }
}

const unlessMissing = <T>(found: T | undefined, observe: (found: T) => T): T | undefined =>
  found === undefined ? undefined : observe(found)

/** The same one for the same one: who compares them sees no difference. */
function keepEach<T extends object>(observe: (one: T) => T): (one: T) => T {
  const known = new WeakMap<T, T>()
  return (one) => {
    const kept = known.get(one) ?? observe(one)
    known.set(one, kept)
    return kept
  }
}
