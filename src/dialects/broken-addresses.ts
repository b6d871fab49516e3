import type { FastifyReply, FastifyRequest } from 'fastify'
import { sendError, toAppError } from '../http/error-reply.ts'
import { sendAnthropicError } from './anthropic-error.ts'
import { sendOllamaError } from './ollama-error.ts'
import { sendOpenaiError } from './openai-error.ts'

/** Answers an address that cannot be read (`/v1/models/%ff`) in the shape of the API that was meant: no route and no scope is found for it. */
export function replyToBrokenAddress(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = toAppError(error, request.log)
  const { url } = request
  if (url.startsWith('/v1/messages')) return sendAnthropicError(reply.header('request-id', request.id), failure)
  if (url.startsWith('/v1/')) return sendOpenaiError(reply, failure)
  return url.startsWith('/api/') ? sendOllamaError(reply, failure) : sendError(reply, failure)
}
