import type { FastifyPluginAsync } from 'fastify'
import { errorBody } from '../http/error-reply.ts'
import { ownerOf } from './owner.ts'
import type { ReEmbedding } from './re-embed.ts'
import { type CollectionParams, collectionParams, type ReEmbedBody, reEmbedAnswer, reEmbedBody } from './schema.ts'

const tags = ['embed']
const failures = { '4xx': errorBody, '5xx': errorBody }

/** POST and DELETE /embed/collections/{id}/re-embed, for users; GET /embed/collections/{id} tells how far it is. */
export function reEmbedRoutes({ reEmbedding }: Readonly<{ reEmbedding: ReEmbedding }>): FastifyPluginAsync {
  return async (http) => {
    const start = {
      summary: 'Move a collection to another embedding model, in the background',
      description:
        'Searches go on with the old vectors until the new ones are complete and searches with them are good. ' +
        'GET /embed/collections/{id} tells how far it is; it goes on after a restart.',
      tags,
      params: collectionParams,
      body: reEmbedBody,
      response: { 202: reEmbedAnswer, ...failures },
    }
    http.post<{ Params: CollectionParams; Body: ReEmbedBody }>(
      '/embed/collections/:id/re-embed',
      { schema: start },
      async (request, reply) => {
        const { id, model, nextModel } = await reEmbedding.start(ownerOf(request), request.params.id, request.body?.model)
        return reply.code(202).send({ id, model, next_model: nextModel ?? null })
      },
    )

    const cancel = {
      summary: 'Stay with the old model',
      tags,
      params: collectionParams,
      response: { 200: reEmbedAnswer, ...failures },
    }
    http.delete<{ Params: CollectionParams }>('/embed/collections/:id/re-embed', { schema: cancel }, async (request) => {
      const { id, model, nextModel } = await reEmbedding.cancel(ownerOf(request), request.params.id)
      return { id, model, next_model: nextModel ?? null }
    })
  }
}
