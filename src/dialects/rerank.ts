import type { FastifyInstance } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Rerankers } from '../engine/embedder.ts'
import { AppError } from '../errors.ts'
import { clientGone } from '../http/event-stream.ts'
import type { Metered } from '../usage/metered.ts'
import { openaiErrors } from './openai-error.ts'

/** Documents of one request at most, as in Cohere's API. */
const mostDocuments = 1000

const text = Type.String({ minLength: 1, maxLength: 1_000_000 })

const rerankBody = Type.Object(
  {
    model: Type.Optional(Type.String({ maxLength: 500, description: 'Default: the first one that is installed.' })),
    query: text,
    documents: Type.Array(Type.Union([text, Type.Object({ text }, { additionalProperties: false })]), {
      minItems: 1,
      maxItems: mostDocuments,
    }),
    top_n: Type.Optional(Type.Integer({ minimum: 1, description: 'How many are wanted. Default: all of them.' })),
    return_documents: Type.Optional(Type.Boolean({ description: 'Whether the answer repeats the texts. Default: false.' })),
  },
  { additionalProperties: false },
)

const rerankAnswer = Type.Object({
  model: Type.String(),
  results: Type.Array(
    Type.Object({
      index: Type.Integer({ description: 'Place among the documents of the request, from 0.' }),
      relevance_score: Type.Number({ description: 'From 0 to 1. Only its order means something across questions.' }),
      document: Type.Optional(Type.Object({ text: Type.String() })),
    }),
    { description: 'Best first.' },
  ),
  usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
})

/** POST /v1/rerank, which OpenAI has not: as Jina's API, and as vLLM and llama-server have it. */
export function serveRerank(http: FastifyInstance, rerankers: Rerankers, metered: Metered): void {
  const response = { 200: rerankAnswer, ...openaiErrors }
  const schema = { summary: 'Order documents by how well they answer a query', tags: ['openai'], body: rerankBody, response }
  http.post<{ Body: Static<typeof rerankBody> }>('/rerank', { schema }, async (request, reply) => {
    const { model, query, documents, top_n: wanted = documents.length, return_documents: repeats = false } = request.body
    const reranker = await rerankers.find(model)
    if (reranker === undefined) throw await noSuchReranker(rerankers, model)
    const texts = documents.map((document) => (typeof document === 'string' ? document : document.text))
    const rerank = () => reranker.rerank({ query, texts }, clientGone(reply))
    const { scores, tokens } = await metered(request, reranker.name, rerank)
    const count = tokens.reduce((sum, one) => sum + one, 0)
    const results = scores
      .map((score, index) => ({ index, relevance_score: score }))
      .sort((one, other) => other.relevance_score - one.relevance_score || one.index - other.index)
      .slice(0, wanted)
    return {
      model: reranker.name,
      results: repeats ? results.map((one) => ({ ...one, document: { text: texts[one.index] ?? '' } })) : results,
      usage: { prompt_tokens: count, total_tokens: count },
    }
  })
}

async function noSuchReranker(rerankers: Rerankers, name: string | undefined): Promise<AppError> {
  const names = (await rerankers.list()).map((one) => `"${one}"`)
  const known = names.length === 0 ? 'None is installed' : `There is ${names.join(', ')}`
  const what = name === undefined ? 'No reranker can be used' : `No reranker is called "${name.slice(0, 100)}"`
  const how = 'Get one with "./run_llm.sh models pull cross-encoder/ms-marco-MiniLM-L6-v2".'
  return new AppError('not_found', `${what}. ${known}. ${how}`)
}
