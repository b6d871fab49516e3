import { AsyncResource } from 'node:async_hooks'
import type { WebSocket } from '@fastify/websocket'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError, type ErrorCode } from '../errors.ts'
import { toErrorBody } from './error-reply.ts'

/** Close codes (RFC 6455): the server goes away, the caller broke a rule, the server failed. */
export const closeCodes = { goingAway: 1001, policy: 1008, failure: 1011 } as const

export type SocketLimits = Readonly<{
  /** Open sockets of one client. */
  perClient: number
  messagesPerSecond: number
  /** How often a silent client is asked for a sign of life, and an open socket's rights are checked again. */
  pingMs: number
  /** Bytes that may wait for a slow reader before the sender waits too. */
  bufferedBytes: number
}>

export const socketLimits: SocketLimits = { perClient: 32, messagesPerSecond: 100, pingMs: 30_000, bufferedBytes: 1_048_576 }

export type SocketsOptions = Readonly<{
  limits: SocketLimits
  clientOf: (request: FastifyRequest) => string
  /** Whether the caller may still use the socket. */
  isStillValid: (request: FastifyRequest) => Promise<boolean>
  /** Told of each failure on a socket; what is refused before the handshake is an ordinary answer. */
  onError: (code: ErrorCode) => void
  /** Milliseconds that only grow. */
  now: () => number
}>

/** One open socket, as the protocol on it sees it. */
export interface Connection {
  /** Sends a message; waits where the reader is slow; does nothing on a socket that closes. */
  send(message: object): Promise<void>
  /** Sends an `error` message, with these fields besides. */
  sendError(error: AppError, fields: object): Promise<void>
  close(code: number, reason: string): void
  /** Says that work begins (+1) or has ended (−1): a socket with work is given time when the service ends. */
  work(change: 1 | -1): void
  /** Closes the socket, as failed, once its work has ended. */
  closeWhenIdle(code: number, reason: string): void
}

export type SocketHandlers = Readonly<{ message: (text: string) => Promise<void>; closed: () => void }>

type Open = Readonly<{ connection: Connection; ping: () => void; terminate: () => void }>

/** All open sockets: how many a client may have, whether they live, and how they end. */
export type Sockets = ReturnType<typeof createSockets>

export function createSockets(options: SocketsOptions) {
  const { limits, clientOf } = options
  const perClient = new Map<string, { open: number }>()
  const open = new Set<Open>()
  const pings = setInterval(() => {
    for (const { ping } of open) ping()
  }, limits.pingMs)
  pings.unref()

  return {
    /** Hook in front of the upgrade. Throws `rate_limited`. */
    async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
      const client = clientOf(request)
      const theirs = perClient.get(client) ?? { open: 0 }
      if (theirs.open >= limits.perClient) {
        throw new AppError('rate_limited', `One client may have ${limits.perClient} sockets open. Close one first.`)
      }
      theirs.open += 1
      perClient.set(client, theirs)
      reply.raw.once('close', () => {
        theirs.open -= 1
        if (theirs.open === 0) perClient.delete(client)
      })
    },
    serve(socket: WebSocket, request: FastifyRequest, start: (connection: Connection) => SocketHandlers): void {
      const entry = serveSocket(socket, request, start, options)
      open.add(entry)
      socket.once('close', () => open.delete(entry))
    },
    /** Ends each socket as soon as it has no work. */
    drain(): void {
      for (const { connection } of open) connection.closeWhenIdle(closeCodes.goingAway, 'The service is shutting down.')
    },
    /** Ends all sockets now; those that do not answer within `waitMs` are cut. */
    async close(waitMs = 1000): Promise<void> {
      clearInterval(pings)
      for (const { connection } of open) connection.close(closeCodes.goingAway, 'The service is shutting down.')
      const endMs = options.now() + waitMs
      while (open.size > 0 && options.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 10))
      for (const { terminate } of open) terminate()
    },
  }
}

function serveSocket(
  socket: WebSocket,
  request: FastifyRequest,
  start: (connection: Connection) => SocketHandlers,
  { limits, isStillValid, onError, now }: SocketsOptions,
): Open {
  const connection = createConnection(socket, limits, onError)
  const handlers = start(connection)
  const countMessage = createMessageCounter(limits.messagesPerSecond, now)
  // One message after the other, so that a stop never overtakes the request that it is to stop.
  let last = Promise.resolve()
  let alive = true

  async function isAllowed(): Promise<boolean> {
    if (socket.readyState !== socket.OPEN) return false
    const isValid = await isStillValid(request)
    if (!isValid) connection.close(closeCodes.policy, 'The token is no longer valid.')
    return isValid
  }
  async function handle(text: string): Promise<void> {
    if (await isAllowed()) await handlers.message(text)
  }
  // Messages are part of the request that has opened the socket, and what they bring about is, too.
  const resource = new AsyncResource('simpleia.socket')
  const take = (text: string) => resource.runInAsyncScope(handle, undefined, text)
  socket.on('message', (data, isBinary) => {
    if (socket.readyState !== socket.OPEN) return
    if (isBinary) return connection.close(closeCodes.policy, 'Only text messages are understood.')
    if (!countMessage()) return connection.close(closeCodes.policy, 'Too many messages.')
    last = last.then(() => take(data.toString())).catch(fail)
  })
  function fail(error: unknown): void {
    request.log.error({ err: error }, 'A WebSocket message failed')
    onError('internal')
    connection.close(closeCodes.failure, 'Something failed inside simpleIA.')
  }
  socket.on('pong', () => {
    alive = true
  })
  socket.once('close', handlers.closed)

  function ping(): void {
    if (!alive) {
      socket.terminate()
      return
    }
    alive = false
    socket.ping()
    isAllowed().catch(fail)
  }
  return { connection, ping, terminate: () => socket.terminate() }
}

function createConnection(socket: WebSocket, { bufferedBytes }: SocketLimits, onError: SocketsOptions['onError']): Connection {
  let work = 0
  let ending: Readonly<{ code: number; reason: string }> | undefined
  const close = (code: number, reason: string) => {
    if (socket.readyState === socket.OPEN) socket.close(code, reason)
  }
  const closeIfDone = () => {
    if (ending !== undefined && work === 0) close(ending.code, ending.reason)
  }
  async function send(message: object): Promise<void> {
    if (socket.readyState !== socket.OPEN) return
    const text = JSON.stringify(message)
    if (socket.bufferedAmount < bufferedBytes) return socket.send(text, () => undefined)
    await new Promise<void>((resolve) => socket.send(text, () => resolve()))
  }
  return {
    send,
    sendError(error, fields) {
      onError(error.code)
      return send({ type: 'error', ...fields, ...toErrorBody(error) })
    },
    close,
    work(change) {
      work += change
      closeIfDone()
    },
    closeWhenIdle(code, reason) {
      ending ??= { code, reason }
      closeIfDone()
    },
  }
}

/** False when more than `perSecond` messages came within one second. */
function createMessageCounter(perSecond: number, now: () => number): () => boolean {
  let windowStart = Number.NEGATIVE_INFINITY
  let count = 0
  return () => {
    if (now() - windowStart >= 1000) {
      windowStart = now()
      count = 0
    }
    count += 1
    return count <= perSecond
  }
}
