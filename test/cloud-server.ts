import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type SeenRequest = Readonly<{
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: unknown
  /** Resolves when the connection is gone. */
  closed: Promise<unknown>
}>

export type Script = (response: ServerResponse) => void

export interface CloudServer {
  /** Without a path. */
  readonly url: string
  readonly requests: readonly SeenRequest[]
  /** What the next requests are answered with; the last one again and again. */
  answer(...scripts: Script[]): void
  /** The request with this number, from 0, once it has come. */
  request(number: number): Promise<SeenRequest>
  close(): Promise<void>
}

/** A server on loopback that answers as it is told. */
export async function startCloudServer(...first: Script[]): Promise<CloudServer> {
  let scripts = first
  const requests: SeenRequest[] = []
  const arrivals = new EventTarget()
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const { method = '', url = '', headers } = incoming
    requests.push({
      method,
      path: url,
      headers,
      body: text === '' ? undefined : JSON.parse(text),
      closed: once(response, 'close'),
    })
    arrivals.dispatchEvent(new Event('request'))
    const [script] = scripts
    if (scripts.length > 1) scripts = scripts.slice(1)
    script?.(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = addressOf(server.address())
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    answer(...next) {
      scripts = next
    },
    async request(number) {
      for (;;) {
        const seen = requests[number]
        if (seen !== undefined) return seen
        await new Promise((resolve) => arrivals.addEventListener('request', resolve, { once: true }))
      }
    },
    async close() {
      server.closeAllConnections()
      if (server.listening) {
        server.close()
        await once(server, 'close')
      }
    },
  }
}

function addressOf(address: string | AddressInfo | null): AddressInfo {
  if (address === null || typeof address === 'string') throw new Error('The server listens nowhere.')
  return address
}

const eventStream = { 'content-type': 'text/event-stream; charset=utf-8' }

/** A whole stream. */
export const streams =
  (text: string): Script =>
  (response) =>
    response.writeHead(200, eventStream).end(text)

/** The beginning of a stream, and then silence. */
export const beginsWith =
  (text: string): Script =>
  (response) =>
    response.writeHead(200, eventStream).write(text)

/** The beginning of a stream, and then the connection is torn. */
export const tearsAfter =
  (text: string): Script =>
  (response) =>
    response.writeHead(200, eventStream).write(text, () => setImmediate(() => response.destroy()))

/** No answer at all. */
export const isSilent: Script = () => {}

/** No answer, and the connection is torn. */
export const tears: Script = (response) => response.destroy()

export const refuses =
  (status: number, body: unknown, headers: Record<string, string> = {}): Script =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

export const says =
  (status: number, type: string, text: string): Script =>
  (response) =>
    response.writeHead(status, { 'content-type': type }).end(text)
