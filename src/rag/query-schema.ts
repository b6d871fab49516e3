import Type, { type Static } from 'typebox'
import { usualCollection } from '../embed/schema.ts'
import { predictAnswer, predictBounds, storeField } from '../predict/schema.ts'

/** What is used where a request says nothing. The schema names them, so that the API's description shows them. */
export const queryDefaults = { collection: usualCollection, k: 5, threshold: 0.25, maxTokens: 512, temperature: 0 } as const

const mostCharacters = 20_000

const message = Type.Object(
  {
    role: Type.Union([Type.Literal('user'), Type.Literal('assistant')]),
    content: Type.String({ minLength: 1, maxLength: mostCharacters }),
  },
  { additionalProperties: false },
)

export const queryBody = Type.Object(
  {
    question: Type.String({ minLength: 1, maxLength: mostCharacters, pattern: '\\S' }),
    history: Type.Optional(
      Type.Array(message, {
        maxItems: 200,
        description: 'Earlier turns of the conversation, so that the question may be a follow-up.',
      }),
    ),
    collection: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        default: queryDefaults.collection,
        description: 'Name or id of a collection.',
      }),
    ),
    mode: Type.Optional(
      Type.Union([Type.Literal('hybrid'), Type.Literal('vector'), Type.Literal('words')], {
        default: 'hybrid',
        description: 'How passages are found: by meaning and by words together, or by one of the two.',
      }),
    ),
    k: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 50, default: queryDefaults.k, description: 'At most this many sources.' }),
    ),
    filter: Type.Optional(
      Type.Unsafe<Readonly<Record<string, unknown>>>({
        type: 'object',
        description: 'What the metadata must be, as in /embed/search.',
      }),
    ),
    rerank: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description: 'A reranker that is installed: it reads question and passages together.',
      }),
    ),
    threshold: Type.Optional(
      Type.Number({
        minimum: -1,
        maximum: 1,
        default: queryDefaults.threshold,
        description: 'Where no passage is this near to the question (cosine), the answer is that the documents do not tell.',
      }),
    ),
    answer: Type.Optional(Type.Boolean({ default: true, description: 'false: only the sources, the model is not asked.' })),
    stream: Type.Optional(Type.Boolean({ default: false, description: 'true: server-sent events, the sources first.' })),
    debug: Type.Optional(Type.Boolean({ default: false, description: 'Adds what was found, dropped and sent to the model.' })),
    max_length: Type.Optional(Type.Integer({ minimum: 1, maximum: predictBounds.maxTokens, default: queryDefaults.maxTokens })),
    temperature: Type.Optional(
      Type.Number({ minimum: 0, maximum: predictBounds.temperature, default: queryDefaults.temperature }),
    ),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: predictBounds.seed })),
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    provider: Type.Optional(Type.String({ minLength: 1, maxLength: 50 })),
    store: storeField,
  },
  { additionalProperties: false },
)
export type QueryBody = Static<typeof queryBody>

const orNull = <Schema extends Type.TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])

const sourceBody = Type.Object({
  number: Type.Integer({ description: 'What [n] in the answer refers to.' }),
  document_id: orNull(Type.String()),
  id: Type.String({ description: 'Of the passage that was found.' }),
  document: Type.String({ description: 'What the document is called.' }),
  source: Type.String({ description: 'Where it came from.' }),
  page: orNull(Type.Integer()),
  last_page: orNull(Type.Integer()),
  section: orNull(Type.String()),
  start_offset: orNull(Type.Integer()),
  end_offset: orNull(Type.Integer()),
  text: Type.String(),
  metadata: Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object', additionalProperties: true }),
  score: Type.Number(),
  cosine: orNull(Type.Number()),
})
export type SourceBody = Static<typeof sourceBody>

const sentenceBody = Type.Object({
  text: Type.String(),
  offset: Type.Integer(),
  citations: Type.Array(Type.Integer()),
  supported: orNull(
    Type.Boolean({
      description: 'Whether a source says this: one that it cites, or any where it cites none. null: not checked.',
    }),
  ),
  support: Type.Number({ description: 'How near the nearest sentence of those sources is (cosine).' }),
  nearest_source: orNull(Type.Integer()),
})

const hitBody = Type.Object({ id: Type.String(), score: Type.Number() })

export const debugBody = Type.Object({
  queries: Type.Array(Type.String({ description: 'The wordings that were looked for.' })),
  found: Type.Array(Type.Object({ by: Type.String(), query: Type.String(), passages: Type.Array(hitBody) })),
  fused: Type.Array(hitBody),
  dropped: Type.Array(Type.Object({ id: Type.String(), reason: Type.String() })),
  best_cosine: orNull(Type.Number()),
  messages: Type.Array(Type.Object({ role: Type.String(), content: Type.String() }), { description: 'What the model was sent.' }),
})

const answerProperties = {
  id: Type.String(),
  model: Type.String(),
  provider: Type.String(),
  abstained: Type.Boolean({ description: 'Whether the documents do not tell.' }),
  citations: Type.Array(
    Type.Object({ number: Type.Integer(), offset: Type.Integer({ description: 'In the answer, in UTF-16 code units.' }) }),
  ),
  sentences: Type.Array(sentenceBody),
  finish_reason: Type.String(),
  usage: orNull(predictAnswer.properties.usage),
  timings: orNull(predictAnswer.properties.timings),
  ran_on: predictAnswer.properties.ran_on,
  why: predictAnswer.properties.why,
  passed_by: predictAnswer.properties.passed_by,
}

/** The last event of a stream. */
export const queryEnd = Type.Object({ ...answerProperties, debug: Type.Optional(debugBody) })
export type QueryEnd = Static<typeof queryEnd>

export const queryAnswer = Type.Object({
  ...answerProperties,
  answer: Type.String({ description: 'Empty when only the sources were asked for.' }),
  sources: Type.Array(sourceBody),
  debug: Type.Optional(debugBody),
})
export type QueryAnswer = Static<typeof queryAnswer>
