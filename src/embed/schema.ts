import Type, { type Static } from 'typebox'

/** The collection of whoever names none. */
export const usualCollection = 'default'

/** Texts of one request at most, and characters of one. */
const mostTexts = 2048
const mostCharacters = 1_000_000

export const encodeBody = Type.Object(
  {
    texts: Type.Array(Type.String({ minLength: 1, maxLength: mostCharacters }), { minItems: 1, maxItems: mostTexts }),
    model: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'An installed embedding model. Default: that of EMBEDDING_MODEL.',
      }),
    ),
    purpose: Type.Optional(
      Type.Enum(['query', 'document'], {
        description:
          'What the texts are, for models that want a prefix before a query or a document. Default: nothing is put before them.',
      }),
    ),
    truncate: Type.Optional(
      Type.Boolean({ description: "Cuts texts that are longer than the model's window, which are refused otherwise." }),
    ),
  },
  { additionalProperties: false },
)
export type EncodeBody = Static<typeof encodeBody>

export const encodeAnswer = Type.Object({
  embeddings: Type.Array(Type.Array(Type.Number()), { description: 'One vector of unit length for each text, in their order.' }),
  dimensions: Type.Integer(),
  model: Type.String(),
  truncated: Type.Array(Type.Boolean(), { description: 'Whether each text was cut.' }),
  usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
  ran_on: Type.Literal('local'),
})
export type EncodeAnswer = Static<typeof encodeAnswer>

const strict = { additionalProperties: false } as const
const mostResults = 1000
const nameOrId = Type.String({ minLength: 1, maxLength: 100 })
const collectionField = Type.Optional(
  Type.String({ minLength: 1, maxLength: 100, description: 'Name or id of a collection. Default: your "default".' }),
)
const itemId = Type.String({ minLength: 1, maxLength: 500 })
const itemText = Type.String({ minLength: 1, maxLength: mostCharacters })
const metadata = Type.Record(Type.String(), Type.Unknown(), { description: 'Any JSON object; searches can filter by it.' })

export const collectionParams = Type.Object({ id: nameOrId })
export type CollectionParams = Static<typeof collectionParams>
export const collectionQuery = Type.Object({ collection: collectionField }, strict)
export type CollectionQuery = Static<typeof collectionQuery>

const newItem = Type.Union([
  itemText,
  Type.Object({ id: Type.Optional(itemId), text: itemText, metadata: Type.Optional(metadata) }, strict),
])

export const addBody = Type.Object(
  {
    documents: Type.Array(newItem, {
      minItems: 1,
      maxItems: mostTexts,
      description:
        'Texts, or objects with a text. An id that is there gets the new text and metadata; without one a new id is made.',
    }),
    collection: collectionField,
    model: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'Embedding model of the collection. Default: the one in use.' }),
    ),
    truncate: Type.Optional(
      Type.Boolean({
        description: "Cuts texts that are longer than the model's window for their vectors; they are refused otherwise.",
      }),
    ),
  },
  strict,
)
export type AddBody = Static<typeof addBody>

export const addAnswer = Type.Object({
  ids: Type.Array(Type.String(), { description: 'In the order of the documents.' }),
  count: Type.Integer(),
  collection: Type.String({ description: 'The id of the collection.' }),
})

export const deleteBody = Type.Object(
  { ids: Type.Array(itemId, { minItems: 1, maxItems: mostTexts }), collection: collectionField },
  strict,
)
export type DeleteBody = Static<typeof deleteBody>
export const deleteAnswer = Type.Object({ count: Type.Integer({ description: 'How many of the ids were there.' }) })

export const searchBody = Type.Object(
  {
    query: itemText,
    k: Type.Optional(Type.Integer({ minimum: 1, maximum: mostResults, default: 10, description: 'Results at most.' })),
    filter: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description:
          'What the metadata must be: a value or a list of allowed values for each field, or {eq, ne, in, gt, gte, lt, lte}. ' +
          'A field inside an object is named with dots: "author.name".',
      }),
    ),
    collection: collectionField,
  },
  strict,
)
export type SearchBody = Static<typeof searchBody>

