import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { statusOf } from './error-reply.ts'

/** What came of a request: its status, which is 499 where the caller left before, and that of the failure of a broken stream. */
export type RequestEndListener = (request: FastifyRequest, reply: FastifyReply, status: number) => void

/** Calls the listener once for each request. To be called before other hooks, so that it hears of what they refuse, too. */
export function onRequestEnd(http: FastifyInstance, listener: RequestEndListener): void {
  http.addHook('onRequest', (request, reply, done) => {
    // Not onResponse: Fastify calls it for answers that went out whole, not for callers who left, nor for WebSockets.
    reply.raw.once('close', () => listener(request, reply, endStatus(request, reply)))
    done()
  })
}

function endStatus({ ws }: FastifyRequest, { raw, failure, statusCode }: FastifyReply): number {
  if (!raw.writableFinished) return ws ? 101 : 499
  return failure === undefined ? statusCode : statusOf[failure.code]
}
