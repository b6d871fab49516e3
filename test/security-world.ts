import { request } from 'node:http'
import { onTestFinished } from 'vitest'
import { createFakeEngine, type Script } from './fake-engine.ts'
import { createFakeModel, embeddersOf } from './fake-models.ts'
import type { JsonSchema } from './json-sample.ts'
import { bodyOf, type StartOptions, startServer, type TestServer } from './server.ts'

export type Called = Readonly<{ status: number; headers: Headers; text: string; body: unknown }>
/** Sends JSON, and reads the answer to its end. */
export type Caller = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Called>

export type SecurityWorld = Readonly<{
  server: TestServer
  /** What the model was given to read. */
  prompts: readonly string[]
  /** Logs a user in; the first one is the admin. */
  as(username: string): Promise<Caller>
  nobody: Caller
  withToken(token: string): Caller
}>

/** The whole service over a scripted model, with words as vectors. */
export async function openSecurityWorld(
  options: Partial<StartOptions> & Readonly<{ says?: (prompt: string) => Script }> = {},
): Promise<SecurityWorld> {
  const { says = () => ({ pieces: ['ok'] }), ...rest } = options
  const prompts: string[] = []
  const host = createFakeEngine({
    answer: (prompt) => {
      prompts.push(prompt)
      return says(prompt)
    },
    contextSize: 8192,
  })
  const server = await startServer({ host, embedders: embeddersOf(createFakeModel()), ...rest })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const withToken = (token: string) => callerOf(server, { authorization: `Bearer ${token}` })
  return {
    ...{ server, prompts, withToken },
    as: async (username) => withToken(await server.login(username)),
    nobody: callerOf(server, {}),
  }
}

function callerOf({ url }: TestServer, own: Record<string, string>): Caller {
  return async (method, path, body, headers = {}) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await fetch(url + path, {
      method,
      headers: { ...json, ...own, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: parse(text) }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export type Sent = Readonly<{ status: number; headers: Readonly<Record<string, unknown>>; text: string }>

/** With the headers and the path as they stand: fetch does not let one choose Host, and tidies paths. */
export function sendRaw({ port }: TestServer, method: string, path: string, headers: Record<string, string> = {}, body = '') {
  return new Promise<Sent>((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method, path, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

export type Operation = Readonly<{
  method: string
  path: string
  summary: string | undefined
  query: Readonly<Record<string, JsonSchema>>
  /** Of JSON. */
  body: JsonSchema | undefined
}>
type Described = Readonly<{
  summary?: string
  parameters?: ReadonlyArray<Readonly<{ in: string; name: string; schema: JsonSchema }>>
  requestBody?: Readonly<{ content?: Readonly<Record<string, Readonly<{ schema?: JsonSchema }>>> }>
}>

/** Everything that the service says it can do. */
export async function readOperations({ url }: TestServer): Promise<readonly Operation[]> {
  const api = await bodyOf<{ paths: Record<string, Record<string, Described>> }>(await fetch(`${url}/openapi.json`))
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary, parameters = [], requestBody }]) => ({
      ...{ method: method.toUpperCase(), path, summary, body: requestBody?.content?.['application/json']?.schema },
      query: Object.fromEntries(parameters.filter((one) => one.in === 'query').map(({ name, schema }) => [name, schema])),
    })),
  )
}
