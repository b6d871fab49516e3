import type { FastifyInstance } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Embedder, Embedders } from '../engine/embedder.ts'
import { AppError } from '../errors.ts'
import { clientGone } from '../http/event-stream.ts'
import type { Metered } from '../usage/metered.ts'
import { openaiErrors } from './openai-error.ts'
import { wrongField } from './refuse-fields.ts'

/** Texts of one request at most: OpenAI's own limit. */
const mostTexts = 2048

const mostCharacters = 1_000_000

const embeddingsBody = Type.Object(
  {
    model: Type.String({ maxLength: 500 }),
    input: Type.Union([Type.String(), Type.Array(Type.Unknown(), { minItems: 1, maxItems: mostTexts })], {
      description: 'Texts. Lists of tokens are not taken: they would be those of another model.',
    }),
    encoding_format: Type.Optional(Type.Enum(['float', 'base64'])),
    dimensions: Type.Optional(Type.Integer({ minimum: 1, description: 'Only as many as the model has.' })),
    user: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)

const embeddingsAnswer = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(
    Type.Object({
      object: Type.Literal('embedding'),
      index: Type.Integer(),
      embedding: Type.Union([Type.Array(Type.Number()), Type.String({ description: 'base64 of 32-bit floats, little-endian' })]),
    }),
  ),
  model: Type.String(),
  usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
})

/** POST /v1/embeddings. */
export function serveEmbeddings(http: FastifyInstance, embedders: Embedders, metered: Metered): void {
  const response = { 200: embeddingsAnswer, ...openaiErrors }
  const schema = { summary: 'Turn texts into vectors', tags: ['openai'], body: embeddingsBody, response }
  http.post<{ Body: Static<typeof embeddingsBody> }>('/embeddings', { schema }, async (request, reply) => {
    const { model, input, encoding_format: format = 'float', dimensions } = request.body
    const embedder = await getEmbedder(embedders, model)
    const texts = typeof input === 'string' ? [checkText(input, 'input')] : input.map((one, at) => checkText(one, `input.${at}`))
    const encode = () => embedder.encode({ texts, truncate: false }, clientGone(reply))
    const { vectors, tokens } = await metered(request, embedder.name, encode)
    // Known only once the model has made a vector: it may not be in memory, and its file can change. So what was made is counted.
    const width = vectors[0]?.length ?? 0
    if (dimensions !== undefined && dimensions !== width)
      throw wrongField('dimensions', `left out, or as many as the model has (${width})`, String(dimensions))
    const count = tokens.reduce((sum, one) => sum + one, 0)
    return {
      object: 'list' as const,
      data: vectors.map((vector, index) => ({ object: 'embedding' as const, index, embedding: write(vector, format) })),
      model: embedder.name,
      usage: { prompt_tokens: count, total_tokens: count },
    }
  })
}

const inTokens = 'would be those of another model; in LangChain: check_embedding_ctx_length=False'

/** Some clients send tokens: their users must hear that it is texts that are wanted. */
function checkText(input: unknown, field: string): string {
  if (typeof input !== 'string') throw wrongField(field, `a text (tokens ${inTokens})`, 'something else')
  if (input.length > 0 && input.length <= mostCharacters) return input
  throw wrongField(field, `a text of 1 to ${mostCharacters} characters`, `one of ${input.length}`)
}

/** By its name. Throws `not_found` with the names that there are. */
export async function getEmbedder(embedders: Embedders, name: string): Promise<Embedder> {
  const found = name === embedders.usual.name ? embedders.usual : await embedders.find(name)
  if (found !== undefined) return found
  const names = [...new Set([embedders.usual.name, ...(await embedders.list())])].map((one) => `"${one}"`)
  throw new AppError('not_found', `No embedding model is called "${name.slice(0, 100)}". There is ${names.join(', ')}.`)
}

function write(vector: Float32Array, format: 'float' | 'base64'): number[] | string {
  if (format === 'float') return [...vector]
  const bytes = Buffer.alloc(vector.length * Float32Array.BYTES_PER_ELEMENT)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * Float32Array.BYTES_PER_ELEMENT)
  return bytes.toString('base64')
}
