import type {} from '@fastify/swagger'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import Type, { type Static } from 'typebox'
import { fromQuotaBody, toQuotaAnswer, toUsageAnswer } from '../usage/schema.ts'
import type { DayUsage } from '../usage/usage-days.ts'
import { type ApiKey, type ApiKeys, mostKeys, prefixOf } from './api-keys.ts'
import { userOf } from './guard.ts'
import {
  type KeyInList,
  type KeyOfUser,
  keyList,
  keyPage,
  keyPageQuery,
  keyPath,
  madeKey,
  type NewKeyBody,
  newKey,
} from './schema.ts'

export type KeyRoutesOptions = Readonly<{
  apiKeys: ApiKeys
  /** What each of these keys has used today, in their order. */
  usageOf: (ids: readonly string[]) => Promise<readonly DayUsage[]>
}>

/** `/auth/keys` for users and `/admin/keys` for admins. Keys themselves must not reach them. */
export function keyRoutes(options: KeyRoutesOptions): Readonly<Record<'user' | 'admin', FastifyPluginAsync>> {
  return { user: userRoutes(options), admin: adminRoutes(options) }
}

function userRoutes({ apiKeys, usageOf }: KeyRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    scope.get(
      '/auth/keys',
      { schema: { tags: ['auth'], summary: 'Your API keys, newest first', response: { 200: keyList } } },
      async (request) => {
        const { items } = await apiKeys.list({ userId: userOf(request).id, limit: mostKeys, cursor: undefined })
        const usages = await usageOf(items.map(({ id }) => id))
        return { keys: items.map((key, index) => toListed(key, usages[index])) }
      },
    )

    const schema = {
      tags: ['auth'],
      summary: 'Make an API key; it is shown in this answer and never again',
      body: newKey,
      response: { 201: madeKey },
    }
    scope.post<{ Body: NewKeyBody }>('/auth/keys', { schema }, async (request, reply) => {
      const { name, scopes = ['inference'], expires_at: expiresAt, quota = {} } = request.body
      const { key, created } = await apiKeys.create(userOf(request), {
        name: name.trim(),
        scopes,
        quota: { requestsPerDay: null, tokensPerDay: null, costMicrosPerDay: null, ...fromQuotaBody(quota) },
        expiresAt,
      })
      const listed = toListed(created, (await usageOf([created.id]))[0])
      reply.code(201)
      return { ...listed, key }
    })

    scope.delete<{ Params: Static<typeof keyPath> }>(
      '/auth/keys/:id',
      {
        schema: {
          tags: ['auth'],
          summary: 'Delete one of your API keys; it is dead at once',
          params: keyPath,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await apiKeys.remove(request.params.id, userOf(request).id)
        return noContent(reply)
      },
    )
  }
}

function adminRoutes({ apiKeys, usageOf }: KeyRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    scope.get<{ Querystring: Static<typeof keyPageQuery> }>(
      '/admin/keys',
      {
        schema: {
          tags: ['admin'],
          summary: 'The API keys of all users, or of one, newest first',
          querystring: keyPageQuery,
          response: { 200: keyPage },
        },
      },
      async ({ query: { limit, cursor, user_id: userId } }) => {
        const { items, nextCursor } = await apiKeys.list({ limit, cursor, ...(userId === undefined ? {} : { userId }) })
        const usages = await usageOf(items.map(({ id }) => id))
        const listed = items.map((key, index): KeyOfUser => {
          return { ...toListed(key, usages[index]), user: { id: key.userId, username: key.username } }
        })
        return { items: listed, next_cursor: nextCursor ?? null }
      },
    )

    scope.delete<{ Params: Static<typeof keyPath> }>(
      '/admin/keys/:id',
      {
        schema: {
          tags: ['admin'],
          summary: "Delete anybody's API key; it is dead at once",
          params: keyPath,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await apiKeys.remove(request.params.id)
        return noContent(reply)
      },
    )
  }
}

const noContent = (reply: FastifyReply) => reply.code(204).send()

const nothingUsed: DayUsage = { requests: 0, promptTokens: 0, completionTokens: 0, costMicros: 0 }

function toListed(key: ApiKey, used: DayUsage = nothingUsed): KeyInList {
  const { id, name, lastFour, scopes, quota, createdAt, expiresAt, lastUsedAt } = key
  return {
    id,
    name,
    prefix: prefixOf(id),
    last_four: lastFour,
    scopes: [...scopes],
    quota: toQuotaAnswer(quota),
    created_at: createdAt,
    expires_at: expiresAt,
    last_used_at: lastUsedAt,
    usage_today: toUsageAnswer(used),
  }
}
