import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Answered = Readonly<{ status?: number; headers?: Readonly<Record<string, string>>; body: string }>
export type AskedFor = Readonly<{ path: string; headers: IncomingHttpHeaders; body: string }>

/** A server that answers each request as told, for what a client does with an answer. `answers`: one after the other; the last again. */
export async function startAnswering(...answers: readonly Answered[]) {
  const asked: AskedFor[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { status = 200, headers = {}, body } = answers[asked.length] ?? answers.at(-1) ?? { body: '' }
      asked.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port }: AddressInfo = portOf(server.address())
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function portOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return address
}
