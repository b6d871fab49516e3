import { AppError, type ErrorCode, type ErrorDetail, errorCodes } from '../errors.ts'

export type TransportOptions = Readonly<{
  baseUrl: string
  token?: string
  fetch: typeof globalThis.fetch
}>

/** Requests to the service. Each throws an AppError with the code that the service answered. */
export type Transport = ReturnType<typeof createTransport>

export function createTransport({ baseUrl, token, fetch }: TransportOptions) {
  const call = async (method: string, path: string, body?: object, signal?: AbortSignal, accept?: string): Promise<Response> => {
    const isForm = body instanceof FormData
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined || isForm ? {} : { 'content-type': 'application/json' }),
      ...(accept === undefined ? {} : { accept }),
    }
    const request = {
      method,
      headers,
      ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    }
    const response = await fetch(`${baseUrl}${path}`, request).catch((cause: unknown) => {
      throw signal?.aborted ? new AppError('aborted', 'The request was stopped.', { cause }) : unreachable(baseUrl, cause)
    })
    if (!response.ok) throw await toError(response)
    return response
  }
  // Our own service on the other end is trusted to send what its schemas say; they are tested on its side.
  const json = async <T>(...request: Parameters<typeof call>): Promise<T> => {
    const response = await call(...request)
    const body = response.json().catch((cause: unknown) => {
      throw request[3]?.aborted ? new AppError('aborted', 'The request was stopped.', { cause }) : brokenOff(cause)
    })
    return body as Promise<T>
  }
  const done = async (...request: Parameters<typeof call>): Promise<void> => void (await (await call(...request)).body?.cancel())
  return { call, json, done }
}

export async function* bodyOf(response: Response, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body ?? []
  } catch (cause) {
    throw signal?.aborted ? new AppError('aborted', 'The request was stopped.', { cause }) : brokenOff(cause)
  }
}

/** Streams of ours that have nothing to tell give a sign of life every 15 s. */
const mostSilentMs = 40_000

/**
 * The body of a stream that is never silent for long. One that is has lost its connection without a word, as when a network changes or the
 * machine has slept: throws `unavailable`, as where the connection breaks off.
 */
export async function* livingBodyOf(
  response: Response,
  signal?: AbortSignal,
  silentMs = mostSilentMs,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (reader === undefined) return
  try {
    for (;;) {
      const { promise: silence, reject } = Promise.withResolvers<never>()
      const timer = setTimeout(() => reject(brokenOff()), silentMs)
      const next = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer))
      if (next.done) return
      yield next.value
    }
  } catch (cause) {
    if (signal?.aborted) throw new AppError('aborted', 'The request was stopped.', { cause })
    throw cause instanceof AppError ? cause : brokenOff(cause)
  } finally {
    // Not awaited: what is silent may never end.
    void reader.cancel().catch(() => undefined)
  }
}

export function brokenOff(cause?: unknown): AppError {
  return new AppError('unavailable', 'The service went away in the middle of the answer.', { cause })
}

function unreachable(baseUrl: string, cause: unknown): AppError {
  return new AppError('unavailable', `No service answers at ${baseUrl}.`, { cause })
}

async function toError(response: Response): Promise<AppError> {
  const body = await response.text().catch(() => '')
  const error = fromErrorBody(body, `The service answered ${response.status}.`, codeOf(response.status))
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  if (!Number.isFinite(seconds)) return error
  const { code, message, details, cause } = error
  return new AppError(code, message, { cause, retryAfterSeconds: seconds, ...(details === undefined ? {} : { details }) })
}

/** The codes of answers that do not name one (those in OpenAI's shape, or of a proxy in between). */
function codeOf(status: number): ErrorCode {
  const codes: Readonly<Record<number, ErrorCode>> = {
    400: 'invalid',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'not_found',
    409: 'conflict',
    413: 'too_large',
    422: 'unprocessable',
    429: 'rate_limited',
    502: 'upstream',
    503: 'busy',
    504: 'upstream',
    507: 'storage_full',
  }
  return codes[status] ?? 'internal'
}

export function fromErrorBody(text: string, fallback: string, code: ErrorCode = 'internal'): AppError {
  const body = parseErrorBody(text)
  const named = errorCodes.find((known) => known === body?.code)
  return new AppError(named ?? code, body?.message ?? fallback, body?.details === undefined ? {} : { details: body.details })
}

type ErrorBody = Readonly<{ code?: string | null; message?: string; details?: readonly ErrorDetail[] }>

function parseErrorBody(text: string): ErrorBody | undefined {
  try {
    return (JSON.parse(text) as { error?: ErrorBody }).error
  } catch {
    return undefined
  }
}

export function query(values: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  )
  return given.length === 0 ? '' : `?${given.join('&')}`
}
