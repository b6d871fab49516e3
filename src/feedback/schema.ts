import Type, { type Static } from 'typebox'

const strict = { additionalProperties: false } as const
const rating = Type.Unsafe<'up' | 'down'>({ type: 'string', enum: ['up', 'down'] })
const predictionId = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 100, description }))
const tag = Type.String({ minLength: 1, maxLength: 50, pattern: '\\S' })

export const feedbackBody = Type.Object(
  {
    text: Type.Optional(Type.String({ minLength: 1, maxLength: 5000, description: 'Kept as typed. Required without a rating.' })),
    prediction_id: predictionId('The answer that is rated. With the prefix of a dialect too: chatcmpl-…, cmpl-…, msg_…, resp_….'),
    rating: Type.Optional(rating),
    correction: Type.Optional(
      Type.String({ minLength: 1, maxLength: 100_000, description: 'What the answer should have been. Kept as typed.' }),
    ),
    tags: Type.Optional(
      Type.Array(tag, { maxItems: 20, uniqueItems: true, description: 'By which it can be found. Kept as typed.' }),
    ),
    rejected_prediction_id: predictionId('Another answer to the same prompt, over which the rated one was kept. With rating up.'),
  },
  {
    ...strict,
    description:
      'Either `text` (and `tags`), or `prediction_id` with `rating` and, as you like, `correction`, `text`, `tags` and ' +
      '`rejected_prediction_id`. Of several on one answer the latest counts.',
  },
)
export type FeedbackBody = Static<typeof feedbackBody>

export const savedFeedback = Type.Object({
  id: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
  prediction: Type.Optional(
    Type.Enum(['known', 'unknown'], {
      description: 'unknown: the answer is not remembered, so that nothing can be learned from this feedback.',
    }),
  ),
})
export type SavedFeedback = Static<typeof savedFeedback>

export const feedbackById = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }, strict)

const time = (description: string) => Type.Optional(Type.String({ maxLength: 40, description }))

export const feedbackQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
    format: Type.Optional(
      Type.Unsafe<'json' | 'jsonl'>({
        type: 'string',
        enum: ['json', 'jsonl'],
        description: 'jsonl: all of it, one object a line.',
      }),
    ),
    with: Type.Optional(
      Type.Unsafe<'prediction'>({
        type: 'string',
        enum: ['prediction'],
        description:
          'prediction: each line of jsonl holds the rated answer too, with its prompt; null where it is not remembered.',
      }),
    ),
    rating: Type.Optional(rating),
    tag: Type.Optional(tag),
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'What gave the rated answer.' })),
    user: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'The id of a user.' })),
    has_correction: Type.Optional(Type.Boolean()),
    from: time('A day or a time (ISO 8601): given then or later.'),
    to: time('A time: given before it. A day counts to its end.'),
  },
  strict,
)
export type FeedbackQuery = Static<typeof feedbackQuery>

const textOrNull = Type.Union([Type.String(), Type.Null()])

export const feedbackItem = Type.Object({
  id: Type.String(),
  user_id: textOrNull,
  prediction_id: textOrNull,
  rejected_prediction_id: textOrNull,
  rating: Type.Union([rating, Type.Null()]),
  text: textOrNull,
  correction: textOrNull,
  tags: Type.Array(Type.String()),
  created_at: Type.String({ format: 'date-time' }),
})
export type FeedbackItem = Static<typeof feedbackItem>

export const feedbackPage = Type.Object({ items: Type.Array(feedbackItem), next_cursor: textOrNull })
