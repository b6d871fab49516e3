import type { FastifyReply, FastifyRequest } from 'fastify'
import { toAppError } from '../http/error-reply.ts'
import { formatEvent, sendEventStream } from '../http/event-stream.ts'
import { toOpenaiErrorBody } from './openai-error.ts'

/** Sends a stream whose failure, once it has begun, is an event with the error's body. */
export async function sendChunks(
  frames: AsyncIterable<string>,
  gone: AbortSignal,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  await sendEventStream(reply, {
    frames,
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toOpenaiErrorBody(error))),
  })
  return reply
}
