import { Agent, request } from 'node:http'
import { percentile } from '../statistics.ts'

export type Asked = Readonly<{ method: 'GET' | 'POST'; path: string; headers?: Readonly<Record<string, string>>; body?: unknown }>

export type Figures = Readonly<{ requests: number; perSecond: number; p50Ms: number; p95Ms: number }>

/** So many clients, each with a connection that stays open, ask one request after the other. Throws where one fails. */
export async function load(
  url: string,
  { clients, seconds, next }: Readonly<{ clients: number; seconds: number; next: (number: number) => Asked }>,
): Promise<Figures> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const times: number[] = []
  let number = 0
  const startedAt = performance.now()
  const endAt = startedAt + seconds * 1000
  async function run(): Promise<void> {
    while (performance.now() < endAt) {
      const askedAt = performance.now()
      number += 1
      await ask(agent, url, next(number))
      times.push(performance.now() - askedAt)
    }
  }
  try {
    await Promise.all(Array.from({ length: clients }, run))
  } finally {
    agent.destroy()
  }
  const took = (performance.now() - startedAt) / 1000
  return { requests: times.length, perSecond: times.length / took, p50Ms: percentile(times, 50), p95Ms: percentile(times, 95) }
}

/** Each of these once, so many at a time. */
export async function askAll(url: string, asked: readonly Asked[], atOnce: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce })
  const rest = asked.values()
  try {
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (const one of rest) await ask(agent, url, one)
      }),
    )
  } finally {
    agent.destroy()
  }
}

function ask(agent: Agent, url: string, { method, path, headers = {}, body }: Asked): Promise<void> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const content = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}${path}`, { agent, method, headers: { ...headers, ...content } }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (bytes: Buffer) => pieces.push(bytes))
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${Buffer.concat(pieces).toString().slice(0, 300)}`))
      })
    })
    outgoing.setTimeout(30_000, () => outgoing.destroy(new Error(`${method} ${path}: no answer for 30 s.`)))
    outgoing.on('error', reject)
    outgoing.end(text)
  })
}
