import type { FastifyInstance, FastifyReply } from 'fastify'
import Type, { type Static } from 'typebox'
import type { AppError, ErrorCode } from '../errors.ts'
import { setRetryAfter, statusOf, toAppError, unknownAddress } from '../http/error-reply.ts'
import { tellLasting } from './should-retry.ts'

export const anthropicErrorBody = Type.Object({
  type: Type.Literal('error'),
  error: Type.Object({
    type: Type.String(),
    message: Type.String(),
    details: Type.Optional(Type.Object({ error_code: Type.String() })),
  }),
  request_id: Type.String(),
})
export type AnthropicErrorBody = Static<typeof anthropicErrorBody>

/** What this dialect calls each failure. */
const typeOf: Readonly<Record<ErrorCode, string>> = {
  invalid: 'invalid_request_error',
  context_length_exceeded: 'invalid_request_error',
  unauthorized: 'authentication_error',
  forbidden: 'permission_error',
  not_found: 'not_found_error',
  conflict: 'invalid_request_error',
  too_large: 'request_too_large',
  unprocessable: 'invalid_request_error',
  rate_limited: 'rate_limit_error',
  quota_exceeded: 'rate_limit_error',
  aborted: 'api_error',
  internal: 'api_error',
  upstream: 'api_error',
  busy: 'overloaded_error',
  unavailable: 'api_error',
  storage_full: 'api_error',
}

/** Anthropic's own status for a service at its limit. */
const overloadedStatus = 529

/** By these the official clients know what to leave out when they try again: their tool runners then send whole conversations. */
const errorCodeOf: ReadonlyMap<string | undefined, string> = new Map([['thread', 'thread_unsupported_request']])

export function toAnthropicErrorBody({ code, message, details }: AppError, requestId: string): AnthropicErrorBody {
  const errorCode = errorCodeOf.get(details?.[0]?.field)
  const error = { type: typeOf[code], message, ...(errorCode === undefined ? {} : { details: { error_code: errorCode } }) }
  return { type: 'error', error, request_id: requestId }
}

/** Makes every failure in the scope, of its guards and unknown addresses too, one of this dialect. */
export function replyWithAnthropicErrors(http: FastifyInstance): void {
  http.addHook('onRequest', (request, reply, done) => {
    reply.header('request-id', request.id)
    done()
  })
  http.setErrorHandler((error, request, reply) => sendAnthropicError(reply, toAppError(error, request.log)))
  http.setNotFoundHandler((request, reply) => sendAnthropicError(reply, unknownAddress(request)))
}

export function sendAnthropicError(reply: FastifyReply, failure: AppError): FastifyReply {
  const { id } = reply.request
  reply.failure = failure
  setRetryAfter(reply, failure)
  tellLasting(reply, failure)
  return reply
    .code(failure.code === 'busy' ? overloadedStatus : statusOf[failure.code])
    .header('request-id', id)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(toAnthropicErrorBody(failure, id)))
}
