import type { FastifyPluginAsync } from 'fastify'
import Type from 'typebox'
import { errorBody } from '../http/error-reply.ts'
import type { Collections } from './collection.ts'
import { noCollection } from './collections.ts'
import { ownerOf } from './owner.ts'
import {
  type LoadBody,
  loadAnswer,
  loadBody,
  type SaveBody,
  type SnapshotParams,
  saveAnswer,
  saveBody,
  snapshotList,
  snapshotParams,
  usualCollection,
} from './schema.ts'
import { snapshotNameOf } from './snapshot-files.ts'
import type { Snapshots } from './snapshots.ts'

export type SnapshotRoutesOptions = Readonly<{ collections: Collections; snapshots: Snapshots }>

const tags = ['embed']
const failures = { '4xx': errorBody, '5xx': errorBody }

/** POST /embed/save and /embed/load, GET /embed/snapshots and DELETE /embed/snapshots/{name}, for users. */
export function snapshotRoutes({ collections, snapshots }: SnapshotRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const save = {
      summary: 'Save a collection to a file of the service: one state of it, whatever is added meanwhile',
      tags,
      body: saveBody,
      response: { 200: saveAnswer, ...failures },
    }
    http.post<{ Body: SaveBody }>('/embed/save', { schema: save }, async (request) => {
      const owner = ownerOf(request)
      const { collection: nameOrId = usualCollection, name } = request.body
      const collection = await collections.find(owner, nameOrId)
      if (collection === undefined) throw noCollection(nameOrId)
      const saved = await snapshots.save(owner, collection, name ?? snapshotNameOf(collection))
      return {
        name: saved.name,
        collection: collection.id,
        model: saved.collection.model,
        documents: saved.documents,
        passages: saved.passages,
        size_bytes: saved.sizeBytes,
        sha256: saved.sha256,
        created_at: saved.createdAt,
      }
    })

    const load = {
      summary: 'Put what a snapshot holds in the place of what a collection holds, whole or not at all',
      tags,
      body: loadBody,
      response: { 200: loadAnswer, ...failures },
    }
    http.post<{ Body: LoadBody }>('/embed/load', { schema: load }, async (request) => {
      const { name = usualCollection, collection: into } = request.body
      const { collection, documents, passages } = await snapshots.load(ownerOf(request), name, into)
      return { collection: collection.id, name: collection.name, model: collection.model, documents, passages }
    })

    const list = { summary: 'Your snapshots', tags, response: { 200: snapshotList, ...failures } }
    http.get('/embed/snapshots', { schema: list }, async (request) => {
      const files = await snapshots.list(ownerOf(request))
      return {
        snapshots: files.map(({ name, sizeBytes, createdAt }) => ({ name, size_bytes: sizeBytes, created_at: createdAt })),
      }
    })

    const removal = {
      summary: 'Remove a snapshot',
      tags,
      params: snapshotParams,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<{ Params: SnapshotParams }>('/embed/snapshots/:name', { schema: removal }, async (request, reply) => {
      await snapshots.remove(ownerOf(request), request.params.name)
      return reply.code(204).send(null)
    })
  }
}
