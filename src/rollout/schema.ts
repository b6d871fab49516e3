import Type, { type Static } from 'typebox'

const strict = { additionalProperties: false } as const
const numberOrNull = Type.Union([Type.Number(), Type.Null()])
const textOrNull = Type.Union([Type.String(), Type.Null()])
const timeOrNull = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

const modelName = Type.String({ minLength: 1, maxLength: 500 })

export const armBody = Type.Object(
  {
    model: Type.String({
      minLength: 1,
      maxLength: 500,
      description:
        'An installed model, BASE+ADAPTER, or PROVIDER/MODEL. A model of a cloud gets prompts: they leave this machine.',
    }),
    share: Type.Number({
      minimum: 0,
      maximum: 100,
      description: 'Percent of the conversations, with two digits after the point at most. All shares add up to 100.',
    }),
  },
  strict,
)

const arms = Type.Array(armBody, {
  minItems: 2,
  maxItems: 10,
  description: 'The first is what was in use before: a rollback goes to it, and it answers where another one cannot.',
})

export const ruleBody = Type.Object(
  {
    min_ratings: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'So many rated answers must each arm have before the rule acts by its ratings.',
    }),
    promote_when: Type.Optional(
      Type.Enum(['better', 'not_worse'], {
        description:
          '`better`: the test has found the candidate better. `not_worse`: it has not found the baseline better, and the candidate wins as often or more often.',
      }),
    ),
    rollback_when: Type.Optional(Type.Enum(['worse'], { description: 'The test has found the baseline better.' })),
    max_days: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 3650,
        description: 'After so many days without a decision it is rolled back.',
      }),
    ),
    require_evaluation: Type.Optional(
      Type.String({ minLength: 1, maxLength: 100, description: 'An evaluation of the candidate that must have passed before.' }),
    ),
  },
  { ...strict, description: 'When it is promoted or rolled back by itself. For two arms.' },
)
export type RuleBody = Static<typeof ruleBody>

export const startBody = Type.Object(
  {
    alias: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 100,
        default: 'default',
        description: '`default`: requests that name no model, or this. Another name: requests that name it as their model.',
      }),
    ),
    arms,
    rule: Type.Optional(ruleBody),
  },
  strict,
)
export type StartBody = Static<typeof startBody>

export const changeBody = Type.Object(
  {
    arms: Type.Optional(arms),
    rule: Type.Optional(Type.Union([ruleBody, Type.Null()], { description: 'null: none any more.' })),
    version: Type.Optional(
      Type.Integer({ minimum: 1, description: 'That of the rollout that was read: 409 where somebody has changed it since.' }),
    ),
  },
  { ...strict, minProperties: 1 },
)
export type ChangeBody = Static<typeof changeBody>

export const promoteBody = Type.Object(
  { model: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'Left out: the only candidate.' })) },
  strict,
)
export type PromoteBody = Static<typeof promoteBody>

export const rollbackBody = Type.Object(
  { alias: Type.Optional(Type.String({ minLength: 1, maxLength: 100, default: 'default' })) },
  strict,
)
export type RollbackBody = Static<typeof rollbackBody>

export const pageQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
  },
  strict,
)
export type PageQuery = Static<typeof pageQuery>

export const rolloutAnswer = Type.Object({
  id: Type.String(),
  alias: Type.String(),
  state: Type.Enum(['running', 'promoted', 'rolled-back', 'ended']),
  version: Type.Integer({ description: 'Goes up with each change.' }),
  arms: Type.Array(
    Type.Object({
      model: modelName,
      provider: Type.String(),
      ran_on: Type.Enum(['local', 'cloud'], { description: '`cloud`: prompts leave this machine.' }),
      share: Type.Number(),
    }),
  ),
  rule: Type.Union([ruleBody, Type.Null()]),
  blocked_by: Type.Union([Type.Enum(['route', 'model']), Type.Null()], {
    description: 'What has come to be called like the alias, and answers instead.',
  }),
  created_by: Type.Union([Type.String(), Type.Null()], { description: 'The id of the user.' }),
  created_at: Type.String({ format: 'date-time' }),
  ended_at: timeOrNull,
})
export type RolloutAnswer = Static<typeof rolloutAnswer>

export const rolloutPage = Type.Object({ items: Type.Array(rolloutAnswer), next_cursor: textOrNull })

const armStatistics = Type.Object({
  model: Type.String(),
  answers: Type.Integer(),
  rated: Type.Integer({ description: 'Rated answers; of what one user said of one answer the latest counts.' }),
  wins: Type.Integer({ description: 'Thumbs up. Thumbs down and corrections are losses.' }),
  rate: numberOrNull,
  rate_low: Type.Number({ description: '95 % confidence interval (Wilson).' }),
  rate_high: Type.Number(),
  kept: Type.Integer({ description: 'Kept over an answer of another arm to the same question.' }),
  rejected: Type.Integer({ description: 'Rejected for one.' }),
  tokens_per_second: Type.Union([Type.Number(), Type.Null()], { description: 'Means of the newest 500 answers.' }),
  first_token_ms: numberOrNull,
  latency_ms: Type.Union([Type.Number(), Type.Null()], { description: 'From the arrival of the request to the last token.' }),
  problem: Type.Union([Type.String(), Type.Null()], { description: 'Why it cannot answer now.' }),
  passed_by: Type.Union(
    [Type.Object({ requests: Type.Integer(), code: Type.String(), at: Type.String({ format: 'date-time' }) }), Type.Null()],
    {
      description:
        'Requests that the first arm answered as this one could not, since the service started; why and when the last time.',
    },
  ),
})

const comparison = Type.Object({
  candidate: Type.String(),
  baseline: Type.String(),
  difference: Type.Union([Type.Number(), Type.Null()], { description: 'By how much the rate of the candidate is greater.' }),
  difference_low: Type.Number({ description: '95 % confidence interval (Newcombe), for one look.' }),
  difference_high: Type.Number(),
  p_value: Type.Number({ description: 'Valid however often one looks.' }),
  verdict: Type.Enum(['undecided', 'candidate-better', 'baseline-better']),
  enough_data: Type.Boolean(),
})

export const rolloutDetail = Type.Object({
  ...rolloutAnswer.properties,
  statistics: Type.Object({ arms: Type.Array(armStatistics), comparisons: Type.Array(comparison) }),
})
export type RolloutDetail = Static<typeof rolloutDetail>

export const eventAnswer = Type.Object({
  id: Type.String(),
  rollout_id: Type.String(),
  actor: Type.String({ description: 'user:ID, `rule`, or `start` for what the service found when it started.' }),
  action: Type.Enum(['start', 'change', 'promote', 'roll-back', 'end']),
  details: Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object', additionalProperties: true }),
  created_at: Type.String({ format: 'date-time' }),
})
export type EventAnswer = Static<typeof eventAnswer>

export const eventPage = Type.Object({ items: Type.Array(eventAnswer), next_cursor: textOrNull })
