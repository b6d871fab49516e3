import { Agent, request } from 'node:http'

/** Some bytes of an answer, and how many ms after the origin they came. */
export type Arrival = Readonly<{ atMs: number; bytes: Buffer }>
export type Reply = Readonly<{ status: number; arrivals: readonly Arrival[]; endMs: number }>

/** A request without any news for so long has failed. */
const silenceLimitMs = 300_000
// A connection for each request, as clients of their own have.
const agent = new Agent({ keepAlive: false })

/**
 * Sends JSON and only notes what arrives when: the client shares the machine with the server, so it reads nothing before the end.
 * `originMs` is a reading of `performance.now()`.
 */
export function post(url: URL, body: string, originMs: number): Promise<Reply> {
  const sinceOrigin = () => performance.now() - originMs
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const outgoing = request(url, { agent, method: 'POST', headers }, (response) => {
      const arrivals: Arrival[] = []
      response.on('data', (bytes: Buffer) => arrivals.push({ atMs: sinceOrigin(), bytes }))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, arrivals, endMs: sinceOrigin() }))
      response.on('error', reject)
    })
    outgoing.setTimeout(silenceLimitMs, () => outgoing.destroy(new Error(`No news from ${url} for ${silenceLimitMs / 1000} s.`)))
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** The text of a whole reply. */
export function textOf({ arrivals }: Reply): string {
  return Buffer.concat(arrivals.map(({ bytes }) => bytes)).toString('utf8')
}

/** The pieces of a stream that end with `separator`, each with the time at which it was whole. */
export function* splitStream(
  arrivals: readonly Arrival[],
  separator: string,
): Generator<Readonly<{ atMs: number; text: string }>> {
  const decoder = new TextDecoder()
  let rest = ''
  for (const { atMs, bytes } of arrivals) {
    const pieces = (rest + decoder.decode(bytes, { stream: true })).split(separator)
    rest = pieces.pop() ?? ''
    for (const text of pieces) if (text !== '') yield { atMs, text }
  }
}
