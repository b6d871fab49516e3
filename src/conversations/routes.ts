import type { FastifyPluginAsync } from 'fastify'
import Type, { type Static } from 'typebox'
import { errorBody } from '../http/error-reply.ts'
import type { Answering } from './answering.ts'
import type { Conversations } from './conversations.ts'
import type { ListOptions } from './list.ts'
import type { Owner, Owners } from './owner.ts'
import {
  byConversation,
  type ConversationChanges,
  type ConversationsPage,
  conversationAnswer,
  conversationChanges,
  conversationsPage,
  conversationsQuery,
  type NewConversation,
  newConversation,
} from './schema.ts'

export type ConversationRoutesOptions = Readonly<{
  owners: Owners
  conversations: Conversations
  answering: Pick<Answering, 'stopAll'>
  list: (owner: Owner | undefined, options: ListOptions) => Promise<ConversationsPage>
}>

const tags = ['conversations']
const failures = { '4xx': errorBody, '5xx': errorBody }
const response = { 200: conversationAnswer, ...failures }
type ById = { Params: Static<typeof byConversation> }

/** /conversations and each of them, for the caller scope: somebody without an account has those of their browser. Closed to API keys. */
export function conversationRoutes(options: ConversationRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    await http.register(allRoutes(options))
    await http.register(oneRoutes(options))
  }
}

function allRoutes({ owners, conversations, list }: ConversationRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const listing = {
      tags,
      summary: 'List your conversations: pinned ones first, then by when something was said last',
      description: 'Without an account they belong to the browser that made them, by the cookie `simpleia_visitor`.',
      querystring: conversationsQuery,
      response: { 200: conversationsPage, ...failures },
    }
    http.get<{ Querystring: Static<typeof conversationsQuery> }>('/conversations', { schema: listing }, (request) => {
      const { limit, cursor, search } = request.query
      return list(owners.find(request), { limit, cursor, search })
    })

    const creating = {
      tags,
      summary: 'Begin a conversation',
      body: newConversation,
      response: { 201: conversationAnswer, ...failures },
    }
    http.post<{ Body: NewConversation }>('/conversations', { schema: creating }, async (request, reply) => {
      const created = await conversations.create(owners.open(request, reply), request.body)
      reply.code(201)
      return created
    })
  }
}

function oneRoutes({ owners, conversations, answering }: ConversationRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const reading = { tags, summary: 'Read a conversation, without its messages', params: byConversation, response }
    http.get<ById>('/conversations/:id', { schema: reading }, (request) =>
      conversations.get(owners.find(request), request.params.id),
    )

    const changing = {
      tags,
      summary: 'Rename, pin or set up a conversation, or show another of its branches',
      params: byConversation,
      body: conversationChanges,
      response,
    }
    http.patch<ById & { Body: ConversationChanges }>('/conversations/:id', { schema: changing }, (request) =>
      conversations.change(owners.find(request), request.params.id, request.body),
    )

    const removing = {
      tags,
      summary: 'Delete a conversation; for a day it can be brought back',
      params: byConversation,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<ById>('/conversations/:id', { schema: removing }, async (request, reply) => {
      const { id } = request.params
      await conversations.remove(owners.find(request), id)
      await answering.stopAll(id)
      return reply.code(204).send(null)
    })

    const restoring = { tags, summary: 'Bring a conversation back that was deleted', params: byConversation, response }
    http.post<ById>('/conversations/:id/restore', { schema: restoring }, (request) =>
      conversations.restore(owners.find(request), request.params.id),
    )
  }
}
