import type { RagStage } from '../metrics/work-metrics.ts'
import type { Answer, AnswerEvent } from '../rag/answer.ts'
import type { Ingest, IngestEvent } from '../rag/documents.ts'
import type { Retrieve } from '../rag/retrieve.ts'
import type { Observers } from './observe-texts.ts'
import { traced, tracedEvents } from './traced.ts'

type IngestStage = Extract<RagStage, 'extract' | 'split' | 'embed'>
const stageOf: Readonly<Record<IngestEvent['type'], IngestStage | undefined>> = {
  'document-extract': 'extract',
  'document-split': 'split',
  'document-embed': 'embed',
  'document-end': undefined,
}

/** The same way in for documents, whose stages are timed and followed. Each begins where the one before has ended. */
export function observeIngest(ingest: Ingest, { metrics, tracing }: Observers): Ingest {
  return (owner, file, options, signal) => {
    const span = tracing.start('ingest', { attributes: { 'simpleia.document.bytes': file.sizeBytes } })
    let stage: IngestStage | undefined
    let since = { at: performance.now(), ms: Date.now() }
    function saw(event: IngestEvent): void {
      const next = stageOf[event.type]
      if (event.type === 'document-end') span.set({ 'simpleia.document.outcome': event.status })
      if (next === stage) return
      const at = performance.now()
      // From the start on, so that a clock that is set meanwhile changes no duration.
      const now = { at, ms: since.ms + at - since.at }
      if (stage !== undefined) {
        metrics.ragStage(stage, (now.at - since.at) / 1000)
        span.part(stage, { startMs: since.ms, endMs: now.ms })
      }
      stage = next
      since = now
    }
    return tracedEvents(span, { make: () => ingest(owner, file, options, signal), saw, last: 'document-end' })
  }
}

/** The same retrieval, timed and followed, and so is the reranking in it. */
export function observeRetrieve(retrieve: Retrieve, { metrics, tracing }: Observers): Retrieve {
  return (request, signal) => {
    const { collection, mode, k, queries, reranker } = request
    const attributes = {
      'gen_ai.operation.name': 'retrieval',
      'gen_ai.provider.name': 'simpleia',
      'gen_ai.data_source.id': collection.id,
      'gen_ai.request.top_k': k,
      'simpleia.retrieval.mode': mode,
      'simpleia.retrieval.queries': queries.length,
    }
    const timed =
      reranker === undefined
        ? undefined
        : {
            ...reranker,
            rerank: (...asked: Parameters<typeof reranker.rerank>) =>
              inStage('rerank', metrics.ragStage, () => reranker.rerank(...asked)),
          }
    return traced(tracing, 'retrieval', { attributes }, async (span) => {
      const retrieval = await inStage('retrieve', metrics.ragStage, () => retrieve({ ...request, reranker: timed }, signal))
      const { sources, fused } = retrieval
      span.set({ 'simpleia.retrieval.found': fused.length, 'simpleia.retrieval.sources': sources.length })
      return retrieval
    })
  }
}

/** The same answers from documents, followed; the stage is the model's part, with the check of what it says. */
export function observeAnswer(answer: Answer, { metrics, tracing }: Observers): Answer {
  return (request, asker, signal) => {
    const span = tracing.start('rag answer', { attributes: { 'gen_ai.data_source.id': request.collection.id } })
    let since = 0
    function saw(event: AnswerEvent): void {
      if (event.type === 'sources-found') {
        since = performance.now()
        span.set({ 'simpleia.rag.sources': event.sources.length })
      }
      if (event.type !== 'answer-end') return
      span.set({ 'simpleia.rag.abstained': event.abstained })
      if (event.predictionId !== undefined) metrics.ragStage('answer', (performance.now() - since) / 1000)
    }
    return tracedEvents(span, { make: () => answer(request, asker, signal), saw, last: 'answer-end' })
  }
}

async function inStage<T>(stage: RagStage, tell: Observers['metrics']['ragStage'], work: () => Promise<T>): Promise<T> {
  const startMs = performance.now()
  const done = await work()
  tell(stage, (performance.now() - startMs) / 1000)
  return done
}
