import type { FastifyPluginAsync, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { Collection, Collections, Owner, PassageQuery } from '../embed/collection.ts'
import type { Reranker } from '../engine/embedder.ts'
import { resolveSampling } from '../engine/sampling.ts'
import { AppError } from '../errors.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, createTextFormatter, formatEvent, sendEventStream } from '../http/event-stream.ts'
import type { Asker } from '../predict/predict.ts'
import { predictDefaults, toOrigin, toTimingsBody, toUsageBody } from '../predict/schema.ts'
import type { Answer, AnswerEnd, AnswerEvent, AnswerRequest, SourcesFound } from './answer.ts'
import {
  type QueryAnswer,
  type QueryBody,
  type QueryEnd,
  queryAnswer,
  queryBody,
  queryDefaults,
  type SourceBody,
} from './query-schema.ts'
import type { Source } from './retrieve.ts'

export type QueryRoutesOptions = Readonly<{
  answer: Answer
  collections: Pick<Collections, 'find'>
  /** Throws `invalid` for a filter that is none. */
  readFilter: (filter: Readonly<Record<string, unknown>>) => NonNullable<PassageQuery['filter']>
  /** An installed reranker. */
  findReranker: (name: string) => Promise<Reranker | undefined>
  askerOf: (request: FastifyRequest) => Asker
  ownerOf: (request: FastifyRequest) => Owner
  limit: onRequestAsyncHookHandler
  createId: () => string
}>

const schema = {
  summary: 'Answer a question from documents',
  description:
    'With stream:true the answer is text/event-stream: first `event: sources` with {sources}, then each piece of text as `data:`, then ' +
    '`event: done` with what the JSON answer holds besides answer and sources. A failure on the way is `event: error` with the error body.',
  tags: ['rag'],
  body: queryBody,
  response: { 200: queryAnswer, '4xx': errorBody, '5xx': errorBody },
}

/** POST /rag/query, for the caller scope. */
export function queryRoutes(options: QueryRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    http.post<{ Body: QueryBody }>('/rag/query', { schema, onRequest: options.limit }, async (request, reply) => {
      const gone = clientGone(reply)
      const events = options.answer(await toRequest(options, request), options.askerOf(request), gone)
      const { stream = false, debug = false } = request.body
      const head = { id: options.createId(), debug }
      if (!stream) return collect(events, head)
      return streamAnswer({ events, head, gone, request, reply })
    })
  }
}

async function toRequest(options: QueryRoutesOptions, request: FastifyRequest<{ Body: QueryBody }>): Promise<AnswerRequest> {
  const { body } = request
  return {
    collection: await findCollection(options, request),
    question: body.question,
    history: body.history ?? [],
    mode: body.mode ?? 'hybrid',
    k: body.k ?? queryDefaults.k,
    filter: body.filter === undefined ? undefined : options.readFilter(body.filter),
    reranker: body.rerank === undefined ? undefined : await findReranker(options, body.rerank),
    threshold: body.threshold ?? queryDefaults.threshold,
    wantsAnswer: body.answer ?? true,
    maxTokens: body.max_length ?? queryDefaults.maxTokens,
    sampling: {
      ...resolveSampling({ temperature: body.temperature }, { ...predictDefaults, temperature: queryDefaults.temperature }),
      seed: body.seed,
    },
    stop: [],
    model: body.model,
    provider: body.provider,
    remember: body.store ?? true,
  }
}

async function findCollection(options: QueryRoutesOptions, request: FastifyRequest<{ Body: QueryBody }>): Promise<Collection> {
  const name = request.body.collection ?? queryDefaults.collection
  const collection = await options.collections.find(options.ownerOf(request), name)
  if (collection !== undefined) return collection
  throw new AppError(
    'not_found',
    `There is no collection "${name.slice(0, 100)}". Add documents to it first: "./run_llm.sh docs add", or POST /rag/documents.`,
  )
}