export const searchAnswer = Type.Object({
  results: Type.Array(
    Type.Object({
      id: Type.String(),
      text: Type.String(),
      score: Type.Number({ description: 'Cosine, from -1 to 1; the best is first.' }),
      distance: Type.Number({ description: 'L2 between the unit vectors, from 0 to 2.' }),
      metadata,
      document_id: Type.Optional(Type.String({ description: 'The document that the text is a chunk of.' })),
    }),
  ),
  model: Type.String(),
  ran_on: Type.Literal('local'),
})
export type SearchAnswer = Static<typeof searchAnswer>

export const collectionItem = Type.Object({
  id: Type.String(),
  name: Type.String(),
  is_own: Type.Boolean({ description: 'false: somebody else shares it, and you may only search it.' }),
  is_shared: Type.Boolean(),
  model: Type.String(),
  dimensions: Type.Integer(),
  documents: Type.Integer(),
  passages: Type.Integer({ description: 'Texts that were added, and chunks of documents.' }),
  re_embed: Type.Union([reEmbedProgress(), Type.Null()], { description: 'The way to another model, while it lasts.' }),
})
export type CollectionItem = Static<typeof collectionItem>
export const collectionList = Type.Object({ collections: Type.Array(collectionItem) })

function reEmbedProgress() {
  return Type.Object({
    model: Type.String(),
    state: Type.Enum(['running', 'waiting', 'failed'], {
      description: 'waiting: its turn has not come, or it tries again. failed: POST again to go on, DELETE to give up.',
    }),
    done: Type.Integer(),
    total: Type.Integer(),
    truncated: Type.Integer({ description: "Texts that were cut to the new model's window." }),
    reason: Type.Union([Type.String(), Type.Null()]),
  })
}

export const shareBody = Type.Object({ is_shared: Type.Boolean() }, strict)
export type ShareBody = Static<typeof shareBody>

export const statsAnswer = Type.Object({
  collection: Type.Union([collectionItem, Type.Null()], { description: 'null: there is none of that name yet.' }),
  index: Type.Union([
    Type.Object({
      vectors: Type.Integer(),
      dimensions: Type.Integer(),
      method: Type.Enum(['exact', 'hnsw']),
      memory_bytes: Type.Integer(),
    }),
    Type.Null(),
  ]),
  collections: Type.Integer({ description: 'How many you can search.' }),
})
export type StatsAnswer = Static<typeof statsAnswer>

export const reEmbedBody = Type.Union([
  Type.Object(
    { model: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'Default: the embedding model in use.' })) },
    strict,
  ),
  Type.Null(),
])
export type ReEmbedBody = Static<typeof reEmbedBody>
export const reEmbedAnswer = Type.Object({
  id: Type.String(),
  model: Type.String({ description: 'The model that answers now.' }),
  next_model: Type.Union([Type.String(), Type.Null()]),
})

const snapshotName = Type.String({ minLength: 1, maxLength: 200, description: 'Letters, digits, - and _.' })
export const snapshotParams = Type.Object({ name: snapshotName })
export type SnapshotParams = Static<typeof snapshotParams>

export const saveBody = Type.Object({ name: Type.Optional(snapshotName), collection: collectionField }, strict)
export type SaveBody = Static<typeof saveBody>
export const saveAnswer = Type.Object({
  name: Type.String({ description: 'Without one it is the name of the collection, as far as a file can bear it.' }),
  collection: Type.String({ description: 'The id of the collection.' }),
  model: Type.String(),
  documents: Type.Integer(),
  passages: Type.Integer(),
  size_bytes: Type.Integer(),
  sha256: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
})

export const loadBody = Type.Object(
  {
    name: Type.Optional(snapshotName),
    collection: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 100,
        description: 'Name or id. Default: the name of the collection that was saved.',
      }),
    ),
  },
  strict,
)
export type LoadBody = Static<typeof loadBody>
export const loadAnswer = Type.Object({
  collection: Type.String({ description: 'The id of the collection.' }),
  name: Type.String(),
  model: Type.String(),
  documents: Type.Integer(),
  passages: Type.Integer(),
})

export const snapshotList = Type.Object({
  snapshots: Type.Array(
    Type.Object({ name: Type.String(), size_bytes: Type.Integer(), created_at: Type.String({ format: 'date-time' }) }),
  ),
})
