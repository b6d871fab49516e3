import Type, { type Static } from 'typebox'
import { predictBounds } from '../predict/schema.ts'
import { answerFields, completionFields, notSupported } from './openai-fields.ts'
import { finishReasonBody, usageBody } from './openai-usage.ts'

/** Where a request says nothing: OpenAI's own. A chat answer goes on to its end, or to that of the context window. */
export const defaultCompletionTokens = 16

/** Prompts of one request at most. */
export const mostPrompts = 16

export const completionBody = Type.Object(
  {
    prompt: Type.Union([Type.String(), Type.Array(Type.Unknown(), { minItems: 1, maxItems: mostPrompts })], {
      description: 'A text, or a list of texts. Lists of tokens are not taken: they would be those of another model.',
    }),
    ...answerFields,
    ...completionFields,
    max_tokens: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: predictBounds.maxTokens,
        default: defaultCompletionTokens,
        description: 'At most this many new tokens for each answer.',
      }),
    ),
    logprobs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 5, description: 'Log-probabilities, with those of so many of the likeliest tokens.' }),
    ),
    echo: Type.Optional(Type.Boolean({ description: 'The prompt stands before the answer. Not together with logprobs.' })),
    best_of: Type.Optional(Type.Integer({ description: 'Only as many as n.' })),
    suffix: Type.Optional(notSupported),
  },
  { additionalProperties: false },
)
export type CompletionBody = Static<typeof completionBody>

export const oldLogprobs = Type.Object({
  tokens: Type.Array(Type.String()),
  token_logprobs: Type.Array(Type.Number()),
  top_logprobs: Type.Array(Type.Record(Type.String(), Type.Number())),
  text_offset: Type.Array(Type.Integer({ description: 'In characters, from the start of the answer.' })),
})
export type OldLogprobs = Static<typeof oldLogprobs>

export const completionAnswer = Type.Object({
  id: Type.String(),
  object: Type.Literal('text_completion'),
  created: Type.Integer({ description: 'Seconds since 1970.' }),
  model: Type.String(),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      text: Type.String(),
      logprobs: Type.Union([oldLogprobs, Type.Null()]),
      finish_reason: finishReasonBody,
    }),
  ),
  usage: usageBody,
})
export type CompletionAnswer = Static<typeof completionAnswer>
