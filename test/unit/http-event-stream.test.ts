import { once } from 'node:events'
import { createServer, get, IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import fc from 'fast-check'
import { fastify } from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { clientGone, createTextFormatter, formatEvent, sendEventStream, withHeartbeats } from '../../src/http/event-stream.ts'
import { joinEvents, parseEventStream } from '../sse-parser.ts'

const normalized = (text: string) => text.replace(/\r\n|\r/g, '\n')
const linesAndWords = fc.string({
  unit: fc.constantFrom('\r', '\n', '\r\n', ' ', ':', 'data: ', 'é', '😀', '\u2028', 'a', '\u0000'),
})

describe('an event', () => {
  test('keeps its text through a conforming reader, with \\n for each line break', () => {
    fc.assert(
      fc.property(linesAndWords, (text) => {
        expect(parseEventStream(formatEvent(text, 'done'))).toEqual([{ event: 'done', data: normalized(text) }])
      }),
    )
  })

  test('keeps leading and trailing spaces', () => {
    expect(parseEventStream(formatEvent('  two '))).toEqual([{ event: 'message', data: '  two ' }])
  })
})

describe('the pieces of a text', () => {
  test('join to the text with \\n for each line break, wherever they are cut', () => {
    fc.assert(
      fc.property(fc.array(linesAndWords), (pieces) => {
        const format = createTextFormatter()
        const { text } = joinEvents(parseEventStream(pieces.map(format).join('')))
        expect(text).toBe(normalized(pieces.join('')))
      }),
    )
  })

  test('a \\r\\n that is cut in two is one line break', () => {
    const format = createTextFormatter()
    expect(['a\r', '', '\nb', '\n'].map(format)).toEqual(['data: a\ndata: \n\n', '', 'data: b\n\n', 'data: \ndata: \n\n'])
  })
})

describe('a caller', () => {
  test('who got the whole answer is not one who left', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const answered = once(server, 'request').then(async ([, raw]) => {
      const gone = clientGone({ raw })
      const closed = once(raw, 'close')
      raw.end('all of it')
      await closed
      return gone.aborted
    })
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('all of it')
    expect(await answered).toBe(false)
    server.close()
  })

  test('who left before anybody looked is one who left', async () => {
    const raw = new ServerResponse(new IncomingMessage(new Socket()))
    raw.destroy()
    expect(clientGone({ raw }).aborted).toBe(true)
  })
})

describe('a stream', () => {
  const longFrame = formatEvent('x'.repeat(65_536))
  const mostFrames = 1000

  /** Sends more than the system keeps for a reader, unless it fails before. */
  async function serveFrames(failAt = mostFrames) {
    const seen: { frames: number; hasEnded: boolean; raw?: ServerResponse; failure?: string } = { frames: 0, hasEnded: false }
    async function* frames() {
      try {
        for (; seen.frames < failAt; seen.frames += 1) yield longFrame
        if (failAt < mostFrames) throw new Error('The model is gone.')
      } finally {
        seen.hasEnded = true
      }
    }
    const http = fastify()
    http.decorateReply('failure', undefined)
    http.get('/', async (_request, reply) => {
      seen.raw = reply.raw
      const toAppError = (error: unknown) => new AppError('internal', String(error))
      const formatFailure = ({ message }: AppError) => formatEvent(message, 'error')
      await sendEventStream(reply, { frames: frames(), gone: clientGone(reply), toAppError, formatFailure })
      if (reply.failure !== undefined) seen.failure = reply.failure.message
      return reply
    })
    onTestFinished(() => http.close())
    const url = await http.listen({ host: '127.0.0.1', port: 0 })
    const [answer] = await once(get(url), 'response')
    return { seen, answer }
  }

  /** Nothing more is asked of the source, and there is no room to write. */
  async function untilItWaits(seen: Readonly<{ frames: number; raw?: ServerResponse }>): Promise<void> {
    let before = -1
    const stands = () => {
      const isSame = seen.frames === before
      before = seen.frames
      return isSame && seen.raw?.writableNeedDrain
    }
    await expect.poll(stands, { interval: 50 }).toBe(true)
  }

  test('waits for a slow reader, and then sends it all', async () => {
    const { seen, answer } = await serveFrames()
    await untilItWaits(seen)
    expect(seen.frames).toBeLessThan(mostFrames)
    let bytes = 0
    for await (const chunk of answer) bytes += chunk.length
    expect(bytes).toBe(mostFrames * longFrame.length)
    expect(seen).toMatchObject({ frames: mostFrames, hasEnded: true })
  })

  test('ends where its reader leaves while it waits', async () => {
    const { seen, answer } = await serveFrames()
    await untilItWaits(seen)
    answer.destroy()
    await expect.poll(() => seen.hasEnded).toBe(true)
    expect(seen.frames).toBeLessThan(mostFrames)
  })

  test('that fails on its way ends with the failure, which is kept for the log', async () => {
    const { seen, answer } = await serveFrames(2)
    const text = (await answer.toArray()).join('')
    expect(parseEventStream(text).map(({ event }) => event)).toEqual(['message', 'message', 'error'])
    expect(seen.failure).toContain('The model is gone.')
  })
})

describe('a stream that is silent for long', () => {
  /** Silence is over when the test says so. */
  function createSilence() {
    const silences: Array<() => void> = []
    const wait = (signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        silences.push(resolve)
        signal.addEventListener('abort', () => reject(new Error('The wait was given up.')))
      })
    return { wait, silences }
  }

  test('has a heartbeat, which readers skip, and loses nothing', async () => {
    const { wait, silences } = createSilence()
    const slow = Promise.withResolvers<string>()
    async function* frames() {
      yield formatEvent('one')
      yield await slow.promise
    }
    const stream = withHeartbeats(frames(), wait)
    const got = [await stream.next()]
    for (let beat = 0; beat < 2; beat += 1) {
      const next = stream.next()
      silences.at(-1)?.()
      got.push(await next)
    }
    slow.resolve(formatEvent('two'))
    for await (const frame of stream) got.push({ value: frame, done: false })
    const text = got.map(({ value }) => value).join('')
    expect(text.match(/^: /gm)).toHaveLength(2)
    expect(parseEventStream(text).map(({ data }) => data)).toEqual(['one', 'two'])
  })

  test('repeats what its format has no comment for', async () => {
    const { wait, silences } = createSilence()
    async function* frames() {
      yield '{"status":"checking"}\n'
      await new Promise(() => {})
    }
    const stream = withHeartbeats(frames(), wait, () => '{"status":"still"}\n')
    await stream.next()
    const next = stream.next()
    silences.at(-1)?.()
    expect((await next).value).toBe('{"status":"still"}\n')
  })

  test('fails as its source fails, and ends it when its reader stops', async () => {
    const { wait } = createSilence()
    let ended = false
    async function* frames() {
      try {
        yield formatEvent('one')
        throw new Error('The model is gone.')
      } finally {
        ended = true
      }
    }
    const failing = withHeartbeats(frames(), wait)
    await failing.next()
    await expect(failing.next()).rejects.toThrow('The model is gone.')
    ended = false
    for await (const _ of withHeartbeats(frames(), wait)) break
    expect(ended).toBe(true)
  })
})
