// @ts-check
import { create } from './elements.js'
import { ServiceError } from './service.js'

/** @typedef {import('./texts.js').TextKey} TextKey */

/** @type {Readonly<Record<string, TextKey>>} */
const keyOfCode = {
  busy: 'errorBusy',
  context_length_exceeded: 'errorContext',
  interrupted: 'errorInterrupted',
  server_busy: 'errorBusy',
  unreachable: 'errorUnreachable',
}

/** @type {Readonly<Record<number, TextKey>>} */
const keyOfStatus = {
  400: 'errorInvalid',
  401: 'errorUnauthorized',
  403: 'errorForbidden',
  404: 'errorNotFound',
  409: 'errorConflict',
  413: 'errorInvalid',
  422: 'errorInvalid',
  429: 'errorRateLimited',
  502: 'errorUnreachable',
  503: 'errorUnavailable',
}

/** Those whose own words say all that helps. @type {ReadonlySet<TextKey>} */
const saysAll = new Set(['errorBusy', 'errorContext', 'errorRateLimited', 'errorUnauthorized', 'errorUnreachable', 'errorSignIn'])

/**
 * A failure in the person's language; where the service's own words (in English) tell more, they stand below.
 * @param {unknown} error
 * @param {Readonly<Record<number, TextKey>>} [meaning] what a status means in this place
 */
export function createErrorText(error, meaning = {}) {
  if (!(error instanceof ServiceError)) {
    console.error(error)
    return create('p', { class: 'error', say: 'errorOther', attributes: { role: 'alert' } })
  }
  const key = meaning[error.status] ?? keyOfCode[error.code] ?? keyOfStatus[error.status] ?? 'errorOther'
  const text = create('p', {}, create('span', { say: key, values: { seconds: error.retryAfterSeconds } }))
  if (error.message !== '' && !saysAll.has(key)) {
    text.append(create('small', { say: 'serviceSays', values: { message: error.message } }))
  }
  text.className = 'error'
  text.setAttribute('role', 'alert')
  return text
}
