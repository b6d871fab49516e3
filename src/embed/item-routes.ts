import type { FastifyPluginAsync } from 'fastify'
import { errorBody } from '../http/error-reply.ts'
import { clientGone } from '../http/event-stream.ts'
import type { Metered } from '../usage/metered.ts'
import type { Collections, FoundPassage, NewItem, PassageSearch, Passages } from './collection.ts'
import { noCollection } from './collections.ts'
import { readFilter } from './metadata-filter.ts'
import { ownerOf } from './owner.ts'
import {
  type AddBody,
  addAnswer,
  addBody,
  type DeleteBody,
  deleteAnswer,
  deleteBody,
  type SearchAnswer,
  type SearchBody,
  searchAnswer,
  searchBody,
  usualCollection,
} from './schema.ts'

export type ItemRoutesOptions = Readonly<{
  collections: Collections
  passages: Passages
  search: PassageSearch
  /** Counts the work of embedding models. */
  metered: Metered
}>

const tags = ['embed']
const failures = { '4xx': errorBody, '5xx': errorBody }

/** POST /embed/search for the caller scope; POST /embed/add and /embed/delete, which change what others may see, for users. */
export function itemRoutes(options: ItemRoutesOptions): Readonly<Record<'caller' | 'user', FastifyPluginAsync>> {
  return { caller: searchRoutes(options), user: changeRoutes(options) }
}

function searchRoutes({ collections, search, metered }: ItemRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      summary: 'Find the texts of a collection that are nearest in meaning',
      tags,
      body: searchBody,
      response: { 200: searchAnswer, ...failures },
    }
    http.post<{ Body: SearchBody }>('/embed/search', { schema }, async (request, reply): Promise<SearchAnswer> => {
      const { query, k = 10, filter, collection: name = usualCollection } = request.body
      const where = filter === undefined ? {} : { filter: readFilter(filter) }
      const collection = await collections.find(ownerOf(request), name)
      if (collection === undefined) {
        if (name !== usualCollection) throw noCollection(name)
        return { results: [], model: '', ran_on: 'local' }
      }
      let count = 0
      const onEmbedded = (tokens: number) => {
        count += tokens
      }
      const { found } = await metered(request, collection.model, async () => ({
        found: await search.byVector(collection, { text: query, k, onEmbedded, ...where }, clientGone(reply)),
        tokens: [count],
      }))
      return { results: found.map(toResult), model: collection.model, ran_on: 'local' }
    })
  }
}

function changeRoutes({ collections, passages }: ItemRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const add = {
      summary: 'Add texts to a collection; an id that is there gets the new text',
      tags,
      body: addBody,
      response: { 200: addAnswer, ...failures },
    }
    http.post<{ Body: AddBody }>('/embed/add', { schema: add }, async (request, reply) => {
      const { documents, collection: name = usualCollection, model, truncate = false } = request.body
      const collection = await collections.open(ownerOf(request), name, model)
      const ids = await passages.add(collection, documents.map(toItem), clientGone(reply), { truncate })
      return { ids: [...ids], count: ids.length, collection: collection.id }
    })

    const remove = {
      summary: 'Remove texts from a collection',
      tags,
      body: deleteBody,
      response: { 200: deleteAnswer, ...failures },
    }
    http.post<{ Body: DeleteBody }>('/embed/delete', { schema: remove }, async (request) => {
      const { ids, collection: name = usualCollection } = request.body
      const collection = await collections.getOwn(ownerOf(request), name)
      return { count: await passages.removeItems(collection, ids) }
    })
  }
}

function toItem(document: AddBody['documents'][number]): NewItem {
  if (typeof document === 'string') return { text: document }
  const { id, text, metadata } = document
  return { text, ...(id === undefined ? {} : { itemId: id }), ...(metadata === undefined ? {} : { metadata }) }
}

function toResult({ itemId, text, score, metadata, documentId }: FoundPassage): SearchAnswer['results'][number] {
  return {
    id: itemId,
    text,
    score,
    distance: Math.sqrt(Math.max(0, 2 - 2 * score)),
    metadata,
    ...(documentId === undefined ? {} : { document_id: documentId }),
  }
}
