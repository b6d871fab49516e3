import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError, type ErrorCode, type ErrorDetail, errorCodes } from '../errors.ts'
import { describeProblems } from './describe-problem.ts'
import type {} from './event-stream.ts'

export const statusOf: Record<ErrorCode, number> = {
  invalid: 400,
  context_length_exceeded: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  unprocessable: 422,
  rate_limited: 429,
  quota_exceeded: 429,
  aborted: 499,
  internal: 500,
  upstream: 502,
  busy: 503,
  unavailable: 503,
  storage_full: 507,
}

export const errorBody = Type.Object({
  error: Type.Object({
    code: Type.Unsafe<ErrorCode>({ type: 'string', enum: [...errorCodes] }),
    message: Type.String(),
    details: Type.Optional(
      Type.Array(Type.Object({ field: Type.String(), expected: Type.String(), got: Type.String() }), {
        description: 'The fields at fault.',
      }),
    ),
    retry_after_seconds: Type.Optional(Type.Integer()),
  }),
})
export type ErrorBody = Static<typeof errorBody>

/** How long a caller waits before trying again when an overload error does not say. */
const defaultRetrySeconds = 1

export function toErrorBody({ code, message, details, retryAfterSeconds }: AppError): ErrorBody {
  return {
    error: {
      code,
      message,
      ...(details === undefined ? {} : { details: [...details] }),
      ...(retryAfterSeconds === undefined ? {} : { retry_after_seconds: retryAfterSeconds }),
    },
  }
}

/** For requests to what is not there. */
export function unknownAddress({ method, url }: Pick<FastifyRequest, 'method' | 'url'>): AppError {
  const path = url.split('?')[0]?.slice(0, 100) ?? ''
  return new AppError('not_found', `There is no ${method} ${path}. See /docs.`)
}

/** Answers in the common shape. */
export function sendError(reply: FastifyReply, error: AppError): FastifyReply {
  reply.failure = error
  setRetryAfter(reply, error)
  return reply
    .code(statusOf[error.code])
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(toErrorBody(error)))
}

/** `Retry-After` on each answer that tells the caller to come back later; a whole number of seconds, at least one. */
export function setRetryAfter(reply: FastifyReply, { code, retryAfterSeconds }: AppError): void {
  if (!isForLater(code)) return
  reply.header('retry-after', Math.max(1, Math.ceil(retryAfterSeconds ?? defaultRetrySeconds)))
}

/** Whether the answer says when to come back. */
export const isForLater = (code: ErrorCode) =>
  code === 'busy' || code === 'rate_limited' || code === 'quota_exceeded' || code === 'unavailable'

/** The error handler of every scope whose answers have the common shape. */
export function replyWithError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendError(reply, toAppError(error, request.log))
}

/**
 * What to tell the caller about a failure of any kind. Fastify's own complaints about a request become `invalid`, `too_large`,
 * …; what nobody foresaw is logged whole and becomes a neutral `internal`.
 */
export function toAppError(error: unknown, log: Pick<FastifyBaseLogger, 'error'>): AppError {
  if (error instanceof AppError) {
    if (error.code === 'internal') log.error({ err: error }, 'A request failed inside')
    return error
  }
  if (isRequestError(error)) return fromFastify(error)
  if (isStorageFull(error)) {
    log.error({ err: error }, 'The disk is full')
    return new AppError('storage_full', 'There is no room left on the disk of the service.', { cause: error })
  }
  if (isBroken(error)) {
    log.error({ err: error }, 'The disk cannot be read or written')
    return new AppError('unavailable', 'The disk of the service cannot be read or written.', { cause: error })
  }
  log.error({ err: error }, 'Unforeseen error')
  return new AppError('internal', 'Something failed inside simpleIA. The log has the details.', { cause: error })
}

function isRequestError(error: unknown): error is FastifyError & { statusCode: number } {
  if (!(error instanceof Error) || !('statusCode' in error)) return false
  return typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500
}

const isStorageFull = (error: unknown) => hasCode(error, 'ENOSPC', 'EDQUOT', 'SQLITE_FULL')
const isBroken = (error: unknown) => hasCode(error, 'EIO', 'EROFS')

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

const messageOf: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not valid JSON.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty, but JSON was expected.',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'This Content-Type is not accepted here: send application/json.',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The body is not as long as Content-Length says.',
  FST_ERR_CTP_BODY_TOO_LARGE: 'The body is larger than this endpoint takes (MAX_BODY_BYTES, or less).',
}

const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  413: 'too_large',
  422: 'unprocessable',
  429: 'rate_limited',
}

// Never the error's own message: JSON.parse quotes the body in it.
function fromFastify(error: FastifyError & { statusCode: number }): AppError {
  const problems = error.validation
  if (problems !== undefined) {
    const details = describeProblems(problems)
    return new AppError('invalid', messageFor(details), { cause: error, details })
  }
  const code = codeOfStatus[error.statusCode] ?? 'invalid'
  return new AppError(code, messageOf[error.code] ?? 'The request cannot be understood.', { cause: error })
}

/** "temperature must be …, but is …", for the fields at fault. */
export function messageFor(details: readonly ErrorDetail[]): string {
  return details.map(({ field, expected, got }) => `"${field}" must be ${expected}, but is ${got}.`).join(' ')
}
