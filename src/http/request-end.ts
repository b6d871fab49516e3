import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { statusOf } from './error-reply.ts'

/** What came of a request: its status, which is 499 where the caller left before, and that of the failure of a broken stream. */
export type RequestEndListener = (request: FastifyRequest, reply: FastifyReply, status: number) => void

/** Calls the listener once for each request. To be called before other hooks, so that it hears of what they refuse, too. */
export function onRequestEnd(http: FastifyInstance, listener: RequestEndListener): void {
  const ended = new WeakSet<FastifyRequest>()
  const end = (request: FastifyRequest, reply: FastifyReply, status: number) => {
    if (ended.has(request)) return
    ended.add(request)
    listener(request, reply, status)
  }
  http.addHook('onRequest', (request, reply, done) => {
    // Fastify tells of answers that went out whole; a caller who left, and a WebSocket, only shows here.
    reply.raw.once('close', () => end(request, reply, request.ws ? 101 : 499))
    done()
  })
  http.addHook('onResponse', (request, reply, done) => {
    end(request, reply, reply.failure === undefined ? reply.statusCode : statusOf[reply.failure.code])
    done()
  })
}
