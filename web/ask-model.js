// @ts-check
import { readEventStream } from './event-stream.js'
import { load, ServiceError, send } from './service.js'

/** @typedef {Readonly<{ role: 'user' | 'assistant', content: string }>} Message */
/**
 * @typedef {Readonly<{ type: 'text', id: string, model: string, text: string }>
 *   | Readonly<{ type: 'origin', ranOn: 'local' | 'cloud' }>
 *   | Readonly<{ type: 'choice-end', reason: 'stop' | 'length' }>
 *   | Readonly<{ type: 'usage', completionTokens: number }>} AnswerEvent
 */

/** A calm way of choosing words that suits small models too. Clouds have ways of their own, and may refuse this one. */
const calm = { temperature: 0.7, top_p: 0.95, repeat_penalty: 1.1 }
/** Ends what would go on for ever. */
const mostTokens = 1024
const maxAttempts = 120
/** Longer than what the service proposes while it loads: a page that stays open must not eat up its own allowance. */
const minWaitSeconds = 2

/**
 * Asks, and yields the answer as it is written. While the model loads or has too much to do, it tells `onWait` and asks again.
 * Throws `ServiceError`, and `AbortError` after `signal`.
 * @param {readonly Message[]} messages
 * @param {AbortSignal} signal
 * @param {{ onWait: (key: 'waitLoading' | 'waitBusy', seconds: number) => void, isLocal: boolean }} options
 * @returns {AsyncGenerator<AnswerEvent>}
 */
export async function* askModel(messages, signal, { onWait, isLocal }) {
  const stream = { stream: true, stream_options: { include_usage: true }, max_completion_tokens: mostTokens }
  const body = { messages, ...stream, ...(isLocal ? calm : {}) }
  for (let attempt = 1; ; attempt += 1) {
    try {
      yield* readAnswer(await send('/v1/chat/completions', { method: 'POST', body, signal }))
      return
    } catch (error) {
      if (!(error instanceof ServiceError) || error.status !== 503 || attempt === maxAttempts) throw error
      const isBusy = error.code === 'server_busy'
      if (!isBusy && !(await isLoading())) throw error
      const seconds = Math.max(minWaitSeconds, error.retryAfterSeconds)
      onWait(isBusy ? 'waitBusy' : 'waitLoading', seconds)
      await wait(seconds, signal)
    }
  }
}

/** @param {Response} response @returns {AsyncGenerator<AnswerEvent>} */
async function* readAnswer(response) {
  const ranOn = response.headers.get('x-simpleia-ran-on')
  if (ranOn === 'local' || ranOn === 'cloud') yield { type: 'origin', ranOn }
  for await (const data of readEventStream(response)) {
    if (data === '[DONE]') return
    const chunk = JSON.parse(data)
    // The answer had begun when this happened, so that its status was good.
    if (chunk.error !== undefined) throw new ServiceError({ code: 'interrupted', message: chunk.error.message })
    const [choice] = chunk.choices
    const text = choice?.delta.content ?? ''
    if (text !== '') yield { type: 'text', id: chunk.id, model: chunk.model, text }
    if (typeof choice?.finish_reason === 'string') yield { type: 'choice-end', reason: choice.finish_reason }
    if (chunk.usage) yield { type: 'usage', completionTokens: chunk.usage.completion_tokens }
  }
  throw new ServiceError({ code: 'interrupted' })
}

/** Whether waiting helps: a model that failed to load does not come by itself. */
async function isLoading() {
  /** @type {import('./service.js').Model} */
  const { state } = await load('/model')
  return state === 'loading' || state === 'ready' || state === 'unloaded'
}

/** @param {number} seconds @param {AbortSignal} signal @returns {Promise<void>} */
function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) return stop()
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end)
      resolve()
    }, seconds * 1000)
    const end = () => {
      clearTimeout(timer)
      stop()
    }
    signal.addEventListener('abort', end, { once: true })
  })
}
