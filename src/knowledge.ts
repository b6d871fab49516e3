import { randomUUID } from 'node:crypto'
import type { FastifyPluginAsync, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { Closer } from './closer.ts'
import { collectionRoutes } from './embed/collection-routes.ts'
import { createCollections } from './embed/collections.ts'
import { modelOf } from './embed/embedding-models.ts'
import { itemRoutes } from './embed/item-routes.ts'
import { readFilter } from './embed/metadata-filter.ts'
import { ownerOf } from './embed/owner.ts'
import { createPassageSearch } from './embed/passage-search.ts'
import { createPassages } from './embed/passages.ts'
import { embedRoutes } from './embed/routes.ts'
import { createReadVectors } from './embed/vector-rows.ts'
import type { Embedders, Rerankers } from './engine/embedder.ts'
import type { ModelHost } from './engine/provider.ts'
import type { ReadVectors, VectorIndex } from './engine/vector-index.ts'
import type { Asker, Predict } from './predict/predict.ts'
import { createAnswer } from './rag/answer.ts'
import { queryRoutes } from './rag/query-routes.ts'
import { createRetrieve } from './rag/retrieve.ts'
import type { Storage } from './storage/open-storage.ts'

export type KnowledgeParts = Readonly<{
  host: ModelHost
  embedders: Embedders
  rerankers: Rerankers
  openVectorIndex: (readVectors: ReadVectors) => VectorIndex
  storage: Storage
  predict: Predict
  /** Counts a request to the model. */
  limit: onRequestAsyncHookHandler
  askerOf: (request: FastifyRequest) => Asker
  now: () => number
}>

export type KnowledgeRoutes = Readonly<Record<'caller' | 'user', readonly FastifyPluginAsync[]>>

/** Collections and what they hold, the searches in them, and the answers from them. */
export function openKnowledge(parts: KnowledgeParts, closer: Closer): KnowledgeRoutes {
  const { embedders: models, rerankers, storage, now } = parts
  const { db } = storage
  const vectorIndex = closer.use(parts.openVectorIndex(createReadVectors(db)))
  const collections = createCollections({ db, models, vectorIndex, now })
  const passages = createPassages({ db, models, vectorIndex, now })
  const search = createPassageSearch({ db, models, vectorIndex })
  const items = itemRoutes({ collections, passages, search })
  const whole = collectionRoutes({ collections, passages, vectorIndex })
  const answer = createAnswer({
    predict: parts.predict,
    retrieve: createRetrieve({ search, passages }),
    findEmbedder: (collection) => modelOf(models, collection),
    contextSizeOf: (model) => contextSizeOf(parts.host, model),
  })
  const query = queryRoutes({
    answer,
    collections,
    readFilter,
    findReranker: rerankers.find,
    askerOf: parts.askerOf,
    ownerOf,
    limit: parts.limit,
    createId: randomUUID,
  })
  return {
    caller: [embedRoutes({ embedders: models }), items.caller, whole.caller, query],
    user: [items.user, whole.user],
  }
}

/** What a model is taken to hold while it has not been loaded: the usual bound of CONTEXT_SIZE. */
const usualContextSize = 4096

async function contextSizeOf(host: ModelHost, model: string): Promise<number> {
  const hosted = (await host.list()).find(({ name }) => name === model)
  return hosted?.info?.contextSize ?? Math.min(hosted?.header?.trainedContext || usualContextSize, usualContextSize)
}
