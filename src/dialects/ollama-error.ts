import type { FastifyInstance, FastifyReply } from 'fastify'
import Type, { type Static } from 'typebox'
import type { AppError } from '../errors.ts'
import { setRetryAfter, statusOf, toAppError, unknownAddress } from '../http/error-reply.ts'

export const ollamaErrorBody = Type.Object({ error: Type.String() })

/** Of the routes' schemas. */
export const ollamaErrors = { '4xx': ollamaErrorBody, '5xx': ollamaErrorBody }

export const toOllamaErrorBody = ({ message }: AppError): Static<typeof ollamaErrorBody> => ({ error: message })

/** Makes every failure in the scope, of its guards too, one of this dialect. */
export function replyWithOllamaErrors(http: FastifyInstance): void {
  http.setErrorHandler((error, request, reply) => sendOllamaError(reply, toAppError(error, request.log)))
}

/** Addresses under the prefix that there are not, in the form of this dialect: one scope of a prefix may say so. */
export function replyToUnknownAddresses(http: FastifyInstance): void {
  http.setNotFoundHandler((request, reply) => sendOllamaError(reply, unknownAddress(request)))
}

export function sendOllamaError(reply: FastifyReply, failure: AppError): FastifyReply {
  reply.failure = failure
  setRetryAfter(reply, failure)
  return reply
    .code(statusOf[failure.code])
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(toOllamaErrorBody(failure)))
}
