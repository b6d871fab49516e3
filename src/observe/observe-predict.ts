import type { Predict, Target } from '../predict/predict.ts'
import { codeOf, traced, tracedEvents } from './traced.ts'
import type { Attributes, Tracing } from './tracing.ts'

/** The same way to answers, followed: who was chosen, why, who was passed by, and whether the cache had it. */
export function tracePredict(predict: Predict, tracing: Tracing): Predict {
  if (!tracing.isOn) return predict
  return {
    ...predict,
    complete: (request, asker, signal) =>
      traced(tracing, 'predict', {}, async (span) => {
        const completion = await predict.complete(request, asker, signal)
        const { id, cached } = completion
        span.set({ ...targetAttributes(completion), 'gen_ai.response.id': id, 'simpleia.cache.hit': cached })
        return completion
      }),
    async open(request, asker, signal) {
      const span = tracing.start('predict', { attributes: { 'gen_ai.request.stream': true } })
      try {
        const opened = await span.within(() => predict.open(request, asker, signal))
        span.set({ ...targetAttributes(opened.target), 'gen_ai.response.id': opened.id })
        let isRead = false
        async function* events() {
          isRead = true
          yield* tracedEvents(span, { make: () => opened.events, saw() {}, last: 'generation-end' })
        }
        return {
          ...opened,
          events: events(),
          async [Symbol.asyncDispose]() {
            await opened[Symbol.asyncDispose]()
            if (!isRead) span.end()
          },
        }
      } catch (error) {
        span.fail(codeOf(error))
        span.end()
        throw error
      }
    },
  }
}

function targetAttributes({ provider, model, ranOn, why, passedBy, rolloutId }: Target): Attributes {
  return {
    'simpleia.provider': provider,
    'gen_ai.response.model': model,
    'simpleia.ran_on': ranOn,
    'simpleia.why': why,
    'simpleia.passed_by': passedBy.length === 0 ? undefined : passedBy.map((one) => `${one.provider}: ${one.code}`),
    'simpleia.rollout.id': rolloutId,
  }
}
