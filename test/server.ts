import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import WebSocket, { type ClientOptions } from 'ws'
import { type App, type AppParts, createApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import type { ModelHost } from '../src/engine/provider.ts'
import type { ErrorBody } from '../src/http/error-reply.ts'
import { createSchemaCompilers } from '../src/http/schema-compilers.ts'
import type { PredictAnswer } from '../src/predict/schema.ts'
import { fakeEmbedders, fakeRerankers } from './fake-embedder.ts'
import { createFakeVectorIndex } from './fake-vector-index.ts'
import { databaseAt } from './postgres/database-at.ts'
import { joinEvents, type ParsedEvent, readEvents } from './sse-parser.ts'

/** What /predict answers, and every endpoint when it fails. */
export type Answer = PredictAnswer & ErrorBody

export async function bodyOf<T = Answer>(response: Response): Promise<T> {
  return JSON.parse(await response.text())
}

export type StartOptions = Omit<AppParts, 'embedders' | 'rerankers' | 'openVectorIndex'> &
  Partial<Pick<AppParts, 'embedders' | 'rerankers' | 'openVectorIndex'>> &
  Readonly<{
    /** Settings by the name of their variable; what is missing has its default, but limits are out of the way. */
    settings?: Readonly<Record<string, string>>
  }>

export type TestServer = Readonly<{
  app: App
  url: string
  port: number
  dataDir: string
  /** POST /predict as JSON. */
  predict(body: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>
  /** POST /predict with `stream`, read to its end. */
  stream(body: object, headers?: Record<string, string>): Promise<Readonly<{ text: string; end: ParsedEvent | undefined }>>
  socket(options?: ClientOptions, path?: string, protocols?: string[]): Promise<TestSocket>
  /** Registers a user and logs in; the first one is the admin. */
  login(username: string): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}>

const schemaCompilers = createSchemaCompilers()

/** The whole service on a free port of 127.0.0.1, with its data in a folder of its own that goes away afterwards. */
export async function startServer({ settings = {}, ...parts }: StartOptions): Promise<TestServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-test-'))
  const config = loadConfig({
    environment: {
      DATA_DIR: dataDir,
      MODELS_DIR: join(dataDir, 'models'),
      CONFIG_FILE: join(dataDir, 'config.json'),
      RATE_LIMIT_REQUESTS: '100000',
      LOG_LEVEL: 'silent',
      ...settings,
      DATABASE_URL: await databaseAt(settings.DATABASE_URL ?? join(settings.DATA_DIR ?? dataDir, 'simpleia.db')),
    },
  })
  await untilLoaded(parts.host)
  const fakes = { embedders: fakeEmbedders, rerankers: fakeRerankers, openVectorIndex: createFakeVectorIndex }
  const app = await createApp(config, { ...fakes, schemaCompilers, ...parts })
  const url = await app.http.listen({ host: '127.0.0.1', port: 0 })
  const post = (path: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    })
  return {
    app,
    url,
    port: Number(new URL(url).port),
    dataDir,
    predict: (body, headers, signal) => post('/predict', body, headers, signal),
    async stream(body, headers) {
      const events: ParsedEvent[] = []
      for await (const event of readEvents(await post('/predict', { ...body, stream: true }, headers))) events.push(event)
      return joinEvents(events)
    },
    socket: (options = {}, path = '/predict/ws', protocols = []) =>
      openSocket(`${url.replace('http', 'ws')}${path}`, options, protocols),
    async login(username) {
      const credentials = { username, password: `${username}-has-a-long-password` }
      await post('/auth/register', credentials)
      const session = await bodyOf<{ access_token: string }>(await post('/auth/login', credentials))
      return session.access_token
    },
    async [Symbol.asyncDispose]() {
      await app.close({ graceMs: 0 })
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** A scripted engine needs a few turns of the event loop to load. */
async function untilLoaded(host: ModelHost): Promise<void> {
  for (let turn = 0; turn < 1000 && host.status().state === 'loading'; turn += 1) await setImmediate()
}

export type SocketMessage = Readonly<Record<string, unknown>>

export type TestSocket = Readonly<{
  socket: WebSocket
  send(message: object | string): void
  /** The next message; undefined when the socket has closed. */
  next(): Promise<SocketMessage | undefined>
  /** All messages up to and with the first `done` or `error` (of this request, if named). */
  answer(requestId?: string): Promise<SocketMessage[]>
  /** The code that it was closed with. */
  closed: Promise<number>
  [Symbol.dispose](): void
}>

/** Opens a WebSocket; rejects with "Unexpected server response: 401" and the like. */
async function openSocket(url: string, options: ClientOptions, protocols: string[]): Promise<TestSocket> {
  const socket = new WebSocket(url, protocols, options)
  const received: SocketMessage[] = []
  const waiting: Array<(message: SocketMessage | undefined) => void> = []
  socket.on('message', (data) => {
    const message = JSON.parse(String(data))
    const reader = waiting.shift()
    if (reader === undefined) received.push(message)
    else reader(message)
  })
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  let isClosed = false
  socket.once('close', () => {
    isClosed = true
    for (const reader of waiting.splice(0)) reader(undefined)
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  socket.on('error', () => undefined)
  const next = () => {
    if (received.length > 0 || isClosed) return Promise.resolve(received.shift())
    return new Promise<SocketMessage | undefined>((resolve) => waiting.push(resolve))
  }
  return {
    socket,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    next,
    async answer(requestId) {
      const messages: SocketMessage[] = []
      for (;;) {
        const message = await next()
        if (message === undefined) return messages
        if (requestId !== undefined && message.request_id !== requestId) continue
        messages.push(message)
        if (message.type !== 'token') return messages
      }
    },
    closed,
    [Symbol.dispose]: () => socket.terminate(),
  }
}

/** The text of the token messages. */
export function joinTokens(messages: readonly SocketMessage[]): string {
  return messages.map(({ type, text }) => (type === 'token' ? String(text) : '')).join('')
}
