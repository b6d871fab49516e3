import type { TokenLogprob, TokenScore } from '../provider.ts'
import type { Backend } from './backend.ts'
import { mostLikely } from './likeliest.ts'
import { normalize } from './token-scores.ts'

/** What a token counts as whose probability is none, as in OpenAI's API: JSON has no infinity. */
const leastLogprob = -9999

/** Reads log-probabilities of one answer's tokens, in the two steps between which a token is chosen. */
export interface TokenLogprobs {
  /** The model's scores (`[vocabulary]`), before anything is cut or penalized. */
  read(scores: Float32Array): void
  /** Those of the token that was chosen in that place; `bytes`: its text as the answer shows it. */
  of(token: number, bytes: Uint8Array): TokenLogprob
}

/** With each token the `count` likeliest ones in its place. */
export function createTokenLogprobs(backend: Pick<Backend, 'piece' | 'controlText'>, count: number): TokenLogprobs {
  let raw = new Float32Array()
  let logSum = 0
  const logprobOf = (token: number) => Math.max(leastLogprob, (raw[token] ?? Number.NEGATIVE_INFINITY) - logSum)

  function scoreOf(token: number): TokenScore {
    const piece = backend.piece(token)
    const bytes = piece.length > 0 ? piece : Buffer.from(backend.controlText(token))
    return { text: textOf(bytes), bytes: [...bytes], logprob: logprobOf(token) }
  }

  return {
    read(scores) {
      if (raw.length !== scores.length) raw = new Float32Array(scores.length)
      raw.set(scores)
      logSum = normalize(raw).logSum
    },
    of(token, bytes) {
      const top = mostLikely(raw, count).map(scoreOf)
      return { text: textOf(bytes), bytes: [...bytes], logprob: logprobOf(token), top }
    },
  }
}

const whole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes that are no whole character are written as OpenAI does: `\xf0\x9f`. */
function textOf(bytes: Uint8Array): string {
  try {
    return whole.decode(bytes)
  } catch {
    return escaped(bytes)
  }
}

function escaped(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const character = characterAt(bytes, at)
    text += character?.text ?? `\\x${(bytes[at] ?? 0).toString(16).padStart(2, '0')}`
    at += character?.length ?? 1
  }
  return text
}

function characterAt(bytes: Uint8Array, at: number): Readonly<{ text: string; length: number }> | undefined {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1) {
    const text = Buffer.from(bytes.subarray(at, at + length)).toString('utf8')
    if (text !== '' && !text.includes('\ufffd')) return { text, length }
  }
  return undefined
}
