import Type, { type Static } from 'typebox'
import type { TokenLogprob, TokenScore } from '../engine/provider.ts'

/** OpenAI's own limit. */
export const mostTopLogprobs = 20

const scoreFields = { token: Type.String(), logprob: Type.Number(), bytes: Type.Array(Type.Integer()) }

export const tokenLogprob = Type.Object({ ...scoreFields, top_logprobs: Type.Array(Type.Object(scoreFields)) })
export type TokenLogprobBody = Static<typeof tokenLogprob>

/** `logprobs` of a choice of a chat. */
export const chatLogprobs = Type.Object({ content: Type.Array(tokenLogprob), refusal: Type.Null() })

export function toTokenLogprobs(tokens: readonly TokenLogprob[]): TokenLogprobBody[] {
  return tokens.map((token) => ({ ...toScore(token), top_logprobs: token.top.map(toScore) }))
}

function toScore({ text, bytes, logprob }: TokenScore) {
  return { token: text, logprob: toWireLogprob(logprob), bytes: [...bytes] }
}

/** As in OpenAI's API: JSON has no word for the logarithm of nothing. */
export const leastLogprob = -9999

export const toWireLogprob = (logprob: number) => Math.max(logprob, leastLogprob)
