import { lookup } from 'node:dns/promises'
import { join } from 'node:path'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import type { Collection, Collections, Owner, Passages } from './embed/collection.ts'
import type { Egress } from './engine/cloud/egress.ts'
import type { Embedder } from './engine/embedder.ts'
import { logChild } from './log-child.ts'
import { observeIngest } from './observe/observe-rag.ts'
import type { Observers } from './observe/observe-texts.ts'
import { createIngest } from './rag/documents.ts'
import { createExtractor, spawnExtractor } from './rag/extract/extract-process.ts'
import { createFetchPage, type FetchPage } from './rag/fetch-page.ts'
import { documentRoutes } from './rag/routes.ts'
import { openTempFiles } from './rag/temp-files.ts'

export type RagDocumentParts = Observers &
  Readonly<{
    collections: Collections
    passages: Passages
    modelOf: (collection: Collection) => Promise<Embedder>
    ownerOf: (request: FastifyRequest) => Owner
    fetchPage?: FetchPage
    egress: Egress
    /** What the ledger of what leaves this machine calls who asks. */
    userOf: (request: FastifyRequest) => string
  }>

/** Documents on their way into collections. A part of the composition root. */
export async function openRagDocuments(config: Config, parts: RagDocumentParts, closer: Closer): Promise<FastifyPluginAsync> {
  const { collections, passages, modelOf, ownerOf, egress, userOf } = parts
  const { maxDocumentBytes } = config
  const tempFiles = closer.use(await openTempFiles(join(config.dataDir, 'uploads')))
  const extractor = closer.use(createExtractor(() => spawnExtractor(tempFiles.folder, logChild)))
  const fetchPage =
    parts.fetchPage ?? createFetchPage({ egress, maxBytes: maxDocumentBytes, lookup: (name) => lookup(name, { all: true }) })
  const ingest = observeIngest(createIngest({ collections, passages, extractor, modelOf }), parts)
  return documentRoutes({ collections, passages, ingest, fetchPage, tempFiles, maxDocumentBytes, ownerOf, userOf })
}
