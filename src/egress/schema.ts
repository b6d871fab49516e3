import Type, { type Static } from 'typebox'
import { egressPurposes } from '../engine/cloud/egress-purposes.ts'

const textOrNull = Type.Union([Type.String(), Type.Null()])
const countOrNull = Type.Union([Type.Integer(), Type.Null()])
const name = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 500, description }))

export const egressQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
    from: Type.Optional(Type.String({ maxLength: 40, description: 'A day or a time (ISO 8601): begun then or later.' })),
    to: Type.Optional(Type.String({ maxLength: 40, description: 'A time: begun before it. A day counts to its end.' })),
    user: name('A username, or what the ledger says: user:ID, address:….'),
    provider: name('claude, openai or custom.'),
    purpose: Type.Optional(Type.Enum([...egressPurposes])),
    host: name('A host that was asked.'),
  },
  { additionalProperties: false },
)

export const egressItem = Type.Object({
  id: Type.String(),
  started_at: Type.String({ format: 'date-time' }),
  state: Type.Enum(['open', 'ended', 'interrupted'], {
    description: '`interrupted`: its end is unknown, as its process died. The numbers are those of its beginning.',
  }),
  purpose: Type.String(),
  user: Type.Union([Type.String(), Type.Null()], { description: 'user:ID, address:…; null where nobody asked.' }),
  username: textOrNull,
  provider: textOrNull,
  model: textOrNull,
  hosts: Type.Array(Type.String()),
  requests: Type.Integer(),
  status: countOrNull,
  bytes_out: Type.Integer(),
  bytes_in: Type.Integer(),
  prompt_tokens: countOrNull,
  completion_tokens: countOrNull,
  cached_prompt_tokens: countOrNull,
  cost_microdollars: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Millionths of a US dollar; null where no price is known.',
  }),
  duration_ms: countOrNull,
})
export type EgressItem = Static<typeof egressItem>

export const egressPage = Type.Object({
  items: Type.Array(egressItem),
  next_cursor: textOrNull,
  local_only: Type.Boolean(),
  totals: Type.Object(
    {
      errands: Type.Integer(),
      requests: Type.Integer(),
      bytes_out: Type.Integer(),
      bytes_in: Type.Integer(),
      prompt_tokens: Type.Integer(),
      completion_tokens: Type.Integer(),
      cost_microdollars: Type.Integer(),
      unpriced_answers: Type.Integer({
        description: 'Answers that the cost leaves out, as their price or their tokens are not known.',
      }),
    },
    { description: 'Of everything that the filters let through, on all pages.' },
  ),
})
export type EgressPage = Static<typeof egressPage>
