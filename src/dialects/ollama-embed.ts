import type { FastifyInstance } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Embedders } from '../engine/embedder.ts'
import { clientGone } from '../http/event-stream.ts'
import type { Metered } from '../usage/metered.ts'
import { toNanoseconds } from './ollama-answer.ts'
import { modelName, toModelName } from './ollama-border.ts'
import { ollamaErrors } from './ollama-error.ts'
import { optionsBody } from './ollama-options.ts'
import { isZero } from './ollama-request.ts'
import { getEmbedder } from './openai-embeddings.ts'
import { wrongField } from './refuse-fields.ts'

const mostTexts = 2048
const text = Type.String({ maxLength: 1_000_000 })

const commonFields = {
  model: modelName,
  // They choose tokens, and vectors are made without choosing any.
  options: Type.Optional(optionsBody),
  keep_alive: Type.Optional(Type.Union([Type.Number(), Type.String({ maxLength: 50 })], { description: 'Without effect.' })),
}

const embedBody = Type.Object(
  {
    ...commonFields,
    input: Type.Optional(
      Type.Union([text, Type.Array(Type.String({ minLength: 1, maxLength: 1_000_000 }), { maxItems: mostTexts })]),
    ),
    truncate: Type.Optional(
      Type.Boolean({ default: true, description: "Whether a text longer than the model's window is cut. false: it is refused." }),
    ),
    dimensions: Type.Optional(
      Type.Integer({ minimum: 1, description: 'The first so many numbers of each vector, brought to unit length again.' }),
    ),
  },
  { additionalProperties: false },
)

const embedAnswer = Type.Object({
  model: Type.String({ description: 'As it was asked for.' }),
  embeddings: Type.Array(Type.Array(Type.Number())),
  total_duration: Type.Integer({ description: 'Nanoseconds.' }),
  prompt_eval_count: Type.Integer(),
})

const embeddingsBody = Type.Object({ ...commonFields, prompt: Type.Optional(text) }, { additionalProperties: false })
const embeddingsAnswer = Type.Object({ embedding: Type.Array(Type.Number()) })

/** `metered` counts the work of embedding models. */
export type OllamaEmbedOptions = Readonly<{ embedders: Embedders; metered: Metered }>

/** POST /api/embed, and POST /api/embeddings, which came before it. */
export function serveEmbeddings(http: FastifyInstance, { embedders, metered }: OllamaEmbedOptions): void {
  const tags = ['ollama']
  const embed = { summary: 'Turn texts into vectors', tags, body: embedBody, response: { 200: embedAnswer, ...ollamaErrors } }
  http.post<{ Body: Static<typeof embedBody> }>('/embed', { schema: embed }, async (request, reply) => {
    const { model, input = [], truncate = true, dimensions, keep_alive: keepAlive } = request.body
    isZero(keepAlive)
    const startMs = performance.now()
    const embedder = await getEmbedder(embedders, toModelName(model))
    const texts = typeof input === 'string' ? [input].filter((one) => one !== '') : input
    const encode = () => embedder.encode({ texts, truncate }, clientGone(reply))
    const nothing = { vectors: [], tokens: [] }
    const { vectors, tokens } = texts.length === 0 ? nothing : await metered(request, embedder.name, encode)
    return {
      model,
      embeddings: vectors.map((vector) => [...shorten(vector, dimensions)]),
      total_duration: toNanoseconds(performance.now() - startMs),
      prompt_eval_count: tokens.reduce((sum, one) => sum + one, 0),
    }
  })

  const older = {
    summary: 'Turn a text into a vector (the older form of /api/embed)',
    tags,
    body: embeddingsBody,
    response: { 200: embeddingsAnswer, ...ollamaErrors },
  }
  http.post<{ Body: Static<typeof embeddingsBody> }>('/embeddings', { schema: older }, async (request, reply) => {
    const { model, prompt = '', keep_alive: keepAlive } = request.body
    isZero(keepAlive)
    const embedder = await getEmbedder(embedders, toModelName(model))
    if (prompt === '') return { embedding: [] }
    const encode = () => embedder.encode({ texts: [prompt], truncate: false }, clientGone(reply))
    const { vectors } = await metered(request, embedder.name, encode)
    return { embedding: [...(vectors[0] ?? [])] }
  })
}

/**
 * As Ollama does. It means something for models that were trained to be cut (Matryoshka). How long vectors are is known only once the
 * model has made one, so `dimensions` beyond that are refused late.
 */
function shorten(vector: Float32Array, dimensions = vector.length): Float32Array {
  if (dimensions === vector.length) return vector
  if (dimensions > vector.length)
    throw wrongField('dimensions', `at most ${vector.length}, as the vectors of this model`, `${dimensions}`)
  const part = vector.subarray(0, dimensions)
  const length = Math.max(Math.hypot(...part), 1e-12)
  return part.map((value) => value / length)
}
