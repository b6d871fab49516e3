import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Collections, Document, Owner, Passage, Passages } from '../embed/collection.ts'
import { usualCollection } from '../embed/schema.ts'
import { AppError } from '../errors.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import { readForms } from '../http/forms.ts'
import { readCursor, writeCursor } from '../storage/place-cursor.ts'
import {
  type DocumentAnswer,
  documentAnswer,
  documentQuery,
  type IngestAnswer,
  type IngestBody,
  type IngestedBody,
  ingestAnswer,
  ingestBody,
  type ListAnswer,
  listAnswer,
  listQuery,
  type UploadFields,
} from './document-schema.ts'
import type { IncomingFile, Ingest, IngestEvent, IngestOptions, IngestResult } from './documents.ts'
import { type FetchPage, readPageUrl } from './fetch-page.ts'
import { receiveUpload, type Upload } from './receive-upload.ts'
import type { TempFiles } from './temp-files.ts'

export type DocumentRoutesOptions = Readonly<{
  collections: Pick<Collections, 'find'>
  passages: Pick<Passages, 'findDocumentOf' | 'listDocuments' | 'listChunks' | 'removeDocument'>
  ingest: Ingest
  fetchPage: FetchPage
  tempFiles: TempFiles
  maxDocumentBytes: number
  ownerOf: (request: FastifyRequest) => Owner
  /** What the ledger of what leaves this machine calls who asks. */
  userOf: (request: FastifyRequest) => string
}>

const tags = ['rag']
const failures = { '4xx': errorBody, '5xx': errorBody }
const idParams = Type.Object({ id: Type.String({ maxLength: 100 }) })
type IdParams = Static<typeof idParams>

const silenceMs = 15_000

/** /rag/documents and /rag/documents/{id}, for the user scope. */
export function documentRoutes(options: DocumentRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    await readForms(http)
    await http.register(ingestRoutes(options))
    await http.register(readRoutes(options))
  }
}

function ingestRoutes(options: DocumentRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      summary: 'Take documents into a collection',
      description:
        'Files as multipart/form-data (one or several, with the fields of the JSON body but `url`, `name` and `text`), or JSON: the ' +
        'address of a page, or a text. PDF, DOCX, HTML, Markdown, text, CSV, EPUB and source code are read. A document from the same ' +
        'source takes the place of the one before. Of several files, those that fail have `error` beside the others. With ' +
        '`Accept: text/event-stream` progress comes as `event: progress`, each document as `event: document`, then `event: done`.',
      tags,
      consumes: ['multipart/form-data', 'application/json'],
      body: { content: { 'application/json': { schema: ingestBody } } },
      response: { 200: ingestAnswer, ...failures },
    }
    http.post<{ Body: IngestBody }>('/rag/documents', { schema }, async (request, reply) => {
      const gone = clientGone(reply)
      const upload = await receive(options, request, gone)
      try {
        const events = ingestAll(options, request, upload, gone)
        if (request.headers.accept?.includes('text/event-stream') === true) return await stream(events, { request, reply, gone })
        return await collect(events, upload.files.length)
      } finally {
        await options.tempFiles.remove(upload.files)
      }
    })
  }
}

async function receive(
  options: DocumentRoutesOptions,
  request: FastifyRequest<{ Body: IngestBody }>,
  signal: AbortSignal,
): Promise<Upload> {
  const { tempFiles, maxDocumentBytes: maxBytes } = options
  if (request.isMultipart()) return receiveUpload(request, { tempFiles, maxBytes, signal })
  const { url, name, text, ...fields } = request.body
  if (url !== undefined && text === undefined && name === undefined) {
    const address = readPageUrl(url)
    const page = await options.fetchPage(address, signal, options.userOf(request))
    const file = await tempFiles.save(page.body, maxBytes, signal)
    const { mediaType } = page
    const named = { name: page.name, source: fields.source ?? address.href, ...(mediaType === undefined ? {} : { mediaType }) }
    return { fields, files: [{ ...file, ...named }] }
  }
  if (url !== undefined || text === undefined || name === undefined)
    throw new AppError('invalid', 'Send either "url", or "name" and "text", or files as multipart/form-data.')
  const file = await tempFiles.save(Readable.from([Buffer.from(text)]), maxBytes, signal)
  return { fields, files: [{ ...file, name, source: fields.source ?? name }] }
}

type FileEvent =
  | Readonly<{ type: 'progress'; file: IncomingFile; index: number; event: Exclude<IngestEvent, { type: 'document-end' }> }>
  | Readonly<{ type: 'document'; body: IngestAnswer['documents'][number]; failure?: AppError }>

async function* ingestAll(
  { ingest, ownerOf }: DocumentRoutesOptions,
  request: FastifyRequest,
  { files, fields }: Upload,
  signal: AbortSignal,
): AsyncGenerator<FileEvent> {
  for (const [index, file] of files.entries()) {
    try {
      for await (const event of ingest(ownerOf(request), file, toOptions(fields), signal)) {
        if (event.type === 'document-end') yield { type: 'document', body: toIngestedBody(event) }
        else yield { type: 'progress', file, index, event }
      }
    } catch (error) {
      if (signal.aborted) throw error
      // One bad file does not stop the rest.
      yield toFailure(file, error, request.log)
    }
  }
}

function toFailure({ name, source }: IncomingFile, error: unknown, log: FastifyBaseLogger): FileEvent {
  const failure = toAppError(error, log)
  return { type: 'document', body: { name, source, status: 'failed', ...toErrorBody(failure) }, failure }
}

