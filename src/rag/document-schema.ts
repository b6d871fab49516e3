import Type, { type Static } from 'typebox'
import { errorBody } from '../http/error-reply.ts'

const name = (description: string) => Type.String({ minLength: 1, maxLength: 500, description })

/** What goes with a document, however it comes. */
export const ingestFields = {
  collection: Type.Optional(name('Name or id of the collection; a missing one is made. Default: "default".')),
  source: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 2000,
      description: 'What tells that it is the same document in a new version. Default: the address, or the name.',
    }),
  ),
  chunk_tokens: Type.Optional(
    Type.Integer({
      minimum: 16,
      maximum: 8192,
      description:
        'Tokens of a chunk at most. Default: 200, or what the model takes. A document whose bytes are there keeps its chunks, but for `force`.',
    }),
  ),
  overlap_tokens: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 2048,
      description: 'Tokens of a chunk that the next one repeats, in whole sentences. Default: 0.',
    }),
  ),
  metadata: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description:
        'Goes with each chunk, for filters. Other metadata than before is a change; without it, unchanged bytes keep theirs.',
    }),
  ),
  force: Type.Optional(
    Type.Boolean({
      description: 'Reads it anew even when nothing of it has changed, as for other `chunk_tokens` or `overlap_tokens`.',
    }),
  ),
}

export const uploadFields = Type.Object(ingestFields, { additionalProperties: false })
export type UploadFields = Static<typeof uploadFields>

export const ingestBody = Type.Object(
  {
    url: Type.Optional(Type.String({ minLength: 1, maxLength: 2000, description: 'A page or file of the public web.' })),
    name: Type.Optional(name('Of a text, as a file would be called: its ending tells whether it is Markdown, HTML, CSV, … ')),
    text: Type.Optional(Type.String({ minLength: 1 })),
    ...ingestFields,
  },
  { additionalProperties: false, description: 'Either `url`, or `name` and `text`.' },
)
export type IngestBody = Static<typeof ingestBody>

const documentFields = {
  id: Type.String(),
  name: Type.String({ description: 'The title, else the name of the file.' }),
  source: Type.String(),
  media_type: Type.String(),
  sha256: Type.String(),
  size_bytes: Type.Integer(),
  pages: Type.Union([Type.Integer(), Type.Null()]),
  passages: Type.Integer({ description: 'How many chunks it has.' }),
  created_at: Type.String(),
  updated_at: Type.String(),
}

const ingested = Type.Object({
  ...documentFields,
  status: Type.Enum(['added', 'replaced', 'unchanged', 'duplicate'], {
    description: 'duplicate: the same bytes are in the collection from another source, and the answer is about that document.',
  }),
  pages_without_text: Type.Optional(Type.Integer({ description: 'Pages of which nothing is found: they are images.' })),
})
const failed = Type.Object({
  name: Type.String(),
  source: Type.String(),
  status: Type.Literal('failed'),
  error: errorBody.properties.error,
})

export const ingestAnswer = Type.Object({
  documents: Type.Array(Type.Union([ingested, failed]), { description: 'One for each file, in their order.' }),
})
export type IngestAnswer = Static<typeof ingestAnswer>
export type IngestedBody = Static<typeof ingested>

export const documentAnswer = Type.Object({
  ...documentFields,
  collection_id: Type.String(),
  chunks: Type.Optional(
    Type.Array(
      Type.Object({
        position: Type.Integer(),
        text: Type.String(),
        page: Type.Optional(Type.Integer()),
        last_page: Type.Optional(Type.Integer()),
        section: Type.Optional(Type.String()),
        start_offset: Type.Optional(Type.Integer()),
        end_offset: Type.Optional(Type.Integer()),
        metadata: Type.Record(Type.String(), Type.Unknown()),
      }),
    ),
  ),
})
export type DocumentAnswer = Static<typeof documentAnswer>

export const documentQuery = Type.Object(
  {
    chunks: Type.Optional(Type.Boolean({ description: 'Gives the chunks as well.' })),
    from: Type.Optional(Type.Integer({ minimum: 0, default: 0, description: 'Position of the first chunk.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100, description: 'Chunks at most.' })),
  },
  { additionalProperties: false },
)

export const listQuery = Type.Object(
  {
    collection: Type.Optional(name('Name or id. Default: "default".')),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
    after: Type.Optional(Type.String({ maxLength: 100, description: '`next_after` of the page before.' })),
  },
  { additionalProperties: false },
)

export const listAnswer = Type.Object({
  documents: Type.Array(Type.Object(documentFields)),
  next_after: Type.Union([Type.String(), Type.Null()], { description: '`after` of the next page; null on the last one.' }),
})
export type ListAnswer = Static<typeof listAnswer>
