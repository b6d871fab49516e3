import type {} from '@fastify/swagger'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { Asker } from '../predict/predict.ts'
import type { SubjectState, UsageMeter } from './meter.ts'
import { type TodayAnswer, todayAnswer, toQuotaAnswer, toUsageAnswer } from './schema.ts'
import { dayOf, nextDayMs } from './usage-days.ts'

export type UsageRoutesOptions = Readonly<{
  meter: Pick<UsageMeter, 'stateOf'>
  askerOf: (request: FastifyRequest) => Asker
  now: () => number
}>

/** GET /auth/usage, for the user scope. */
export function usageRoutes({ meter, askerOf, now }: UsageRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      tags: ['auth'],
      summary: 'What you, and the key that you use, have used today, and may use',
      response: { 200: todayAnswer },
    }
    http.get('/auth/usage', { schema }, async (request): Promise<TodayAnswer> => {
      const states = await meter.stateOf(askerOf(request))
      const user = states.find(({ kind }) => kind === 'user')
      if (user === undefined) throw new AppError('not_found', 'This user has just been deleted.')
      const key = states.find(({ kind }) => kind === 'key')
      return {
        day: dayOf(now()),
        resets_at: new Date(nextDayMs(now())).toISOString(),
        user: toBody(user),
        ...(key === undefined ? {} : { key: toBody(key) }),
      }
    })
  }
}

function toBody({ used, limits }: SubjectState): TodayAnswer['user'] {
  const { requests = null, tokens = null, costMicros = null } = limits
  return {
    ...toUsageAnswer(used),
    limits: toQuotaAnswer({ requestsPerDay: requests, tokensPerDay: tokens, costMicrosPerDay: costMicros }),
  }
}