async function findReranker({ findReranker: find }: QueryRoutesOptions, name: string): Promise<Reranker> {
  const reranker = await find(name)
  if (reranker !== undefined) return reranker
  throw new AppError(
    'not_found',
    `No reranker is called "${name.slice(0, 100)}". "./run_llm.sh models list" shows what is installed.`,
  )
}

type Head = Readonly<{ id: string; debug: boolean }>

async function collect(events: AsyncIterable<AnswerEvent>, head: Head): Promise<QueryAnswer> {
  let found: SourcesFound | undefined
  for await (const event of events) {
    if (event.type === 'sources-found') found = event
    if (event.type === 'answer-end' && found !== undefined)
      return { ...toEnd(event, found, head), answer: event.text, sources: found.sources.map(toSourceBody) }
  }
  throw new AppError('internal', 'The answer ended before it was complete.')
}

type StreamParts = Readonly<{
  events: AsyncIterable<AnswerEvent>
  head: Head
  gone: AbortSignal
  request: FastifyRequest
  reply: FastifyReply
}>

async function streamAnswer({ events, head, gone, request, reply }: StreamParts): Promise<FastifyReply> {
  await sendEventStream(reply, {
    frames: toFrames(events, head),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
  })
  return reply
}

async function* toFrames(events: AsyncIterable<AnswerEvent>, head: Head): AsyncGenerator<string> {
  const format = createTextFormatter()
  let found: SourcesFound | undefined
  for await (const event of events) {
    switch (event.type) {
      case 'sources-found':
        found = event
        yield formatEvent(JSON.stringify({ sources: event.sources.map(toSourceBody) }), 'sources')
        break
      case 'text-delta': {
        const frame = format(event.text)
        if (frame !== '') yield frame
        break
      }
      case 'answer-end':
        if (found !== undefined) yield formatEvent(JSON.stringify(toEnd(event, found, head)), 'done')
    }
  }
}

function toEnd(end: AnswerEnd, found: SourcesFound, { id, debug }: Head): QueryEnd {
  return {
    id: end.predictionId ?? id,
    model: end.target.model,
    provider: end.target.provider,
    abstained: end.abstained,
    citations: end.sentences.flatMap(({ citations }) => citations).toSorted((one, other) => one.offset - other.offset),
    sentences: end.sentences.map(({ text, offset, citations, supported, support, nearest }) => {
      return {
        text,
        offset,
        citations: citations.map(({ number }) => number),
        supported: supported ?? null,
        support,
        nearest_source: nearest ?? null,
      }
    }),
    finish_reason: end.reason,
    usage: end.usage === undefined ? null : toUsageBody(end.usage),
    timings: end.timings === undefined ? null : toTimingsBody(end.timings),
    ...toOrigin(end.target),
    ...(debug ? { debug: toDebugBody(found) } : {}),
  }
}

function toSourceBody({ number, documentId, itemId, name, origin, place, text, metadata, score, cosine }: Source): SourceBody {
  return {
    number,
    document_id: documentId ?? null,
    id: itemId,
    document: name,
    source: origin,
    page: place.page ?? null,
    last_page: place.lastPage ?? null,
    section: place.section ?? null,
    start_offset: place.startOffset ?? null,
    end_offset: place.endOffset ?? null,
    text,
    metadata,
    score,
    cosine: cosine ?? null,
  }
}

function toDebugBody({ queries, retrieval, messages }: SourcesFound): NonNullable<QueryEnd['debug']> {
  const { found, fused, dropped, bestCosine } = retrieval
  return {
    queries: [...queries],
    found: found.map(({ by, query, passages }) => {
      return { by, query, passages: passages.map(({ itemId, score }) => ({ id: itemId, score })) }
    }),
    fused: fused.map(({ itemId, score }) => ({ id: itemId, score })),
    dropped: dropped.map(({ itemId, reason }) => ({ id: itemId, reason })),
    best_cosine: bestCosine ?? null,
    messages: messages.map(({ role, content }) => ({ role, content })),
  }
}
