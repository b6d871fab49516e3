import type { FastifyRequest } from 'fastify'
import type { Asker, Meter } from '../predict/predict.ts'

/**
 * Work of an embedding model or reranker of this machine for a request: let in and counted like an answer. Throws
 * `quota_exceeded`, and what the work throws.
 */
export type Metered = <T extends Readonly<{ tokens: readonly number[] }>>(
  request: FastifyRequest,
  model: string,
  work: () => Promise<T>,
) => Promise<T>

export type MeteredOptions = Readonly<{ meter: Meter; askerOf: (request: FastifyRequest) => Asker; provider: string }>

export function createMetered({ meter, askerOf, provider }: MeteredOptions): Metered {
  return async (request, model, work) => {
    const asker = askerOf(request)
    const target = { provider, model, ranOn: 'local' } as const
    await meter.admit(asker, target)
    const done = await work()
    const promptTokens = done.tokens.reduce((sum, one) => sum + one, 0)
    await meter.note(asker, target, { promptTokens, completionTokens: 0, cachedPromptTokens: 0 })
    return done
  }
}
