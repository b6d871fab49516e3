// @ts-check

/** @typedef {Readonly<{ id: string, username: string, role: 'admin' | 'user' }>} User */
/** @typedef {'empty' | 'unloaded' | 'loading' | 'ready' | 'failed'} ModelState */
/**
 * @typedef {Readonly<{
 *   model_name: string | null
 *   provider: string
 *   ran_on: 'local' | 'cloud'
 *   state: ModelState
 *   reason?: string
 *   device?: string
 *   context_size?: number
 *   quantization?: string
 * }>} Model
 */

/** What the service refused, or that it did not answer (`unreachable`) or broke off (`interrupted`). */
export class ServiceError extends Error {
  /** @param {Readonly<{ status?: number, code: string, message?: string, retryAfterSeconds?: number }>} problem */
  constructor({ status = 0, code, message = '', retryAfterSeconds = 1 }) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/**
 * Sends a request to the service that this page came from. Throws `ServiceError`, and `AbortError` after `signal`.
 * @param {string} path
 * @param {Readonly<{ method?: string, body?: object, signal?: AbortSignal }>} [options]
 */
export async function send(path, { method = 'GET', body, signal } = {}) {
  const content = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const request = { method, ...content, ...(signal === undefined ? {} : { signal }) }
  const response = await fetch(path, request).catch((/** @type {unknown} */ error) => {
    throw signal?.aborted === true ? error : new ServiceError({ code: 'unreachable' })
  })
  if (!response.ok) throw await readError(response)
  return response
}

/**
 * The same, for an answer in JSON.
 * @param {Parameters<typeof send>} request
 */
export async function load(...request) {
  const response = await send(...request)
  return response.json()
}

/** Both of our error shapes have a code and a message. @param {Response} response */
async function readError(response) {
  const { status } = response
  /** @type {{ error?: { code?: string, message?: string } }} */
  const body = await response.json().catch(() => ({}))
  const retryAfterSeconds = Number(response.headers.get('retry-after') ?? 1)
  return new ServiceError({ status, code: body.error?.code ?? 'other', message: body.error?.message ?? '', retryAfterSeconds })
}

/** @param {unknown} error */
export function isSignInNeeded(error) {
  return error instanceof ServiceError && error.status === 401
}
