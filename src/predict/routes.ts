import type { FastifyPluginAsync, FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { FinishReason } from '../engine/provider.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, createTextFormatter, formatEvent, sendEventStream } from '../http/event-stream.ts'
import type { Asker, Completion, OpenAnswer, Predict, PredictRequest } from './predict.ts'
import {
  type PredictAnswer,
  type PredictBody,
  predictAnswer,
  predictBody,
  toOrigin,
  toTimingsBody,
  toUsageBody,
} from './schema.ts'
import { refuseManyStreams, toPredictRequest } from './to-request.ts'

export type PredictRoutesOptions = Readonly<{
  predict: Predict
  askerOf: (request: FastifyRequest) => Asker
  limit: onRequestAsyncHookHandler
}>

const schema = {
  summary: 'Continue a prompt',
  description:
    'With stream:true the answer is text/event-stream: each piece of text as `data:` (a line break in the text makes a further ' +
    '`data:` line, so \\r\\n and \\r arrive as \\n), then `event: done` with {id,model,provider,finish_reason,usage,timings,ran_on,why}. ' +
    'A failure on the way is `event: error` with the error body.',
  tags: ['predict'],
  body: predictBody,
  response: { 200: predictAnswer, '4xx': errorBody, '5xx': errorBody },
}

/** POST /predict, for the caller scope. */
export function predictRoutes({ predict, askerOf, limit }: PredictRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    http.post<{ Body: PredictBody }>('/predict', { schema, onRequest: limit }, async (request, reply) => {
      const { stream, ...body } = request.body
      const question = toPredictRequest(body)
      const asker = askerOf(request)
      const gone = clientGone(reply)
      if (stream !== true) return toAnswer(await predict.complete(question, asker, gone))
      refuseManyStreams(question.choices)
      return streamAnswer({ predict, question, asker, gone, request, reply })
    })
  }
}

type StreamParts = Readonly<{
  predict: Predict
  question: PredictRequest
  asker: Asker
  gone: AbortSignal
  request: FastifyRequest
  reply: FastifyReply
}>

async function streamAnswer({ predict, question, asker, gone, request, reply }: StreamParts): Promise<FastifyReply> {
  await using opened = await predict.open(question, asker, gone)
  await sendEventStream(reply, {
    frames: toFrames(opened),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
  })
  return reply
}

async function* toFrames({ id, target, events }: OpenAnswer): AsyncGenerator<string> {
  const format = createTextFormatter()
  let reason: FinishReason = 'stop'
  for await (const event of events) {
    switch (event.type) {
      case 'text-delta': {
        const frame = format(event.text)
        if (frame !== '') yield frame
        break
      }
      case 'choice-end':
        reason = event.reason
        break
      case 'generation-end': {
        const end = {
          id,
          model: target.model,
          provider: target.provider,
          finish_reason: reason,
          usage: toUsageBody(event.usage),
          timings: toTimingsBody(event.timings),
          ...toOrigin(target),
        }
        yield formatEvent(JSON.stringify(end), 'done')
      }
    }
  }
}

function toAnswer(completion: Completion): PredictAnswer {
  return {
    id: completion.id,
    model: completion.model,
    provider: completion.provider,
    choices: completion.choices.map(({ index, text, reason }) => ({ index, text, finish_reason: reason })),
    usage: toUsageBody(completion.usage),
    timings: toTimingsBody(completion.timings),
    cached: completion.cached,
    ...toOrigin(completion),
  }
}
