import { AppError } from '../../errors.ts'
import type { GenerateRequest, Prompt } from '../provider.ts'

/** Throws `invalid` when the messages hold images: no model sees them here. */
export function refuseImages({ model, prompt }: Readonly<{ model: string; prompt: Prompt }>): void {
  if (prompt.type !== 'chat') return
  const images = prompt.messages.reduce((sum, message) => sum + (message.role === 'user' ? (message.images?.length ?? 0) : 0), 0)
  if (images === 0) return
  const advice = 'send text alone, or choose a provider whose model does'
  throw new AppError('invalid', `The model "${model}" does not see images: ${advice}.`, {
    details: [{ field: 'messages', expected: 'text alone', got: images === 1 ? 'an image' : `${images} images` }],
  })
}

/**
 * Throws `invalid` when a bias is for what is no token: their numbers run up to the size of the vocabulary, exclusive; undefined where it
 * is not known yet.
 */
export function checkLogitBias({ model, sampling }: GenerateRequest, vocabularySize: number | undefined): void {
  for (const [token, bias] of Object.entries(sampling.logitBias ?? {})) {
    const size = vocabularySize ?? Number.POSITIVE_INFINITY
    if (!/^(0|[1-9]\d{0,9})$/.test(token) || Number(token) >= size) throw noToken(model, token, vocabularySize)
    if (!Number.isFinite(bias)) throw new AppError('invalid', `The bias of token ${token} must be a number, but is ${bias}.`)
  }
}

function noToken(model: string, token: string, size: number | undefined): AppError {
  const last = size === undefined ? 'the size of its vocabulary, exclusive' : `${size - 1}: its vocabulary has ${size} tokens`
  const expected = `a token of "${model}" is a number from 0 to ${last}`
  return new AppError('invalid', `logit_bias names the token "${token}", but ${expected}.`, {
    details: [{ field: 'logit_bias', expected, got: JSON.stringify(token) }],
  })
}
