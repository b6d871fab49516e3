import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest, ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { startServer, type TestServer } from '../server.ts'

const piece: GenerateEvent = { type: 'text-delta', index: 0, text: 'a' }
const messages = [{ role: 'user', content: 'x' }]
const model = 'scripted'

/** Every way to a stream, by where it is asked for. */
const streams: ReadonlyArray<readonly [path: string, body: object]> = [
  ['/predict', { prompt: 'x', stream: true }],
  ['/v1/chat/completions', { model, messages, stream: true }],
  ['/v1/completions', { model, prompt: 'x', stream: true }],
  ['/v1/completions', { model, prompt: ['x', 'y'], stream: true }],
  ['/v1/responses', { model, input: 'x', stream: true }],
  ['/v1/messages', { model, max_tokens: 5, messages, stream: true }],
  ['/api/chat', { model, messages }],
  ['/api/generate', { model, prompt: 'x' }],
  ['/rag/query', { question: 'When does it open?', threshold: -1, stream: true }],
]
/** Those that tell in headers where the answer comes from. */
const withHeaders = streams.filter(([path]) => path.startsWith('/v1') || path.startsWith('/api'))

type Generate = (request: GenerateRequest, signal: AbortSignal) => AsyncGenerator<GenerateEvent>

/** What the model of the service does, for one test each. */
const usual = { generate: (() => endless()) satisfies Generate, countTokens: async () => 1, ranOn: 'local' } as const
type Behaviour = { generate: Generate; countTokens: ModelHost['countTokens']; ranOn: ModelHost['ranOn'] }
let behaviour: Behaviour = usual
let open = 0

const host: ModelHost = {
  ...createScriptedHost(() => []),
  get ranOn() {
    return behaviour.ranOn
  },
  async *generate(request, signal) {
    open += 1
    try {
      yield* behaviour.generate(request, signal)
    } finally {
      open -= 1
    }
  },
  countTokens: (request, signal) => behaviour.countTokens(request, signal),
}

let server: TestServer
let authorization = ''
beforeAll(async () => {
  server = await startServer({ host })
  authorization = `Bearer ${await server.login('ana')}`
  await (await post('/embed/add', { documents: ['The museum opens at ten.'] })).text()
})
afterAll(() => server[Symbol.asyncDispose]())

function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  })
}

function behave(change: Partial<Behaviour>): void {
  behaviour = { ...usual, ...change }
}

async function untilFree(): Promise<void> {
  await expect.poll(() => open, { timeout: 1000 }).toBe(0)
}

async function* endless(): AsyncGenerator<GenerateEvent> {
  for (;;) {
    await setImmediate()
    yield piece
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

/** Asks, and leaves when this has happened. */
async function leaveAfter(happened: Promise<void>, path: string, body: object): Promise<void> {
  const gone = new AbortController()
  const answer = post(path, body, gone.signal).catch(() => undefined)
  await happened
  gone.abort()
  await answer
}

describe.each(streams)('who leaves %s %o', (path, body) => {
  test('before the first piece frees the model', async () => {
    const begun = Promise.withResolvers<void>()
    behave({
      async *generate(_request, signal) {
        begun.resolve()
        await untilAborted(signal)
        yield* []
        throw new AppError('aborted', 'The caller left.')
      },
    })
    await leaveAfter(begun.promise, path, body)
    await untilFree()
  })

  test('when the first piece is there and nobody has read it frees the model', async () => {
    const begun = Promise.withResolvers<void>()
    behave({
      async *generate(_request, signal) {
        begun.resolve()
        await untilAborted(signal)
        // It looks at no signal further: its answer goes on until its reader leaves.
        yield* endless()
      },
    })
    await leaveAfter(begun.promise, path, body)
    await untilFree()
  })

  test('while its answer is written frees the model', async () => {
    behave({})
    const gone = new AbortController()
    const answer = await post(path, body, gone.signal)
    await answer.body?.getReader().read()
    expect(open).toBe(1)
    gone.abort()
    await untilFree()
  })
})

test('who leaves a message while its prompt is still counted frees the model', async () => {
  const begun = Promise.withResolvers<void>()
  behave({
    async countTokens() {
      await expect.poll(() => open).toBe(1)
      // The first piece is read in the turns that follow.
      for (let turn = 0; turn < 20; turn += 1) await setImmediate()
      begun.resolve()
      return new Promise(() => {})
    },
  })
  await leaveAfter(begun.promise, '/v1/messages', { model, max_tokens: 5, messages, stream: true })
  await untilFree()
})

test.each(withHeaders)('an answer of %s %o whose headers cannot be written frees the model', async (path, body) => {
  // What no header may hold; a type holds nobody at run time.
  behave({ ranOn: JSON.parse('"lo\\ncal"') })
  const answer = await post(path, body)
  expect(answer.status).toBe(500)
  await answer.text()
  await untilFree()
})

test.each(withHeaders)('a name that is no text is refused by %s %o, whole and streamed', async (path, body) => {
  behave({})
  for (const stream of [true, false]) {
    const answer = await post(path, { ...body, model: 'scripted/\ud800', stream })
    expect(answer.status).toBe(400)
    expect(await answer.text()).toContain('half a surrogate pair')
  }
  expect(open).toBe(0)
})
