import type { FastifyPluginAsync } from 'fastify'
import Type, { type Static } from 'typebox'
import { errorBody } from '../http/error-reply.ts'
import type { Owners } from './owner.ts'
import type { Presets } from './presets.ts'
import { byConversation, type PresetBody, presetAnswer, presetBody, presetList } from './schema.ts'

const tags = ['conversations']
const failures = { '4xx': errorBody, '5xx': errorBody }
type ById = { Params: Static<typeof byConversation> }

/** /presets, for the caller scope. */
export function presetRoutes({ owners, presets }: Readonly<{ owners: Owners; presets: Presets }>): FastifyPluginAsync {
  return async (http) => {
    const listing = { tags, summary: 'List your presets by name', response: { 200: presetList, ...failures } }
    http.get('/presets', { schema: listing }, async (request) => ({ items: await presets.list(owners.find(request)) }))

    const adding = {
      tags,
      summary: 'Keep settings under a name',
      body: presetBody,
      response: { 201: presetAnswer, ...failures },
    }
    http.post<{ Body: PresetBody }>('/presets', { schema: adding }, async (request, reply) => {
      const added = await presets.add(owners.open(request, reply), request.body)
      reply.code(201)
      return added
    })

    const changing = {
      tags,
      summary: 'Change a preset',
      params: byConversation,
      body: presetBody,
      response: { 200: presetAnswer, ...failures },
    }
    http.put<ById & { Body: PresetBody }>('/presets/:id', { schema: changing }, (request) =>
      presets.change(owners.find(request), request.params.id, request.body),
    )

    const removing = {
      tags,
      summary: 'Delete a preset',
      params: byConversation,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<ById>('/presets/:id', { schema: removing }, async (request, reply) => {
      await presets.remove(owners.find(request), request.params.id)
      return reply.code(204).send(null)
    })
  }
}
