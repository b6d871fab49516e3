import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { RateLimits } from './auth/rate-limit.ts'
import type { Config } from './config.ts'
import type { LimitHeadersOptions } from './dialects/rate-limit-headers.ts'
import type { Asker } from './predict/predict.ts'
import type { Database } from './storage/tables.ts'
import { createMeter, type MeterOptions, type UsageMeter } from './usage/meter.ts'
import { createMetered, type Metered } from './usage/metered.ts'
import { toShownLimits } from './usage/shown-limits.ts'

export type AccountingParts = Readonly<{
  db: Database
  now: () => number
  log: Pick<FastifyBaseLogger, 'error'>
  askerOf: (request: FastifyRequest) => Asker
  /** The name of the provider on this machine. */
  localProvider: string
}> &
  Required<Pick<MeterOptions, 'ceilings' | 'costOf'>>

export type Accounting = Readonly<{
  meter: UsageMeter
  metered: Metered
  /** What the headers of a dialect show. */
  findLimits: (limits: Pick<RateLimits, 'stateOf'>) => LimitHeadersOptions['findLimits']
}>

/** Counts what callers use, refuses what passes their quotas, and tells them what is left. */
export function openAccounting(config: Config, parts: AccountingParts): Accounting {
  const { db, now, log, askerOf, localProvider, ceilings, costOf } = parts
  const meter = createMeter({
    db,
    now,
    defaults: { requestsPerDay: config.userRequestsPerDay, tokensPerDay: config.userTokensPerDay },
    ceilings,
    costOf: (target, usage) => (target.provider === localProvider ? undefined : costOf(target, usage)),
    onFailure: (error) => log.error({ err: error }, 'Usage could not be counted'),
  })
  return {
    meter,
    metered: createMetered({ meter, askerOf, provider: localProvider }),
    findLimits:
      (limits) =>
      async (request, { willCount }) =>
        toShownLimits({
          window: limits.stateOf(request),
          quotas: await meter.stateOf(askerOf(request)),
          pending: willCount ? 1 : 0,
          nowMs: now(),
        }),
  }
}
