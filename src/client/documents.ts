import type { Static } from 'typebox'
import type {
  CollectionItem,
  collectionList,
  loadAnswer,
  reEmbedAnswer,
  SaveBody,
  StatsAnswer,
  saveAnswer,
  snapshotList,
} from '../embed/schema.ts'
import type { DocumentAnswer, IngestAnswer, IngestBody, ListAnswer } from '../rag/document-schema.ts'
import type { QueryAnswer, QueryBody, QueryEnd } from '../rag/query-schema.ts'
import { readEventStream } from '../read-event-stream.ts'
import { bodyOf, brokenOff, fromErrorBody, query, type Transport } from './transport.ts'

export type ListedDocument = ListAnswer['documents'][number]
export type DocumentChunk = NonNullable<DocumentAnswer['chunks']>[number]
export type IngestMessage =
  | Readonly<{ type: 'progress'; stage: 'extract' | 'split' | 'embed'; done?: number; total?: number }>
  | (Readonly<{ type: 'document' }> & IngestAnswer['documents'][number])

/** What a question to the documents brings, in this order: the sources, the text piece by piece, and the rest of the answer. */
export type DocumentsAnswerEvent =
  | Readonly<{ type: 'sources'; sources: QueryAnswer['sources'] }>
  | Readonly<{ type: 'text'; text: string }>
  | (Readonly<{ type: 'done' }> & QueryEnd)

export type SnapshotItem = Static<typeof snapshotList>['snapshots'][number]

/** Collections, what is in them, and the answers from them. In the place of a collection's id, its name is understood. */
export function documentClient({ call, json, done }: Transport) {
  const collectionAt = (nameOrId: string) => `/embed/collections/${encodeURIComponent(nameOrId)}`
  const documentAt = (id: string) => `/rag/documents/${encodeURIComponent(id)}`
  const documentsPage = (collection?: string, after?: string, limit = 50) =>
    json<ListAnswer>('GET', `/rag/documents${query({ collection, after, limit: String(limit) })}`)
  const chunksPage = async (id: string, from: number, limit: number) => {
    const page = { chunks: 'true', from: String(from), limit: String(limit) }
    return json<DocumentAnswer>('GET', `${documentAt(id)}${query(page)}`)
  }
  return {
    /** One's own, and those that others share. */
    collections: async (): Promise<readonly CollectionItem[]> =>
      (await json<Static<typeof collectionList>>('GET', '/embed/collections')).collections,
    collection: (nameOrId: string) => json<CollectionItem>('GET', collectionAt(nameOrId)),
    collectionStats: (nameOrId: string) => json<StatsAnswer>('GET', `/embed/stats${query({ collection: nameOrId })}`),
    shareCollection: (nameOrId: string, isShared: boolean) =>
      json<CollectionItem>('PATCH', collectionAt(nameOrId), { is_shared: isShared }),
    removeCollection: (nameOrId: string) => done('DELETE', collectionAt(nameOrId)),
    /** Begins in the background; the collection tells how far it is. */
    reEmbed: (nameOrId: string, model: string) =>
      json<Static<typeof reEmbedAnswer>>('POST', `${collectionAt(nameOrId)}/re-embed`, { model }),
    cancelReEmbed: (nameOrId: string) => json<Static<typeof reEmbedAnswer>>('DELETE', `${collectionAt(nameOrId)}/re-embed`),
    /** Names of the embedding models that are installed. */
    embeddingModels: async (): Promise<readonly string[]> => {
      type Listed = Readonly<{ models: readonly Readonly<{ name: string; kind: string }>[] }>
      return (await json<Listed>('GET', '/models')).models.flatMap(({ name, kind }) => (kind === 'embedding' ? [name] : []))
    },

    snapshots: async (): Promise<readonly SnapshotItem[]> =>
      (await json<Static<typeof snapshotList>>('GET', '/embed/snapshots')).snapshots,
    saveSnapshot: (body: SaveBody) => json<Static<typeof saveAnswer>>('POST', '/embed/save', body),
    /** What the collection holds is replaced. */
    loadSnapshot: (name: string, collection: string) =>
      json<Static<typeof loadAnswer>>('POST', '/embed/load', { name, collection }),
    removeSnapshot: (name: string) => done('DELETE', `/embed/snapshots/${encodeURIComponent(name)}`),

    /** Sends files (with a `file` part each), a text or the address of a page. */
    async *addDocument(body: FormData | IngestBody, signal?: AbortSignal): AsyncGenerator<IngestMessage> {
      yield* readIngest(bodyOf(await call('POST', '/rag/documents', body, signal, 'text/event-stream'), signal))
    },
    /** Oldest first. */
    documentsPage,
    /** All documents of a collection, oldest first. */
    async *documents(collection?: string): AsyncGenerator<ListedDocument> {
      for (let after: string | undefined, more = true; more; ) {
        const page: ListAnswer = await documentsPage(collection, after, 200)
        yield* page.documents
        after = page.next_after ?? undefined
        more = after !== undefined
      }
    },
    document: (id: string) => json<DocumentAnswer>('GET', documentAt(id)),
    /** A document with some of its chunks. */
    documentWithChunks: chunksPage,
    async *documentChunks(id: string): AsyncGenerator<DocumentChunk> {
      for (let from = 0; ; ) {
        const { chunks = [] } = await chunksPage(id, from, 200)
        yield* chunks
        from += chunks.length
        if (chunks.length < 200) return
      }
    },
    removeDocument: (id: string) => done('DELETE', documentAt(id)),

    askDocuments: (body: QueryBody, signal?: AbortSignal) => json<QueryAnswer>('POST', '/rag/query', body, signal),
    async *askDocumentsStream(body: QueryBody, signal?: AbortSignal): AsyncGenerator<DocumentsAnswerEvent> {
      yield* readDocumentsAnswer(bodyOf(await call('POST', '/rag/query', { ...body, stream: true }, signal), signal))
    },
  }
}

// As in client.ts: our own service sends what its schemas say.
async function* readIngest(body: AsyncIterable<Uint8Array>): AsyncGenerator<IngestMessage> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The upload broke off.')
    if (event === 'done') return
    yield { type: event, ...JSON.parse(data) } as IngestMessage
  }
  throw brokenOff()
}

async function* readDocumentsAnswer(body: AsyncIterable<Uint8Array>): AsyncGenerator<DocumentsAnswerEvent> {
  for await (const { event, data } of readEventStream(body)) {
    if (event === 'error') throw fromErrorBody(data, 'The answer broke off.')
    if (event === 'message') yield { type: 'text', text: data }
    if (event === 'sources') yield { type: 'sources', ...(JSON.parse(data) as Pick<QueryAnswer, 'sources'>) }
    if (event !== 'done') continue
    yield { type: 'done', ...(JSON.parse(data) as QueryEnd) }
    return
  }
  throw brokenOff()
}
