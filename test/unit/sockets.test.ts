import { once } from 'node:events'
import { promisify } from 'node:util'
import websocket, { type WebSocket as WebSocketOfServer } from '@fastify/websocket'
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import WebSocket from 'ws'
import { AppError, type ErrorCode } from '../../src/errors.ts'
import {
  type Connection,
  createSockets,
  type SocketLimits,
  type Sockets,
  type SocketsOptions,
  socketLimits,
} from '../../src/http/websocket.ts'
import type { Predict } from '../../src/predict/predict.ts'
import { predictSocketRoutes } from '../../src/predict/websocket.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

type Options = Readonly<{ limits?: Partial<SocketLimits>; isStillValid?: SocketsOptions['isStillValid'] }>

/** Sockets of a service that has nothing else. */
async function listen(mount: (http: FastifyInstance, sockets: Sockets) => unknown, options: Options = {}) {
  const { limits = {}, isStillValid = async () => true } = options
  const errors: ErrorCode[] = []
  const onError = (code: ErrorCode) => errors.push(code)
  const common = { clientOf: () => 'somebody', isStillValid, onError, now: () => performance.now() }
  const sockets = createSockets({ limits: { ...socketLimits, ...limits }, ...common })
  const http = fastify()
  await http.register(websocket)
  await mount(http, sockets)
  onTestFinished(async () => {
    await sockets.close(0)
    await http.close()
  })
  const url = (await http.listen({ host: '127.0.0.1', port: 0 })).replace('http', 'ws')
  const connections = () => promisify(http.server.getConnections.bind(http.server))()
  return { sockets, errors, url, connections }
}

/** Sockets whose messages are answered by the test. */
function serve(answer: (connection: Connection, text: string) => Promise<void>, options: Options = {}) {
  return listen((http, sockets) => {
    const start = (connection: Connection) => ({ message: (text: string) => answer(connection, text), closed: () => {} })
    const wsHandler = (socket: WebSocketOfServer, request: FastifyRequest) => sockets.serve(socket, request, start)
    http.route({ method: 'GET', url: '/', handler: async () => 'no socket', wsHandler })
  }, options)
}

async function open(url: string): Promise<WebSocket> {
  const client = new WebSocket(url)
  onTestFinished(() => client.terminate())
  await once(client, 'open')
  return client
}

/** The code and the reason that it is closed with. */
async function closeOf(client: WebSocket): Promise<string> {
  const [code, reason] = await once(client, 'close')
  return `${code} ${reason}`
}

describe('a socket', () => {
  test('on which something fails is closed, and its other messages are not read', async () => {
    const read: string[] = []
    const { url, errors } = await serve(async (_connection, text) => {
      read.push(text)
      throw new Error('the disk is gone')
    })
    const client = await open(url)
    for (const text of ['one', 'two']) client.send(text)
    expect(await closeOf(client)).toBe('1011 Something failed inside simpleIA.')
    expect([read, errors]).toEqual([['one'], ['internal']])
  })

  test('is closed where it cannot be told whether its caller still may', async () => {
    const { url, errors } = await serve(async () => {}, {
      limits: { pingMs: 10 },
      isStillValid: async () => {
        throw new Error('the database is gone')
      },
    })
    expect(await closeOf(await open(url))).toMatch(/^1011 /)
    expect(errors[0]).toBe('internal')
  })

  test('with a slow reader makes its sender wait, and loses nothing', async () => {
    const most = 1000
    const text = 'x'.repeat(65_536)
    let sent = 0
    const { url } = await serve(async (connection) => {
      for (; sent < most; sent += 1) await connection.send({ text })
    })
    const client = await open(url)
    let received = 0
    client.on('message', () => {
      received += 1
    })
    client.pause()
    client.send('begin')
    let before = 0
    const stands = () => {
      const isSame = sent > 0 && sent === before
      before = sent
      return isSame
    }
    await expect.poll(stands, { interval: 50 }).toBe(true)
    expect(sent).toBeLessThan(most)
    client.resume()
    await expect.poll(() => received, { timeout: 10_000 }).toBe(most)
  })
})

describe('when the service ends', () => {
  test('a socket without work is closed at once, and one with work when that is done', async () => {
    const working = Promise.withResolvers<Connection>()
    const { url, sockets } = await serve(async (connection) => {
      connection.work(1)
      working.resolve(connection)
    })
    const [idle, busy] = [await open(url), await open(url)]
    busy.send('begin')
    const connection = await working.promise
    const told: string[] = []
    busy.on('message', (data) => told.push(String(data)))
    sockets.drain()
    expect(await closeOf(idle)).toBe('1001 The service is shutting down.')
    await connection.send({ still: 'here' })
    connection.work(-1)
    expect(await closeOf(busy)).toBe('1001 The service is shutting down.')
    expect(told).toEqual(['{"still":"here"}'])
  })

  test('a client that does not answer is cut after a while', async () => {
    const { url, sockets, connections } = await serve(async () => {})
    const [good, deaf] = [await open(url), await open(url)]
    deaf.pause()
    const start = performance.now()
    const ends = Promise.all([closeOf(good), sockets.close(100)])
    expect(await ends).toEqual(['1001 The service is shutting down.', undefined])
    expect(performance.now() - start).toBeGreaterThanOrEqual(100)
    await expect.poll(connections).toBe(0)
  })
})

describe('a request on a socket', () => {
  const asker = { key: 'somebody', authenticated: false, userId: undefined, keyId: undefined }

  /** What is asked of the model is noted, and fails. */
  function servePredict(countGeneration: () => Promise<void>, prepare: (http: FastifyInstance) => void = () => {}) {
    const asked: string[] = []
    const refuse = async (): Promise<never> => {
      asked.push('something')
      throw new AppError('unavailable', 'There is no model.')
    }
    const predict: Predict = { choose: refuse, open: refuse, complete: refuse, countTokens: refuse }
    const mount = async (http: FastifyInstance, sockets: Sockets) => {
      prepare(http)
      await http.register(predictSocketRoutes({ predict, sockets, askerOf: () => asker, countGeneration }))
    }
    return { asked, listening: listen(mount) }
  }

  test('of a client that leaves while it is counted is not begun', async () => {
    const counting = Promise.withResolvers<void>()
    const counted = Promise.withResolvers<void>()
    const { asked, listening } = servePredict(() => {
      counting.resolve()
      return counted.promise
    })
    const { url, sockets } = await listening
    const client = await open(`${url}/predict/ws`)
    client.send('{"prompt":"x"}')
    await counting.promise
    client.terminate()
    // It ends when all of its sockets have been seen to close.
    await sockets.close(10_000)
    counted.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    expect(asked).toEqual([])
  })

  test('that a validator refuses without a reason is refused', async () => {
    const { asked, listening } = servePredict(
      async () => {},
      (http) => http.setValidatorCompiler(() => () => false),
    )
    const client = await open(`${(await listening).url}/predict/ws`)
    client.send('{"prompt":"x","request_id":"a"}')
    const [data] = await once(client, 'message')
    expect(JSON.parse(String(data))).toMatchObject({ type: 'error', request_id: 'a', error: { code: 'invalid' } })
    expect(asked).toEqual([])
  })
})

test('a request that is no handshake is told what it must be', async () => {
  await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }) })
  const answer = await fetch(`${server.url}/predict/ws`)
  expect(answer.status).toBe(400)
  expect(await answer.text()).toContain('Upgrade: websocket')
})
