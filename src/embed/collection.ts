import type { MetadataFilter } from './metadata-filter.ts'

/** Whose it is: the id of a user, or null for callers without a name. */
export type Owner = string | null

/** Passages that are searched together, with vectors of one model. */
export type Collection = Readonly<{
  id: string
  ownerId: Owner
  name: string
  isShared: boolean
  /** The embedding model of its vectors. */
  model: string
  dimensions: number
  /** The model whose vectors are being made, while they are. */
  nextModel: string | undefined
}>

export type Metadata = Readonly<Record<string, unknown>>

/** Where a chunk stands in its document. */
export type PassagePlace = Readonly<{
  /** First and last page, from 1. */
  page?: number
  lastPage?: number
  /** The headings above it, outermost first, with " > " between. */
  section?: string
  /** In the document's text, in UTF-16 code units. */
  startOffset?: number
  endOffset?: number
}>

export type NewPassage = Readonly<{ text: string; metadata?: Metadata; place?: PassagePlace }>

/** A text with the name by which its owner knows it; without one it gets a new one. */
export type NewItem = NewPassage & Readonly<{ itemId?: string }>

export type NewDocument = Readonly<{
  /** As shown: the title, else the file's name. */
  name: string
  /** What tells that it is the same document in a new version; unique in its collection. */
  source: string
  mediaType: string
  /** SHA-256 of the bytes, in hex. */
  sha256: string
  sizeBytes: number
  pages?: number
}>

export type Document = NewDocument &
  Readonly<{ id: string; collectionId: string; passages: number; createdAt: string; updatedAt: string }>

export type Passage = NewPassage &
  Readonly<{ id: number; itemId: string; documentId: string | undefined; position: number; metadata: Metadata }>

/** A passage that answers a search; the meaning of `score` is that of the search, higher is better. */
export type FoundPassage = Passage & Readonly<{ score: number }>

/** What a document is found by in its collection; of several with the same bytes, the oldest. */
export type DocumentKey = Readonly<{ id: string } | { source: string } | { sha256: string }>

/** Where a document stands in the list of its collection, whether or not it is still there. */
export type DocumentPlace = Readonly<Pick<Document, 'createdAt' | 'id'>>

/** The collections of all owners. Whatever belongs to others looks as if it did not exist. */
export interface Collections {
  /** Those of the owner, and those that others share. */
  list(owner: Owner): Promise<readonly Collection[]>
  /** For reading: the owner's collection of that name or id, else a shared one. */
  find(owner: Owner, nameOrId: string): Promise<Collection | undefined>
  /**
   * For writing: the owner's collection of that name or id; a missing name is made. Throws `not_found` for one of somebody else,
   * `conflict` when its vectors are of another model than the one that is named, else the one in use, with how to re-embed.
   */
  open(owner: Owner, nameOrId: string, model?: string): Promise<Collection>
  /** For changing what needs no vectors: the owner's collection. Throws `not_found`. */
  getOwn(owner: Owner, nameOrId: string): Promise<Collection>
  share(owner: Owner, nameOrId: string, isShared: boolean): Promise<Collection>
  /** With everything in it. Throws `not_found`. */
  remove(owner: Owner, nameOrId: string): Promise<void>
}

/** What a collection holds. Each change is one transaction: passages, their words and their vectors come and go together. */
export interface Passages {
  /**
   * Adds texts, each under its id; an id that is there gets the new text. Gives the ids in the order of the texts. Throws `invalid`
   * (one id twice, a text or metadata that cannot be stored), `conflict` (the id of a document's chunk), as the embedder, and
   * `not_found` when the collection is gone.
   */
  add(
    collection: Collection,
    items: readonly NewItem[],
    signal: AbortSignal,
    options?: Readonly<{
      /** Whether texts that are longer than the model's window are cut for their vectors; otherwise they are refused. */
      truncate?: boolean
    }>,
  ): Promise<readonly string[]>
  /** Removes texts that were added; gives how many were there. Throws `conflict` for the id of a document's chunk. */
  removeItems(collection: Collection, itemIds: readonly string[]): Promise<number>
  count(collection: Collection): Promise<Readonly<{ documents: number; passages: number }>>
  /**
   * Puts a document in the place of the one with the same source, all its chunks with it. `onEmbedded` hears of how many chunks the
   * vectors are made.
   */
  replaceDocument(
    collection: Collection,
    document: NewDocument,
    chunks: readonly NewPassage[],
    signal: AbortSignal,
    onEmbedded?: (chunks: number) => void,
  ): Promise<Document>
  findDocument(collection: Collection, which: DocumentKey): Promise<Document | undefined>
  /** A document of any collection that the owner may read; `isOwn` says whether they may change it. */
  findDocumentOf(owner: Owner, id: string): Promise<Readonly<{ document: Document; isOwn: boolean }> | undefined>
  /** Oldest first. */
  listDocuments(collection: Collection, page: Readonly<{ limit: number; after?: DocumentPlace }>): Promise<readonly Document[]>
  /** With all its chunks. Throws `not_found` when it is gone. */
  removeDocument(document: Document): Promise<void>
  /** Chunks of a document by position, those of the range that exist, its ends with it. */
  listChunks(documentId: string, range: Readonly<{ from: number; to: number }>): Promise<readonly Passage[]>
}

export type PassageQuery = Readonly<{
  text: string
  k: number
  filter?: MetadataFilter
  /** Whether a text that is longer than the model's window is looked for by its beginning; otherwise it is refused. */
  truncate?: boolean
  /** Told of the tokens of the text, each time that its vector is made. */
  onEmbedded?: (tokens: number) => void
}>

/** Finds passages of one collection, best first. */
export interface PassageSearch {
  /** By meaning; `score` is the cosine. Throws as the embedder and the vector index. */
  byVector(collection: Collection, query: PassageQuery, signal: AbortSignal): Promise<readonly FoundPassage[]>
  /** By words, with BM25; `score` is that of FTS5, turned so that higher is better. */
  byWords(collection: Collection, query: PassageQuery): Promise<readonly FoundPassage[]>
  /** The vectors of passages in the collection's model, by passage id. */
  vectorsOf(collection: Collection, ids: readonly number[]): Promise<ReadonlyMap<number, Float32Array>>
}
