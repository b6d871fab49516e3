import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError, type AppErrorOptions, type ErrorCode } from '../../errors.ts'

/** Why a try failed, and what may follow. */
export type Failure = Readonly<{
  /** For the caller. Holds nothing of what was sent, and no cause: the other side's words may repeat the key. */
  error: AppError
  /** `elsewhere`: at another server only. */
  retry: 'never' | 'elsewhere' | 'anywhere'
  /** Whether the server itself is at fault, so that others should not be sent there for now. */
  isServerDown: boolean
  /** How long the other side asks to wait. */
  waitMs: number | undefined
}>

type Context = Readonly<{ provider: string; model: string; apiKey: string | undefined }>

/** What is read of an API's refusal. */
type Refusal = Readonly<{
  status: number | undefined
  headers: Headers | undefined
  /** Undefined where the answer was no JSON. */
  message: string | undefined
  code: string | undefined
}>

/** Understands what a try has thrown: an error of an API's client, of `fetch`, or one of ours. */
export function toFailure(error: unknown, context: Context): Failure {
  if (error instanceof AppError) return ofOurs(error)
  if (isRefusal(error)) return ofRefusal(readRefusal(error), context)
  if (error instanceof SyntaxError) return ofOurs(nonsense(context.provider, 'something that is no JSON'))
  return unreachable(error, context)
}

/** The other side answered, but nothing that makes sense. */
export function nonsense(provider: string, what: string): AppError {
  return new AppError('upstream', `The provider "${provider}" answered with ${what}. Check its address, or try again.`)
}

export function brokeOff(provider: string): AppError {
  return new AppError('upstream', `The answer of the provider "${provider}" broke off before its end. Try again.`)
}

function ofOurs(error: AppError): Failure {
  const isServers = error.code === 'upstream'
  return { error, retry: isServers ? 'elsewhere' : 'never', isServerDown: isServers, waitMs: undefined }
}

function unreachable(error: unknown, { provider }: Context): Failure {
  const reason = codeOf(error)
  const why = reason === undefined ? '' : ` (${reason})`
  const message = `The provider "${provider}" cannot be reached, or the connection to it was lost${why}. Try again, or check its address.`
  return { error: new AppError('upstream', message), retry: 'anywhere', isServerDown: true, waitMs: undefined }
}

/** `ECONNREFUSED` and the like, from wherever it stands in the chain of causes. */
function codeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string' && /^[A-Z_]{3,40}$/.test(cause.code)) return cause.code
  }
  return undefined
}

const refusalBody = Type.Object({
  message: Type.Optional(Type.String()),
  code: Type.Optional(Type.Unknown()),
  type: Type.Optional(Type.Unknown()),
})
const wrappedBody = Type.Object({ error: refusalBody })

/** Both clients throw errors with these fields; none is filled where no answer has come. Their classes would have to be loaded. */
function isRefusal(error: unknown): error is Error & Record<'status' | 'headers' | 'error', unknown> {
  const hasFields = error instanceof Error && 'status' in error && 'headers' in error && 'error' in error
  return hasFields && (error.status !== undefined || error.headers !== undefined)
}

/** The two clients keep different parts of `{"error":{"message","type","code"}}`. */
function readRefusal({ status, headers, error: body }: { status: unknown; headers: unknown; error: unknown }): Refusal {
  const inner = Value.Check(wrappedBody, body) ? body.error : Value.Check(refusalBody, body) ? body : undefined
  const text = typeof body === 'string' ? body : inner?.message
  const codes = [inner?.code, inner?.type].filter((code) => typeof code === 'string')
  return {
    status: typeof status === 'number' ? status : undefined,
    headers: headers instanceof Headers ? headers : undefined,
    message: text,
    code: codes[0],
  }
}

/** Errors that come inside of a stream have no status, but their type tells it. */
const statusOfType: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
}

function ofRefusal(refusal: Refusal, context: Context): Failure {
  const status = refusal.status ?? statusOfType[refusal.code ?? ''] ?? 500
  const told = refusal.headers?.get('x-should-retry')
  const passes = told === 'true' || (told !== 'false' && (status === 408 || status === 409 || status === 429 || status >= 500))
  const waitMs = readWait(refusal.headers)
  const isSpent = refusal.code === 'insufficient_quota'
  return {
    error: isSpent ? spent(context) : errorOf(status, refusal, context, waitMs),
    retry: passes && !isSpent ? 'anywhere' : 'never',
    isServerDown: status >= 500,
    waitMs,
  }
}

function errorOf(status: number, refusal: Refusal, context: Context, waitMs: number | undefined): AppError {
  const { provider, model } = context
  const says = refusal.message === undefined ? '' : ` It says: ${quote(refusal.message, context)}`
  const fail = (code: ErrorCode, message: string, options: AppErrorOptions = {}) => new AppError(code, message, options)
  if (status === 401 || status === 403)
    return fail('upstream', `The provider "${provider}" refused the API key (${status}): check the key, and what it may use.`)
  if (status === 404 && refusal.message !== undefined)
    return fail('not_found', `The provider "${provider}" has no model "${model}".${says}`)
  if (status === 429) {
    const retryAfterSeconds = Math.max(1, Math.ceil((waitMs ?? 1000) / 1000))
    return fail('rate_limited', `The provider "${provider}" takes no more requests for now.${says}`, { retryAfterSeconds })
  }
  if (isOverflow(status, refusal)) return fail('context_length_exceeded', `The prompt is too long for "${model}".${says}`)
  if (status === 413) return fail('too_large', `The request is too large for the provider "${provider}".${says}`)
  if ((status === 400 || status === 422) && refusal.message !== undefined)
    return fail('invalid', `The provider "${provider}" refused the request.${says}`)
  return fail('upstream', `The provider "${provider}" failed (status ${status}).${says}`)
}

function spent({ provider }: Context): AppError {
  return new AppError('upstream', `The account at the provider "${provider}" has no credit left.`)
}

/** By the code where there is one; Anthropic, vLLM and llama-server tell it in the message only. */
function isOverflow(status: number, { code, message = '' }: Refusal): boolean {
  if (code === 'context_length_exceeded' || code === 'exceed_context_size_error') return true
  return (
    (status === 400 || status === 413) &&
    /prompt is too long|maximum context length|exceeds? the (available )?context/i.test(message)
  )
}

const mostQuoted = 400

/** The other side's words on one line, cut, and without anything that looks like a key. */
function quote(message: string, { apiKey }: Context): string {
  const safe = apiKey === undefined || apiKey === '' ? message : message.replaceAll(apiKey, '(key)')
  const line = safe
    .replaceAll(/\b(?:sk|key|Bearer)[-_ ][\w*.-]{6,}/gi, '(key)')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return line.length > mostQuoted ? `${line.slice(0, mostQuoted).toWellFormed()}…` : line
}

/** In milliseconds, from what servers send beside a refusal; a date is taken by the clock of its own answer. */
function readWait(headers: Headers | undefined): number | undefined {
  const inMs = Number(headers?.get('retry-after-ms') ?? Number.NaN)
  if (inMs > 0) return inMs
  const text = headers?.get('retry-after') ?? ''
  const seconds = Number(text === '' ? Number.NaN : text)
  if (seconds > 0) return seconds * 1000
  const waitMs = Date.parse(text) - Date.parse(headers?.get('date') ?? '')
  return waitMs > 0 ? waitMs : undefined
}
