import { isDeepStrictEqual } from 'node:util'
import type { Collection, Collections, Document, Metadata, NewPassage, Owner, Passages } from '../embed/collection.ts'
import type { Embedder } from '../engine/embedder.ts'
import type { Extracted } from './extract/extract.ts'
import type { Extractor } from './extract/extract-process.ts'
import { type Chunk, leastChunkTokens, splitText, usualChunkTokens } from './split-text.ts'
import type { TempFile } from './temp-files.ts'

/** A document on its way in. */
export type IncomingFile = TempFile &
  Readonly<{
    /** The file's own name; its ending tells the kind of text. */
    name: string
    /** What tells that it is the same document in a new version. */
    source: string
    mediaType?: string
  }>

export type IngestOptions = Readonly<{
  /** Name or id; a missing one is made. */
  collection: string
  chunkTokens?: number
  overlapTokens?: number
  /** Goes with each chunk, for filters. Without it a document whose bytes are there keeps what it has. */
  metadata?: Metadata
  /** Reads and splits it anew even when nothing of it has changed. */
  force?: boolean
}>

/**
 * What became of a file. `unchanged`: the same bytes from the same source are there, with the same metadata. `duplicate`: the same bytes are there from another
 * source, and `document` is that one.
 */
export type IngestResult = Readonly<{
  status: 'added' | 'replaced' | 'unchanged' | 'duplicate'
  document: Document
  pagesWithoutText?: number
}>

export type IngestEvent =
  | Readonly<{ type: 'document-extract' | 'document-split' }>
  | Readonly<{ type: 'document-embed'; done: number; total: number }>
  | (Readonly<{ type: 'document-end' }> & IngestResult)

export type DocumentsParts = Readonly<{
  collections: Pick<Collections, 'find' | 'open'>
  passages: Pick<Passages, 'findDocument' | 'listChunks' | 'replaceDocument'>
  extractor: Pick<Extractor, 'extract'>
  /** The model that makes the vectors of a collection. */
  modelOf: (collection: Collection) => Promise<Pick<Embedder, 'countTokens' | 'maxTokens'>>
}>

/**
 * Takes a file into a collection; the last event is `document-end`. Throws `unprocessable` and `too_large` (what cannot be read),
 * `invalid` (a chunk size outside of the model's window), and as the collections and the model do.
 */
export type Ingest = (
  owner: Owner,
  file: IncomingFile,
  options: IngestOptions,
  signal: AbortSignal,
) => AsyncGenerator<IngestEvent, void, void>

/** The tokens that a model puts around a text, and a prefix that it may want before a document. */
const reservedTokens = 2 + 8

export function createIngest({ collections, passages, extractor, modelOf }: DocumentsParts): Ingest {
  return async function* ingest(owner, file, options, signal) {
    const seen = await findKnown(owner, file, options)
    if (seen !== undefined) {
      yield { type: 'document-end', ...seen }
      return
    }
    yield { type: 'document-extract' }
    const hints = { name: file.name, ...(file.mediaType === undefined ? {} : { mediaType: file.mediaType }) }
    const extracted = await extractor.extract(file.path, hints, signal)
    yield { type: 'document-split' }
    // Not before it is known to be readable: a bad file makes no collection.
    const collection = await collections.open(owner, options.collection)
    const chunks = await split({ ...extracted, title: extracted.title ?? file.name }, await modelOf(collection), options, signal)
    const before = await passages.findDocument(collection, { source: file.source })
    yield { type: 'document-embed', done: 0, total: chunks.length }
    const passagesOf = chunks.map((chunk) => toPassage(chunk, options.metadata))
    const save = (stop: AbortSignal, onEmbedded: (done: number) => void) =>
      passages.replaceDocument(collection, describe(file, extracted), passagesOf, stop, onEmbedded)
    const document = yield* reportEmbedding(save, chunks.length, signal)
    const { pagesWithoutText } = extracted
    const status = before === undefined ? 'added' : 'replaced'
    yield { type: 'document-end', status, document, ...(pagesWithoutText === undefined ? {} : { pagesWithoutText }) }
  }

  async function findKnown(owner: Owner, file: IncomingFile, options: IngestOptions): Promise<IngestResult | undefined> {
    const collection = options.force === true ? undefined : await collections.find(owner, options.collection)
    // One that somebody else shares is never written to.
    if (collection === undefined || collection.ownerId !== owner) return undefined
    const same = await passages.findDocument(collection, { source: file.source })
    if (same !== undefined) {
      const isUnchanged = same.sha256 === file.sha256 && (await hasMetadata(same, options.metadata))
      return isUnchanged ? { status: 'unchanged', document: same } : undefined
    }
    const copy = await passages.findDocument(collection, { sha256: file.sha256 })
    return copy === undefined ? undefined : { status: 'duplicate', document: copy }
  }

  async function hasMetadata({ id }: Document, metadata: Metadata | undefined): Promise<boolean> {
    const [first] = metadata === undefined ? [] : await passages.listChunks(id, { from: 0, to: 0 })
    // As it would be stored: -0 becomes 0.
    return first === undefined || isDeepStrictEqual(first.metadata, JSON.parse(JSON.stringify(metadata)))
  }
}

async function split(
  extracted: Extracted & Readonly<{ title: string }>,
  model: Pick<Embedder, 'countTokens' | 'maxTokens'>,
  { chunkTokens, overlapTokens }: IngestOptions,
  signal: AbortSignal,
): Promise<Chunk[]> {
  const windowTokens = Math.max(leastChunkTokens, (await model.maxTokens()) - reservedTokens)
  return splitText(
    extracted,
    {
      title: extracted.title,
      windowTokens,
      chunkTokens: chunkTokens ?? Math.min(usualChunkTokens, windowTokens),
      ...(overlapTokens === undefined ? {} : { overlapTokens }),
    },
    (texts) => model.countTokens(texts, signal),
  )
}

function describe({ name, source, sha256, sizeBytes }: IncomingFile, { title, mediaType, pages }: Extracted) {
  return { name: title ?? name, source, mediaType, sha256, sizeBytes, ...(pages === undefined ? {} : { pages }) }
}

function toPassage({ text, ...place }: Chunk, metadata: Metadata | undefined): NewPassage {
  return { text, place, ...(metadata === undefined ? {} : { metadata }) }
}

type Save = (signal: AbortSignal, onEmbedded: (done: number) => void) => Promise<Document>

/** Tells how far the vectors are while the document is saved. A reader that leaves stops the saving. */
async function* reportEmbedding(save: Save, total: number, signal: AbortSignal): AsyncGenerator<IngestEvent, Document, void> {
  const left = new AbortController()
  let news = Promise.withResolvers<void>()
  let done = 0
  let isOver = false
  const saving = save(AbortSignal.any([signal, left.signal]), (count) => {
    done = count
    news.resolve()
  }).finally(() => {
    isOver = true
    news.resolve()
  })
  // Thrown where it is awaited; until then nobody listens.
  saving.catch(() => {})
  try {
    for (;;) {
      await news.promise
      if (isOver) return await saving
      news = Promise.withResolvers()
      yield { type: 'document-embed', done, total }
    }
  } finally {
    left.abort()
    await saving.catch(() => {})
  }
}