function toOptions({ collection = usualCollection, chunk_tokens, overlap_tokens, metadata, force }: UploadFields): IngestOptions {
  return {
    collection,
    ...(chunk_tokens === undefined ? {} : { chunkTokens: chunk_tokens }),
    ...(overlap_tokens === undefined ? {} : { overlapTokens: overlap_tokens }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(force === undefined ? {} : { force }),
  }
}

/** A file that came alone and failed is the answer's own failure. */
async function collect(events: AsyncIterable<FileEvent>, count: number): Promise<IngestAnswer> {
  const documents: IngestAnswer['documents'] = []
  for await (const event of events) {
    if (event.type !== 'document') continue
    if (event.failure !== undefined && count === 1) throw event.failure
    documents.push(event.body)
  }
  return { documents }
}

type StreamParts = Readonly<{ request: FastifyRequest; reply: FastifyReply; gone: AbortSignal }>

async function stream(events: AsyncIterable<FileEvent>, { request, reply, gone }: StreamParts): Promise<FastifyReply> {
  await sendEventStream(reply, {
    frames: withHeartbeats(toFrames(events), (signal) => setTimeout(silenceMs, undefined, { signal })),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
  })
  return reply
}

async function* toFrames(events: AsyncIterable<FileEvent>): AsyncGenerator<string> {
  const documents: IngestAnswer['documents'] = []
  for await (const event of events) {
    if (event.type === 'document') {
      documents.push(event.body)
      yield formatEvent(JSON.stringify(event.body), 'document')
    } else {
      const { type, ...rest } = event.event
      const progress = { index: event.index, name: event.file.name, stage: type.replace('document-', ''), ...rest }
      yield formatEvent(JSON.stringify(progress), 'progress')
    }
  }
  yield formatEvent(JSON.stringify({ documents }), 'done')
}

function readRoutes({ collections, passages, ownerOf }: DocumentRoutesOptions): FastifyPluginAsync {
  const getDocument = async (request: FastifyRequest<{ Params: IdParams }>) => {
    const found = await passages.findDocumentOf(ownerOf(request), request.params.id)
    if (found === undefined) throw noDocument(request.params.id)
    return found
  }
  return async (http) => {
    const list = {
      summary: 'Documents of a collection, oldest first',
      tags,
      querystring: listQuery,
      response: { 200: listAnswer, ...failures },
    }
    http.get<{ Querystring: Static<typeof listQuery> }>(
      '/rag/documents',
      { schema: list },
      async (request): Promise<ListAnswer> => {
        const { collection: name = usualCollection, limit = 50, after } = request.query
        const collection = await collections.find(ownerOf(request), name)
        if (collection === undefined) {
          if (name !== usualCollection) throw new AppError('not_found', `There is no collection "${name.slice(0, 100)}".`)
          return { documents: [], next_after: null }
        }
        const found = await passages.listDocuments(collection, {
          limit: limit + 1,
          ...(after === undefined ? {} : { after: readCursor(after, 'after') }),
        })
        const page = found.slice(0, limit)
        const last = found.length > limit ? page.at(-1) : undefined
        return { documents: page.map(toDocumentBody), next_after: last === undefined ? null : writeCursor(last) }
      },
    )

    const show = {
      summary: 'One document',
      tags,
      params: idParams,
      querystring: documentQuery,
      response: { 200: documentAnswer, ...failures },
    }
    http.get<{ Params: IdParams; Querystring: Static<typeof documentQuery> }>(
      '/rag/documents/:id',
      { schema: show },
      async (request): Promise<DocumentAnswer> => {
        const { chunks = false, from = 0, limit = 100 } = request.query
        const { document } = await getDocument(request)
        const body = { ...toDocumentBody(document), collection_id: document.collectionId }
        if (!chunks) return body
        const found = await passages.listChunks(document.id, { from, to: from + limit - 1 })
        return { ...body, chunks: found.map(toChunkBody) }
      },
    )

    const remove = {
      summary: 'Remove a document with its chunks',
      tags,
      params: idParams,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<{ Params: IdParams }>('/rag/documents/:id', { schema: remove }, async (request, reply) => {
      const { document, isOwn } = await getDocument(request)
      if (!isOwn) throw noDocument(document.id)
      await passages.removeDocument(document)
      return reply.code(204).send(null)
    })
  }
}

function noDocument(id: string): AppError {
  return new AppError('not_found', `There is no document "${id}".`)
}

function toDocumentBody({ id, name, source, mediaType, sha256, sizeBytes, pages, passages, createdAt, updatedAt }: Document) {
  return {
    id,
    name,
    source,
    media_type: mediaType,
    sha256,
    size_bytes: sizeBytes,
    pages: pages ?? null,
    passages,
    created_at: createdAt,
    updated_at: updatedAt,
  }
}

function toIngestedBody({ status, document, pagesWithoutText }: IngestResult): IngestedBody {
  return {
    ...toDocumentBody(document),
    status,
    ...(pagesWithoutText === undefined ? {} : { pages_without_text: pagesWithoutText }),
  }
}

function toChunkBody({ position, text, metadata, place = {} }: Passage) {
  const { page, lastPage, section, startOffset, endOffset } = place
  return {
    position,
    text,
    metadata,
    ...(page === undefined ? {} : { page }),
    ...(lastPage === undefined ? {} : { last_page: lastPage }),
    ...(section === undefined ? {} : { section }),
    ...(startOffset === undefined ? {} : { start_offset: startOffset }),
    ...(endOffset === undefined ? {} : { end_offset: endOffset }),
  }
}
