import http from 'node:http'
import https from 'node:https'
import { Socket } from 'node:net'

/** Connections that count what goes over them. */
export interface CountedConnections {
  open(protocol: string): http.Agent | https.Agent
  /** Bytes since the last call. */
  take(): Readonly<{ sent: number; received: number }>
  close(): void
}

/** A client of ours sends over them what it makes itself; with TLS the bytes are those of the connection. */
export function createCountedConnections(): CountedConnections {
  const opened: http.Agent[] = []
  const sockets = new Set<Socket>()
  const over = { sent: 0, received: 0 }
  let told = { sent: 0, received: 0 }

  function count(socket: Socket): void {
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      over.sent += socket.bytesWritten
      over.received += socket.bytesRead
    })
  }

  return {
    open(protocol) {
      const agent = protocol === 'https:' ? new CountingTlsAgent(count) : new CountingAgent(count)
      opened.push(agent)
      return agent
    },
    take() {
      const all = [...sockets]
      const sent = all.reduce((sum, socket) => sum + socket.bytesWritten, over.sent)
      const received = all.reduce((sum, socket) => sum + socket.bytesRead, over.received)
      const since = { sent: sent - told.sent, received: received - told.received }
      told = { sent, received }
      return since
    },
    close() {
      for (const agent of opened) agent.destroy()
    },
  }
}

const usual = { keepAlive: true, maxSockets: 2 }

class CountingAgent extends http.Agent {
  readonly #count: (socket: Socket) => void

  constructor(count: (socket: Socket) => void) {
    super(usual)
    this.#count = count
  }

  override createConnection(...given: Parameters<http.Agent['createConnection']>) {
    const socket = super.createConnection(...given)
    if (socket instanceof Socket) this.#count(socket)
    return socket
  }
}

class CountingTlsAgent extends https.Agent {
  readonly #count: (socket: Socket) => void

  constructor(count: (socket: Socket) => void) {
    super(usual)
    this.#count = count
  }

  override createConnection(...given: Parameters<https.Agent['createConnection']>) {
    const socket = super.createConnection(...given)
    if (socket instanceof Socket) this.#count(socket)
    return socket
  }
}
