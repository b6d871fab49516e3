import Type, { type Static } from 'typebox'

const strict = { additionalProperties: false } as const
const rating = Type.Unsafe<'up' | 'down'>({ type: 'string', enum: ['up', 'down'] })

export const feedbackBody = Type.Object(
  {
    text: Type.Optional(Type.String({ minLength: 1, maxLength: 5000, description: 'Kept as typed. Required without a rating.' })),
    prediction_id: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'The answer that is rated.' })),
    rating: Type.Optional(rating),
    correction: Type.Optional(
      Type.String({ minLength: 1, maxLength: 20_000, description: 'What the answer should have been. Kept as typed.' }),
    ),
  },
  { ...strict, description: 'Either `text`, or `prediction_id` with `rating` and, as you like, `correction` and `text`.' },
)

export const savedFeedback = Type.Object({ id: Type.String(), created_at: Type.String({ format: 'date-time' }) })

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
  },
  strict,
)

const textOrNull = Type.Union([Type.String(), Type.Null()])

export const feedbackItem = Type.Object({
  id: Type.String(),
  user_id: textOrNull,
  prediction_id: textOrNull,
  rating: Type.Union([rating, Type.Null()]),
  text: textOrNull,
  correction: textOrNull,
  created_at: Type.String({ format: 'date-time' }),
})
export type FeedbackItem = Static<typeof feedbackItem>

export const feedbackPage = Type.Object({ items: Type.Array(feedbackItem), next_cursor: textOrNull })
