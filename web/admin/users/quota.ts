import type { QuotaAnswer, UserQuotaBody } from '../../../src/usage/schema.ts'

/** The limits as fields hold them: empty for what the settings say, 0 for without limit. */
export type QuotaFields = Readonly<{ requests: string; tokens: string; cost: string }>

export function toFields({
  requests_per_day: requests,
  tokens_per_day: tokens,
  cost_per_day_usd: cost,
}: QuotaAnswer): QuotaFields {
  return { requests: toField(requests), tokens: toField(tokens), cost: toField(cost) }
}

export function fromFields({ requests, tokens, cost }: QuotaFields): UserQuotaBody {
  return { requests_per_day: fromField(requests), tokens_per_day: fromField(tokens), cost_per_day_usd: fromField(cost) }
}

const toField = (limit: number | null) => (limit === null ? '' : String(limit))
const fromField = (field: string) => (field.trim() === '' ? null : Number(field))
