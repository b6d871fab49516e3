import Type, { type Static, type TSchema } from 'typebox'
import type { Quota } from './quota.ts'
import type { DayUsage } from './usage-days.ts'

const strict = { additionalProperties: false } as const
const mostCount = 1_000_000_000_000
const mostDollars = 1_000_000

const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** The quota of a user. What is left out stays as it is. */
export const userQuotaBody = Type.Object(
  {
    requests_per_day: Type.Optional(orNull(Type.Integer({ minimum: 0, maximum: mostCount }))),
    tokens_per_day: Type.Optional(orNull(Type.Integer({ minimum: 0, maximum: mostCount }))),
    cost_per_day_usd: Type.Optional(orNull(Type.Number({ minimum: 0, maximum: mostDollars }))),
  },
  { ...strict, description: 'null: as the settings say for all users; 0: without limit.' },
)
export type UserQuotaBody = Static<typeof userQuotaBody>

/** The quota of a key. */
export const keyQuotaBody = Type.Object(
  {
    requests_per_day: Type.Optional(Type.Integer({ minimum: 1, maximum: mostCount })),
    tokens_per_day: Type.Optional(Type.Integer({ minimum: 1, maximum: mostCount })),
    cost_per_day_usd: Type.Optional(Type.Number({ minimum: 0.000_001, maximum: mostDollars })),
  },
  { ...strict, description: 'Left out: without limit but that of the user.' },
)
export type KeyQuotaBody = Static<typeof keyQuotaBody>

export const quotaAnswer = Type.Object({
  requests_per_day: orNull(Type.Integer()),
  tokens_per_day: orNull(Type.Integer()),
  cost_per_day_usd: orNull(Type.Number()),
})
export type QuotaAnswer = Static<typeof quotaAnswer>

export const usageAnswer = Type.Object({
  requests: Type.Integer(),
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  cost_usd: Type.Number(),
})
export type UsageAnswer = Static<typeof usageAnswer>

const usageWithLimits = Type.Object({ ...usageAnswer.properties, limits: quotaAnswer })

export const todayAnswer = Type.Object({
  day: Type.String({ format: 'date', description: 'In UTC.' }),
  resets_at: Type.String({ format: 'date-time' }),
  user: usageWithLimits,
  key: Type.Optional(usageWithLimits),
})
export type TodayAnswer = Static<typeof todayAnswer>

const micros = 1_000_000
const toMicros = (dollars: number | null) => (dollars === null ? null : Math.round(dollars * micros))
const toDollars = (amount: number | null) => (amount === null ? null : amount / micros)

/** The fields that are given. */
export function fromQuotaBody(body: UserQuotaBody): Partial<Quota> {
  const { requests_per_day: requestsPerDay, tokens_per_day: tokensPerDay, cost_per_day_usd: dollars } = body
  return {
    ...(requestsPerDay === undefined ? {} : { requestsPerDay }),
    ...(tokensPerDay === undefined ? {} : { tokensPerDay }),
    ...(dollars === undefined ? {} : { costMicrosPerDay: toMicros(dollars) }),
  }
}

export function toQuotaAnswer({ requestsPerDay, tokensPerDay, costMicrosPerDay }: Quota): QuotaAnswer {
  return {
    requests_per_day: requestsPerDay,
    tokens_per_day: tokensPerDay,
    cost_per_day_usd: toDollars(costMicrosPerDay),
  }
}

export function toUsageAnswer({ requests, promptTokens, completionTokens, costMicros }: DayUsage): UsageAnswer {
  return { requests, prompt_tokens: promptTokens, completion_tokens: completionTokens, cost_usd: costMicros / micros }
}
