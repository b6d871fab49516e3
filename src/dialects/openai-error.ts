import type { FastifyInstance, FastifyReply } from 'fastify'
import Type, { type Static } from 'typebox'
import type { AppError, ErrorCode } from '../errors.ts'
import { setRetryAfter, statusOf, toAppError, unknownAddress } from '../http/error-reply.ts'
import { tellLasting } from './should-retry.ts'

const nullableText = Type.Union([Type.String(), Type.Null()])

export const openaiErrorBody = Type.Object({
  error: Type.Object({ message: Type.String(), type: Type.String(), param: nullableText, code: nullableText }),
})
export type OpenaiErrorBody = Static<typeof openaiErrorBody>

/** What the endpoints of this dialect answer when they fail, for their schemas. */
export const openaiErrors = { '4xx': openaiErrorBody, '5xx': openaiErrorBody }

/** What this dialect calls each failure. */
const typeOf: Readonly<Record<ErrorCode, string>> = {
  invalid: 'invalid_request_error',
  context_length_exceeded: 'invalid_request_error',
  unauthorized: 'authentication_error',
  forbidden: 'permission_error',
  not_found: 'invalid_request_error',
  conflict: 'invalid_request_error',
  too_large: 'invalid_request_error',
  unprocessable: 'invalid_request_error',
  rate_limited: 'rate_limit_error',
  quota_exceeded: 'insufficient_quota',
  aborted: 'server_error',
  internal: 'server_error',
  upstream: 'server_error',
  busy: 'server_error',
  unavailable: 'server_error',
  storage_full: 'server_error',
}

const codeOf: Readonly<Partial<Record<ErrorCode, string>>> = {
  invalid: 'invalid_value',
  unauthorized: 'invalid_api_key',
  rate_limited: 'rate_limit_exceeded',
  quota_exceeded: 'insufficient_quota',
  busy: 'server_busy',
}

/** What is missing where an error does not name it: a model. */
const missingModel = { param: 'model', code: 'model_not_found' }

export function toOpenaiErrorBody({ code, message, details }: AppError): OpenaiErrorBody {
  const field = details?.[0]?.field
  if (code === 'not_found' && field === undefined) return { error: { message, type: typeOf[code], ...missingModel } }
  const param = field === undefined || field === 'body' ? null : field
  return { error: { message, type: typeOf[code], param, code: codeOf[code] ?? code } }
}

/** Makes every failure in the scope, of its guards and unknown addresses too, one of this dialect. */
export function replyWithOpenaiErrors(http: FastifyInstance): void {
  http.setErrorHandler((error, request, reply) => sendOpenaiError(reply, toAppError(error, request.log)))
  http.setNotFoundHandler((request, reply) => {
    const failure = unknownAddress(request)
    const error = { message: failure.message, type: 'invalid_request_error', param: null, code: 'unknown_url' }
    return sendOpenaiError(reply, failure, { error })
  })
}

export function sendOpenaiError(reply: FastifyReply, failure: AppError, body = toOpenaiErrorBody(failure)): FastifyReply {
  reply.failure = failure
  setRetryAfter(reply, failure)
  tellLasting(reply, failure)
  return reply.code(statusOf[failure.code]).type('application/json; charset=utf-8').send(JSON.stringify(body))
}
