import type {} from '@fastify/swagger'
import type { FastifyPluginAsync } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { userOf } from './guard.ts'
import { type SessionInList, sessionList, sessionPath } from './schema.ts'
import type { Tokens } from './tokens.ts'

/** `/auth/sessions`, for users who log in: where else they are logged in, and the end of it. */
export function sessionRoutes(tokens: Tokens): FastifyPluginAsync {
  return async (scope) => {
    scope.get(
      '/auth/sessions',
      { schema: { tags: ['auth'], summary: 'Your logins that have not ended, newest first', response: { 200: sessionList } } },
      async (request, reply) => {
        reply.header('cache-control', 'no-store')
        const { id: userId, tokenId } = userOf(request)
        const sessions = await tokens.list(userId)
        return {
          sessions: sessions.map(
            ({ id, agent, createdAt, expiresAt }): SessionInList => ({
              id,
              agent,
              created_at: createdAt,
              expires_at: expiresAt,
              current: id === tokenId,
            }),
          ),
        }
      },
    )

    scope.delete(
      '/auth/sessions',
      { schema: { tags: ['auth'], summary: 'End all your logins but this one', response: { 204: Type.Null() } } },
      async (request, reply) => {
        const { id, tokenId } = userOf(request)
        if (tokenId !== undefined) await tokens.end(id, { otherThan: tokenId })
        return reply.code(204).send()
      },
    )

    scope.delete<{ Params: Static<typeof sessionPath> }>(
      '/auth/sessions/:id',
      {
        schema: {
          tags: ['auth'],
          summary: 'End one of your logins; its token is dead at once',
          params: sessionPath,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const ended = await tokens.end(userOf(request).id, { id: request.params.id })
        if (ended === 0) throw new AppError('not_found', `You have no login with the id "${request.params.id}".`)
        return reply.code(204).send()
      },
    )
  }
}
