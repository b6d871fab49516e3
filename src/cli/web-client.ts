import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as openRequest,
  type ServerResponse,
} from 'node:http'
import { AppError } from '../errors.ts'
import { statusOf, toErrorBody } from '../http/error-reply.ts'
import { addressOf } from './context.ts'

export type WebClientOptions = Readonly<{
  apiUrl: string
  /** What to tell a browser while nobody answers there. */
  unreachable: string
}>

/** Hold for one connection, not for the message that comes over it. */
const connectionHeaders: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * The web client on a port of its own: passes each request on to the API, whose pages they are, piece by piece both ways.
 * `Host` and `Origin` stay as the browser sent them: the API compares them, and so refuses foreign pages at this door too.
 */
export function createWebClient(options: WebClientOptions) {
  const server = createServer((request, response) => {
    passOn(options, request, response)
    // A connection that just became idle would otherwise stay open until its keep-alive time is over.
    response.once('close', () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections())
    })
  })
  return {
    http: {
      /** Gives the address that it got. */
      async listen({ host, port }: Readonly<{ host: string; port: number }>): Promise<string> {
        server.listen({ host, port })
        await once(server, 'listening')
        const address = server.address()
        if (address === null || typeof address === 'string') throw new AppError('internal', 'The web client has no port.')
        return addressOf(address.address, address.port)
      },
    },
    /** Takes no more connections, and cuts what has not come to its end within `graceMs`. */
    async close({ graceMs = 0 }: Readonly<{ graceMs?: number }> = {}): Promise<void> {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      const cut = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearTimeout(cut)
    },
  }
}

function passOn({ apiUrl, unreachable }: WebClientOptions, request: IncomingMessage, response: ServerResponse): void {
  const { hostname, port } = new URL(apiUrl)
  // The caller is not this machine's doing: without this the API would take everyone for a local caller.
  const headers = { ...ofMessage(request.headers), 'x-forwarded-for': request.socket.remoteAddress ?? '' }
  const upstream = openRequest({
    host: hostname.replace(/^\[|\]$/g, ''),
    port,
    path: request.url,
    method: request.method,
    headers,
    // A connection for each request: one that is kept may end just when it is used again.
    agent: false,
  })
  upstream.once('response', (answer) => {
    const { statusCode = statusOf.upstream } = answer
    response.writeHead(statusCode, ofMessage(answer.headers))
    // A stream that breaks must not look as if it had come to its end.
    answer.once('error', () => response.destroy())
    answer.pipe(response)
  })
  upstream.once('error', (cause) => {
    if (response.headersSent) response.destroy()
    else sendError(response, new AppError('upstream', unreachable, { cause }))
  })
  response.once('close', () => upstream.destroy())
  request.pipe(upstream)
}

function ofMessage(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !connectionHeaders.has(name)))
}

function sendError(response: ServerResponse, error: AppError): void {
  response.writeHead(statusOf[error.code], { 'content-type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(toErrorBody(error)))
}
