import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import Type from 'typebox'
import { AppError } from '../errors.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { Quantizations, QuantizeProgress, QuantizeRequest } from './quantize.ts'
import { quantizeReport } from './quantize-report.ts'
import { modelName, type QuantizeAnswer, type QuantizeBody, quantizeAnswer, quantizeBody } from './quantize-schema.ts'

/** A large tensor or a piece of text takes a large model minutes. */
const silenceMs = 15_000

const tags = ['models']
const failures = { '4xx': errorBody, '5xx': errorBody }

const quantizeSchema = {
  summary: 'Make a smaller model of an installed one',
  description:
    'Answers text/event-stream: `event: calibrate` {chunk,chunks}, `event: tensor` {tensor,tensors}, `event: measure` {chunk,chunks}, then ' +
    '`event: done` with what stream:false answers as JSON; a failure on the way is `event: error` with the error body. ' +
    'Leaving stops the work: before the model is whole nothing of it stays, while it is measured it stays without a report. ' +
    'One at a time; a second is refused as busy.',
  tags,
  body: quantizeBody,
  response: { 200: quantizeAnswer, ...failures },
}

export type QuantizeRoutes = Readonly<{ caller: FastifyPluginAsync; admin: FastifyPluginAsync }>

/**
 * GET /models/{name}/report for the caller scope, POST /models/quantize for admins. Who asks for a quantization holds it: when the
 * connection ends, so does the work, as everywhere in this service, and there is nothing to clean up later. Other admins see and stop it
 * by making-routes.ts.
 */
export function quantizeRoutes(quantizations: Quantizations): QuantizeRoutes {
  return {
    caller: async (http) => {
      const schema = {
        summary: 'What was measured when the model was quantized',
        description: 'A `/` in the name is written %2F.',
        tags,
        params: Type.Object({ name: Type.String(modelName) }),
        response: { 200: quantizeReport, ...failures },
      }
      http.get<{ Params: { name: string } }>('/models/:name/report', { schema }, async ({ params }) =>
        quantizations.report(params.name),
      )
    },
    admin: async (http) => {
      http.post<{ Body: QuantizeBody }>('/models/quantize', { schema: quantizeSchema }, async (request, reply) => {
        const gone = clientGone(reply)
        const events = quantizations.run(toRequest(request.body), gone)
        if (request.body.stream === false) return toWhole(events)
        await sendEventStream(reply, {
          frames: withHeartbeats(toFrames(events), (signal) => wait(silenceMs, undefined, { signal })),
          gone,
          toAppError: (error) => toAppError(error, request.log),
          formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
        })
        return reply
      })
    },
  }
}

function toRequest({
  model,
  quantization,
  name,
  report = true,
  text,
  calibration_text: calibration,
}: QuantizeBody): QuantizeRequest {
  const calibrationText = typeof calibration === 'object' ? calibration.join('\n\n') : calibration
  return { model, quantization, name, calibrationText, report, text }
}

async function toWhole(events: AsyncIterable<QuantizeProgress>): Promise<QuantizeAnswer> {
  for await (const event of events) if (event.type === 'quantization-end') return toAnswer(event)
  throw new AppError('internal', 'The quantization ended without a result.')
}

async function* toFrames(events: AsyncIterable<QuantizeProgress>): AsyncGenerator<string> {
  // Not before all has ended: who hears of it may ask for the next one at once.
  let done = ''
  for await (const event of events) {
    switch (event.type) {
      case 'calibration-progress':
        yield formatEvent(JSON.stringify({ chunk: event.chunk, chunks: event.chunks }), 'calibrate')
        break
      case 'tensor-progress':
        yield formatEvent(JSON.stringify({ tensor: event.tensor, tensors: event.tensors }), 'tensor')
        break
      case 'measure-progress':
        yield formatEvent(JSON.stringify({ chunk: event.chunk, chunks: event.chunks }), 'measure')
        break
      case 'quantization-end':
        done = formatEvent(JSON.stringify(toAnswer(event)), 'done')
        break
    }
  }
  yield done
}

function toAnswer(end: Extract<QuantizeProgress, { type: 'quantization-end' }>): QuantizeAnswer {
  const { name, sizeBytes, fallbackTensors, report, reportFailure } = end
  return {
    model: name,
    size_bytes: sizeBytes,
    fallback_tensors: fallbackTensors,
    report: report ?? null,
    ...(reportFailure === undefined ? {} : { report_error: { code: reportFailure.code, message: reportFailure.message } }),
  }
}
