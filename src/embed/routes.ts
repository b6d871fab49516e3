import type { FastifyPluginAsync } from 'fastify'
import type { Embedders } from '../engine/embedder.ts'
import { AppError } from '../errors.ts'
import { errorBody } from '../http/error-reply.ts'
import { clientGone } from '../http/event-stream.ts'
import type { Metered } from '../usage/metered.ts'
import { type EncodeAnswer, type EncodeBody, encodeAnswer, encodeBody } from './schema.ts'

export type EmbedRoutesOptions = Readonly<{ embedders: Embedders; metered: Metered }>

/** POST /embed/encode, for the caller scope. */
export function embedRoutes({ embedders, metered }: EmbedRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      summary: 'Turn texts into vectors',
      tags: ['embed'],
      body: encodeBody,
      response: { 200: encodeAnswer, '4xx': errorBody, '5xx': errorBody },
    }
    http.post<{ Body: EncodeBody }>('/embed/encode', { schema }, async (request, reply): Promise<EncodeAnswer> => {
      const { texts, truncate = false, model, purpose } = request.body
      const embedder = model === undefined ? embedders.usual : await embedders.find(model)
      if (embedder === undefined) throw await noSuchModel(embedders, model ?? '')
      const asked = { texts, truncate, ...(purpose === undefined ? {} : { purpose }) }
      const encode = () => embedder.encode(asked, clientGone(reply))
      const { vectors, tokens, truncated } = await metered(request, embedder.name, encode)
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

async function noSuchModel(embedders: Embedders, name: string): Promise<AppError> {
  const names = [...new Set([embedders.usual.name, ...(await embedders.list())])].map((one) => `"${one}"`)
  return new AppError('not_found', `No embedding model is called "${name.slice(0, 100)}". There is ${names.join(', ')}.`)
}
