import Type, { type Static } from 'typebox'

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
