import type { FastifyPluginAsync } from 'fastify'
import Type from 'typebox'
import type { VectorIndex } from '../engine/vector-index.ts'
import { errorBody } from '../http/error-reply.ts'
import { clientGone } from '../http/event-stream.ts'
import type { Collection, Collections, Owner, Passages } from './collection.ts'
import { noCollection } from './collections.ts'
import { ownerOf } from './owner.ts'
import type { ReEmbedding } from './re-embed.ts'
import {
  type CollectionItem,
  type CollectionParams,
  type CollectionQuery,
  collectionItem,
  collectionList,
  collectionParams,
  collectionQuery,
  type ShareBody,
  type StatsAnswer,
  shareBody,
  statsAnswer,
  usualCollection,
} from './schema.ts'
import { spaceOf } from './vector-rows.ts'

export type CollectionRoutesOptions = Readonly<{
  collections: Collections
  passages: Passages
  vectorIndex: Pick<VectorIndex, 'statistics'>
  reEmbedding: Pick<ReEmbedding, 'progressOf'>
}>

const tags = ['embed']
const failures = { '4xx': errorBody, '5xx': errorBody }

/**
 * GET /embed/collections, /embed/collections/{id} and /embed/stats for the caller scope; PATCH and DELETE of a collection for users.
 * In the place of an id, a name is understood.
 */
export function collectionRoutes(options: CollectionRoutesOptions): Readonly<Record<'caller' | 'user', FastifyPluginAsync>> {
  return { caller: readRoutes(options), user: changeRoutes(options) }
}

function readRoutes(options: CollectionRoutesOptions): FastifyPluginAsync {
  const { collections, vectorIndex } = options
  return async (http) => {
    const list = {
      summary: 'Your collections, and those that others share',
      tags,
      response: { 200: collectionList, ...failures },
    }
    http.get('/embed/collections', { schema: list }, async (request) => {
      const owner = ownerOf(request)
      const items: CollectionItem[] = []
      for (const collection of await collections.list(owner)) items.push(await toItem(options, owner, collection))
      return { collections: items }
    })

    const one = { summary: 'A collection', tags, params: collectionParams, response: { 200: collectionItem, ...failures } }
    http.get<{ Params: CollectionParams }>('/embed/collections/:id', { schema: one }, async (request) => {
      const owner = ownerOf(request)
      const collection = await collections.find(owner, request.params.id)
      if (collection === undefined) throw noCollection(request.params.id)
      return toItem(options, owner, collection)
    })

    const stats = {
      summary: 'Numbers of a collection and of the index that answers for it',
      tags,
      querystring: collectionQuery,
      response: { 200: statsAnswer, ...failures },
    }
    http.get<{ Querystring: CollectionQuery }>(
      '/embed/stats',
      { schema: stats },
      async (request, reply): Promise<StatsAnswer> => {
        const owner = ownerOf(request)
        const { collection: name = usualCollection } = request.query
        const { length } = await collections.list(owner)
        const collection = await collections.find(owner, name)
        if (collection === undefined) {
          if (name !== usualCollection) throw noCollection(name)
          return { collection: null, index: null, collections: length }
        }
        const { memoryBytes, ...index } = await vectorIndex.statistics(spaceOf(collection), clientGone(reply))
        return {
          collection: await toItem(options, owner, collection),
          index: { ...index, memory_bytes: memoryBytes },
          collections: length,
        }
      },
    )
  }
}

function changeRoutes(options: CollectionRoutesOptions): FastifyPluginAsync {
  const { collections } = options
  return async (http) => {
    const share = {
      summary: 'Share a collection, so that every caller may search it, or stop sharing it',
      tags,
      params: collectionParams,
      body: shareBody,
      response: { 200: collectionItem, ...failures },
    }
    http.patch<{ Params: CollectionParams; Body: ShareBody }>('/embed/collections/:id', { schema: share }, async (request) => {
      const owner = ownerOf(request)
      return toItem(options, owner, await collections.share(owner, request.params.id, request.body.is_shared))
    })

    const removal = {
      summary: 'Remove a collection with everything in it',
      tags,
      params: collectionParams,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<{ Params: CollectionParams }>('/embed/collections/:id', { schema: removal }, async (request, reply) => {
      await collections.remove(ownerOf(request), request.params.id)
      return reply.code(204).send(null)
    })
  }
}

async function toItem(
  { passages, reEmbedding }: CollectionRoutesOptions,
  owner: Owner,
  collection: Collection,
): Promise<CollectionItem> {
  const progress = await reEmbedding.progressOf(collection)
  const { id, name, ownerId, isShared, model, dimensions } = collection
  return {
    id,
    name,
    is_own: ownerId === owner,
    is_shared: isShared,
    model,
    dimensions,
    ...(await passages.count(collection)),
    re_embed: progress === undefined ? null : { ...progress, reason: progress.reason ?? null },
  }
}
