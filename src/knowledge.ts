import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger, FastifyPluginAsync, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { openToKeys } from './auth/key-scopes.ts'
import type { Closer } from './closer.ts'
import { openCollections } from './collections.ts'
import type { Config } from './config.ts'
import type { Collection, Collections } from './embed/collection.ts'
import { modelOf } from './embed/embedding-models.ts'
import { readFilter } from './embed/metadata-filter.ts'
import { ownerOf } from './embed/owner.ts'
import { embedRoutes } from './embed/routes.ts'
import type { Egress } from './engine/cloud/egress.ts'
import type { Embedders, Rerankers } from './engine/embedder.ts'
import type { ModelHost } from './engine/provider.ts'
import type { Providers } from './engine/providers.ts'
import type { ReadVectors, VectorIndex } from './engine/vector-index.ts'
import type { Instances } from './instances/instances.ts'
import { observeAnswer, observeRetrieve } from './observe/observe-rag.ts'
import type { Observers } from './observe/observe-texts.ts'
import type { Asker, Predict } from './predict/predict.ts'
import { type Answer, createAnswer } from './rag/answer.ts'
import type { FetchPage } from './rag/fetch-page.ts'
import { queryRoutes } from './rag/query-routes.ts'
import { createRetrieve } from './rag/retrieve.ts'
import { openRagDocuments } from './rag-documents.ts'
import type { Storage } from './storage/open-storage.ts'
import type { Metered } from './usage/metered.ts'

export type KnowledgeParts = Observers &
  Readonly<{
    host: ModelHost
    providers: Pick<Providers, 'find'>
    embedders: Embedders
    rerankers: Rerankers
    openVectorIndex: (readVectors: ReadVectors) => VectorIndex
    /** Stands in for the network in tests. */
    fetchPage?: FetchPage
    egress: Egress
    storage: Storage
    instances: Instances
    log: FastifyBaseLogger
    predict: Predict
    /** Counts a request to the model. */
    limit: onRequestAsyncHookHandler
    /** Counts the work of embedding models. */
    metered: Metered
    askerOf: (request: FastifyRequest) => Asker
    now: () => number
  }>

export type Knowledge = Readonly<Record<'caller' | 'user', readonly FastifyPluginAsync[]>> &
  Readonly<{ /** From the documents of a collection. */ answer: Answer; collections: Pick<Collections, 'find'> }>

/** Collections and what they hold, the searches in them, and the answers from them. */
export async function openKnowledge(config: Config, parts: KnowledgeParts, closer: Closer): Promise<Knowledge> {
  const { embedders, storage } = parts
  const held = await openCollections(config, parts, storage, closer)
  const { collections, passages, search } = held
  const modelOfVectors = (collection: Collection) => modelOf(embedders, collection)
  const { fetchPage } = parts
  const documentParts = {
    collections,
    passages,
    modelOf: modelOfVectors,
    ownerOf,
    egress: parts.egress,
    metrics: parts.metrics,
    tracing: parts.tracing,
    userOf: (request: FastifyRequest) => parts.askerOf(request).key,
    ...(fetchPage === undefined ? {} : { fetchPage }),
  }
  const documents = await openRagDocuments(config, documentParts, closer)
  const plainAnswer = createAnswer({
    predict: parts.predict,
    retrieve: observeRetrieve(createRetrieve({ search, passages }), parts),
    findEmbedder: modelOfVectors,
    contextSizeOf: (target) => contextSizeOf(parts, target),
  })
  const answer = observeAnswer(plainAnswer, parts)
  const query = queryRoutes({
    answer,
    collections,
    readFilter,
    findReranker: parts.rerankers.find,
    askerOf: parts.askerOf,
    ownerOf,
    limit: parts.limit,
    createId: randomUUID,
  })
  return {
    ...{ answer, collections },
    caller: [openToKeys('inference', [embedRoutes({ embedders, metered: parts.metered }), query]), ...held.caller],
    user: [...held.user, openToKeys('documents', [documents])],
  }
}

/** What a model is taken to hold while it has not been loaded: the usual bound of CONTEXT_SIZE. */
const usualContextSize = 4096

/** Of a cloud's model of which nothing else was written down; where it has less, sources are left out until they fit. */
const usualElsewhere = 32_768

type Answering = Readonly<{ provider: string; model: string }>

async function contextSizeOf(
  { host, providers }: Pick<KnowledgeParts, 'host' | 'providers'>,
  { provider, model }: Answering,
): Promise<number> {
  if (provider !== host.name)
    return providers.find(provider)?.models?.find(({ name }) => name === model)?.contextSize ?? usualElsewhere
  const hosted = (await host.list()).find(({ name }) => name === model)
  return hosted?.info?.contextSize ?? Math.min(hosted?.header?.trainedContext || usualContextSize, usualContextSize)
}
