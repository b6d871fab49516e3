import Type, { type Static, type TSchema } from 'typebox'

const strict = { additionalProperties: false } as const
const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const time = (description: string) => Type.Optional(Type.String({ maxLength: 40, description }))

const filterFields = {
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
  model: Type.Optional(
    Type.String({ minLength: 1, maxLength: 200, description: 'As answers name it: base+adapter for an adapter.' }),
  ),
  rating: Type.Optional(Type.Enum(['up', 'down', 'none'], { description: 'That of the latest feedback; none: it has none.' })),
  from: time('A day or a time (ISO 8601): answered then or later.'),
  to: time('A time: answered before it. A day counts to its end.'),
}

export const predictionsQuery = Type.Object(filterFields, strict)
export type PredictionsQuery = Static<typeof predictionsQuery>

export const adminPredictionsQuery = Type.Object(
  {
    ...filterFields,
    user: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'A username, or whose it is as answers say: user:ID, address:….',
      }),
    ),
  },
  strict,
)
export type AdminPredictionsQuery = Static<typeof adminPredictionsQuery>

export const byId = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }, strict)
export type ById = Static<typeof byId>

const rating = orNull(Type.Enum(['up', 'down']))

const summaryFields = {
  id: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
  provider: Type.String(),
  model: Type.String(),
  ran_on: Type.Enum(['local', 'cloud']),
  rollout_id: orNull(Type.String()),
  rating,
}

const summary = Type.Object({
  ...summaryFields,
  question: Type.String({ description: 'The beginning of what was asked.' }),
  answer: Type.String({ description: 'The beginning of the answer.' }),
})
export type PredictionItem = Static<typeof summary>

/** For others than its owner: whose it is, and not what it says. */
const foreignSummary = Type.Object({
  ...summaryFields,
  user: Type.String({ description: 'user:ID, or address:… of someone without an account.' }),
})
export type ForeignPredictionItem = Static<typeof foreignSummary>

export const predictionsPage = Type.Object({ items: Type.Array(summary), next_cursor: orNull(Type.String()) })
export type PredictionsPage = Static<typeof predictionsPage>
export const adminPredictionsPage = Type.Object({ items: Type.Array(foreignSummary), next_cursor: orNull(Type.String()) })
export type AdminPredictionsPage = Static<typeof adminPredictionsPage>

const choice = Type.Object({
  index: Type.Integer(),
  text: Type.String(),
  finish_reason: Type.String({ description: 'stopped: it was left, stopped or broke off there.' }),
  reasoning: Type.Optional(Type.String()),
  tool_calls: Type.Optional(Type.Array(Type.Object({ id: Type.String(), name: Type.String(), arguments: Type.String() }))),
})

const anyObject = Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object', additionalProperties: true })

export const predictionBody = Type.Object({
  ...summaryFields,
  prompt: Type.Unsafe<Readonly<Record<string, unknown>>>({
    type: 'object',
    additionalProperties: true,
    description:
      '{type:"text",text} or {type:"chat",messages,tools?}. Pictures of more than 65536 characters are left out, with a note.',
  }),
  choices: Type.Array(choice),
  parameters: anyObject,
  usage: orNull(Type.Object({ prompt_tokens: Type.Integer(), completion_tokens: Type.Integer() })),
  timings: orNull(anyObject),
  user: Type.String({ description: 'user:ID, or address:… of someone without an account.' }),
})
export type PredictionBody = Static<typeof predictionBody>

export const removedPredictions = Type.Object({ deleted: Type.Integer({ description: 'How many there were.' }) })

export const settingsBody = Type.Object(
  { store: Type.Boolean({ description: 'Whether answers to you are remembered from now on. What is remembered stays.' }) },
  strict,
)

export const settingsAnswer = Type.Object({
  store: Type.Boolean({ description: 'As you have chosen.' }),
  service_stores: Type.Boolean({ description: 'STORE_PREDICTIONS: false: nobody is remembered, whatever they have chosen.' }),
  retention_days: orNull(Type.Integer({ description: 'How long those without feedback are remembered; null: without end.' })),
})
export type PredictionSettings = Static<typeof settingsAnswer>
