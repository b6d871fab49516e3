import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'

type Value = Readonly<{
  stringValue?: string
  intValue?: number | string
  doubleValue?: number
  boolValue?: boolean
  arrayValue?: Readonly<{ values: readonly Value[] }>
}>
type Attribute = Readonly<{ key: string; value: Value }>

/** A span as it came over the wire. */
export type ReceivedSpan = Readonly<{
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId?: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: readonly Attribute[]
  events?: readonly Readonly<{ name: string; attributes: readonly Attribute[] }>[]
  status?: Readonly<{ code?: number; message?: string }>
}>

type Body = Readonly<{
  resourceSpans: readonly Readonly<{
    resource: Readonly<{ attributes: readonly Attribute[] }>
    scopeSpans: readonly Readonly<{ spans: readonly ReceivedSpan[] }>[]
  }>[]
}>

/** A collector of traces on loopback: OTLP over HTTP with JSON, with TLS where it has a certificate. It remembers what came. */
export async function startReceiver(status = 200, certificate?: Readonly<{ key: Buffer; cert: Buffer }>) {
  const bodies: string[] = []
  const requests: Readonly<{ path: string; headers: Readonly<Record<string, unknown>> }>[] = []
  const receive: RequestListener = (request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      bodies.push(Buffer.concat(pieces).toString())
      requests.push({ path: request.url ?? '', headers: request.headers })
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
    })
  }
  const server = certificate === undefined ? createServer(receive) : createTlsServer(certificate, receive)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  const parsed = () => bodies.map((body): Body => JSON.parse(body))
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    text: () => bodies.join('\n'),
    resources: () =>
      parsed().flatMap(({ resourceSpans }) => resourceSpans.map(({ resource }) => readAttributes(resource.attributes))),
    spans: () =>
      parsed().flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function readAttributes(attributes: readonly Attribute[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, readValue(value)]))
}

function readValue({ stringValue, intValue, doubleValue, boolValue, arrayValue }: Value): unknown {
  if (arrayValue !== undefined) return arrayValue.values.map(readValue)
  return stringValue ?? doubleValue ?? boolValue ?? (intValue === undefined ? undefined : Number(intValue))
}
