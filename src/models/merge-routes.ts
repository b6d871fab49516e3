import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import { AppError } from '../errors.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { MergeProgress, Merges } from './merge.ts'
import { type MergeAnswer, type MergeBody, mergeAnswer, mergeBody } from './merge-schema.ts'

/** A large tensor takes minutes. */
const silenceMs = 15_000

const schema = {
  summary: 'Make one model of an installed model and an adapter',
  description:
    'Answers text/event-stream: `event: merge` {tensor,tensors}, `event: tensor` {tensor,tensors} while it is quantized, then ' +
    '`event: done` with what stream:false answers as JSON; a failure on the way is `event: error` with the error body. ' +
    'Leaving stops the work, and nothing of it stays. One model is made at a time; a second is refused as busy.',
  tags: ['models'],
  body: mergeBody,
  response: { 200: mergeAnswer, '4xx': errorBody, '5xx': errorBody },
}

/** POST /models/merge, for admins. Who asks for it holds it, as for quantizations. */
export function mergeRoutes(merges: Merges): FastifyPluginAsync {
  return async (http) => {
    http.post<{ Body: MergeBody }>('/models/merge', { schema }, async (request, reply) => {
      const { model, quantization, name, stream } = request.body
      const gone = clientGone(reply)
      const events = merges.run({ model, quantization, name }, gone)
      if (stream === false) return toWhole(events)
      await sendEventStream(reply, {
        frames: withHeartbeats(toFrames(events), (signal) => wait(silenceMs, undefined, { signal })),
        gone,
        toAppError: (error) => toAppError(error, request.log),
        formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
      })
      return reply
    })
  }
}

async function toWhole(events: AsyncIterable<MergeProgress>): Promise<MergeAnswer> {
  for await (const event of events) if (event.type === 'merge-end') return toAnswer(event)
  throw new AppError('internal', 'The merge ended without a result.')
}

async function* toFrames(events: AsyncIterable<MergeProgress>): AsyncGenerator<string> {
  // Not before all has ended: who hears of it may ask for the next one at once.
  let done = ''
  for await (const event of events) {
    if (event.type === 'merge-end') done = formatEvent(JSON.stringify(toAnswer(event)), 'done')
    else {
      const { type, tensor, tensors } = event
      yield formatEvent(JSON.stringify({ tensor, tensors }), type === 'merge-progress' ? 'merge' : 'tensor')
    }
  }
  yield done
}

function toAnswer({
  name,
  quantization,
  sizeBytes,
  fallbackTensors,
}: Extract<MergeProgress, { type: 'merge-end' }>): MergeAnswer {
  return { model: name, quantization, size_bytes: sizeBytes, fallback_tensors: fallbackTensors }
}
