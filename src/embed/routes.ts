import type { FastifyPluginAsync } from 'fastify'
import type { Embedder } from '../engine/embedder.ts'
import { errorBody } from '../http/error-reply.ts'
import { clientGone } from '../http/event-stream.ts'
import { type EncodeAnswer, type EncodeBody, encodeAnswer, encodeBody } from './schema.ts'

export type EmbedRoutesOptions = Readonly<{ embedder: Embedder }>

/** POST /embed/encode, for the caller scope. */
export function embedRoutes({ embedder }: EmbedRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      summary: 'Turn texts into vectors',
      tags: ['embed'],
      body: encodeBody,
      response: { 200: encodeAnswer, '4xx': errorBody, '5xx': errorBody },
    }
    http.post<{ Body: EncodeBody }>('/embed/encode', { schema }, async (request, reply): Promise<EncodeAnswer> => {
      const { texts, truncate = false } = request.body
      const { vectors, tokens, truncated } = await embedder.encode({ texts, truncate }, clientGone(reply))
      const count = tokens.reduce((sum, one) => sum + one, 0)
      return {
        embeddings: vectors.map((vector) => [...vector]),
        dimensions: vectors[0]?.length ?? 0,
        model: embedder.name,
        truncated: [...truncated],
        usage: { prompt_tokens: count, total_tokens: count },
        ran_on: 'local',
      }
    })
  }
}
