import { createUsageEstimate } from '../engine/estimate-usage.ts'
import type { GenerateEvent, GenerateRequest, Provider } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { Admission, Asker, Meter, PredictMetrics, Target } from './predict.ts'
import type { Recording } from './recording.ts'

type GenerationParts = Readonly<{
  provider: Provider
  request: GenerateRequest
  target: Target
  asker: Asker
  /** Let in, and released here. */
  admitted: ReturnType<Admission['admit']>
  ended: Admission['ended']
  meter: Pick<Meter, 'note'>
  metrics: Pick<PredictMetrics, 'firstToken' | 'generationEnd' | 'generationFailed'>
  /** Follows what is told, where it is to be remembered. */
  recording: Recording | undefined
  /** Milliseconds that only grow. */
  now: () => number
}>

/** One answer of a provider, counted. Throws what the provider throws, and why the service has ended it where that was so. */
export async function* generation(parts: GenerationParts): AsyncGenerator<GenerateEvent, undefined> {
  const { provider, request, target, asker, admitted, recording, meter, metrics, now } = parts
  const startMs = now()
  const estimate = createUsageEstimate(request.prompt)
  const progress = { wasSent: false, hasBegun: false, hasEnded: false }
  const onSent = () => {
    progress.wasSent = true
  }
  try {
    for await (const event of provider.generate(request, admitted.signal, onSent)) {
      if (!progress.hasBegun) metrics.firstToken((now() - startMs) / 1000, target)
      progress.hasBegun = true
      if (event.type === 'generation-end') {
        progress.hasEnded = true
        const seconds = (now() - startMs) / 1000
        const { choices } = request
        metrics.generationEnd(event.usage, { ...target, timings: event.timings, choices, seconds })
        await meter.note(asker, target, event.usage)
        await recording?.end(event)
      } else {
        estimate.saw(event)
        recording?.saw(event)
      }
      yield event
    }
    if (!progress.hasEnded) throw new AppError('internal', 'The engine stopped before the answer was complete.')
  } catch (error) {
    const reason = admitted.signal.aborted ? (parts.ended() ?? error) : error
    metrics.generationFailed(reason instanceof AppError ? reason.code : 'internal', target)
    throw reason
  } finally {
    // Nobody passes a quota by leaving before the end, nor while the prompt is read. A request that was refused used nothing.
    const wasUsed = progress.hasBegun || (progress.wasSent && admitted.signal.aborted)
    if (wasUsed && !progress.hasEnded) await meter.note(asker, target, estimate.usage())
    if (!progress.hasEnded) await recording?.left()
    admitted.release()
  }
}
