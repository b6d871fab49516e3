import { createClient } from '../../src/client.ts'
import { AppError, type ErrorCode } from '../../src/errors.ts'
import { messageOf } from '../messages.ts'
import type { Question } from './requests.ts'

/** What came of a request. */
export type Result =
  | Readonly<{ type: 'answered'; texts: readonly string[]; reasons: readonly string[] }>
  /** The client went away; `text` had come until then. */
  | Readonly<{ type: 'left'; text: string }>
  | Readonly<{ type: 'failed'; code: ErrorCode; message: string }>

export type Ask = (question: Question, over: AbortSignal) => Promise<Result>

/** After so long without an answer the service has forgotten a request. */
const limitMs = 240_000

/** Sends requests, and leaves when they say so or when all is over. A stream without its end is a failure. */
export function createAsk(baseUrl: string): Ask {
  const client = createClient({ baseUrl, fetch: fetchStrictly })
  return async (question, over) => {
    const { leave } = question
    const leaving = new AbortController()
    const timer = leave?.afterMs === undefined ? undefined : setTimeout(() => leaving.abort(), leave.afterMs)
    const left = AbortSignal.any([leaving.signal, over])
    const signal = AbortSignal.any([left, AbortSignal.timeout(limitMs)])
    let text = ''
    let pieces = 0
    try {
      if (question.way === 'whole') {
        const { choices } = await client.predict(question.body, signal)
        return { type: 'answered', texts: choices.map((one) => one.text), reasons: choices.map((one) => one.finish_reason) }
      }
      const events =
        question.way === 'chat' ? client.chatStream(question.body, signal) : client.predictStream(question.body, signal)
      for await (const event of events) {
        if (event.type === 'done') {
          return {
            type: 'answered',
            texts: [text],
            reasons: ['finishReason' in event ? event.finishReason : event.finish_reason],
          }
        }
        text += event.text
        pieces += 1
        if (pieces === leave?.afterPieces) leaving.abort()
      }
      throw new AppError('internal', 'The stream ended without its last event.')
    } catch (error) {
      return left.aborted ? { type: 'left', text } : describeFailure(error)
    } finally {
      clearTimeout(timer)
    }
  }
}

function describeFailure(error: unknown): Result {
  if (!(error instanceof AppError)) return { type: 'failed', code: 'internal', message: messageOf(error) }
  const { code, message, cause } = error
  return { type: 'failed', code, message: cause === undefined ? message : `${message} (${messageOf(cause)})` }
}

/** Whoever is sent away must be told when to come back. */
async function fetchStrictly(...request: Parameters<typeof fetch>): Promise<Response> {
  const response = await fetch(...request)
  if ((response.status === 429 || response.status === 503) && !response.headers.has('retry-after')) {
    await response.body?.cancel()
    throw new Error(`status ${response.status} without Retry-After`)
  }
  return response
}
