import { describe, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine/local/engine-process.ts'
import { createLocalProvider } from '../../src/engine/local/local-provider.ts'
import type { GenerateRequest, ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeChild, type Script } from '../fake-engine.ts'

const never = new AbortController().signal

function ask(text: string, more: Partial<GenerateRequest> = {}): GenerateRequest {
  const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined }
  const base = { maxTokens: 50, choices: 1, sampling, stop: [], grammar: undefined, user: 'ana' }
  return { prompt: { type: 'text', text }, ...base, ...more }
}

/** A provider over scripted processes that can be killed, and files that may be broken. */
function createWorld(answer: (prompt: string, model: string) => Script = (prompt, model) => ({ pieces: [`${model}:`, prompt] })) {
  const children: Array<ReturnType<typeof createFakeChild>> = []
  const host = createLocalProvider({
    openEngine: async (path, signal): Promise<Engine> => {
      if (path === 'broken') throw new AppError('invalid', 'The file is not a whole model.')
      const child = createFakeChild({ answer: (prompt) => answer(prompt, path) })
      children.push(child)
      return openEngine(child, { path, contextSize: undefined, maxParallel: 4, threads: 1, device: 'cpu' }, signal)
    },
    findModel: async (name) => ({ name, path: name, identity: name }),
    listModels: async () => ['a', 'b', 'broken'],
    renderChat: async () => [],
    chatStops: () => [],
    maxParallel: 4,
    maxQueue: 4,
    now: () => performance.now(),
  })
  return { host, children }
}

async function read(host: ModelHost, request: GenerateRequest, signal = never): Promise<string> {
  let text = ''
  for await (const event of host.generate(request, signal)) if (event.type === 'text-delta') text += event.text
  return text
}

const endless = (): Script => ({ pieces: ['on '], end: false })

describe('without a model', () => {
  test('it says what to do', async () => {
    const { host } = createWorld()
    expect(host.status().state).toBe('empty')
    expect(() => host.model()).toThrow(/POST \/model/)
    await expect(read(host, ask('x'))).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('a failed load tells why', async () => {
    const { host } = createWorld()
    await expect(host.load('broken')).rejects.toMatchObject({ code: 'invalid' })
    expect(host.status()).toMatchObject({ state: 'failed', reason: 'The file is not a whole model.' })
  })
})

test('a process that dies while it loads says so, with the likely cause', async () => {
  const child = createFakeChild({ answer: endless })
  const opening = openEngine(child, { path: 'a', contextSize: undefined, maxParallel: 1, threads: 1, device: 'cpu' })
  child.die('SIGKILL')
  await expect(opening).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('not enough memory') })
})

describe('switching', () => {
  test('the new model answers, and the process of the old one is gone', async () => {
    const { host, children } = createWorld()
    await host.load('a')
    expect(await read(host, ask('x'))).toBe('a:x')
    await host.load('b')
    expect(await read(host, ask('x'))).toBe('b:x')
    expect(children).toHaveLength(2)
    expect(host.model().name).toBe('b')
  })

  test('a failed load leaves the old one answering', async () => {
    const { host } = createWorld()
    await host.load('a')
    await expect(host.load('broken')).rejects.toMatchObject({ code: 'invalid' })
    expect(await read(host, ask('x'))).toBe('a:x')
    expect(host.status().state).toBe('ready')
  })

  test('an answer under way ends on the old one', async () => {
    const { host } = createWorld(endless)
    await host.load('a')
    const events = host.generate(ask('x', { maxTokens: 30 }), never)[Symbol.asyncIterator]()
    await events.next()
    await host.load('b')
    let text = 0
    for (let event = await events.next(); event.done !== true; event = await events.next())
      if (event.value.type === 'text-delta') text += 1
    expect(text).toBe(29)
  })

  test('two loads at once happen one after the other', async () => {
    const { host } = createWorld()
    await Promise.all([host.load('a'), host.load('b')])
    expect(host.model().name).toBe('b')
  })
})

describe('a process that dies', () => {
  test('ends its answers with an error, and the next request is answered', async () => {
    const { host, children } = createWorld((prompt) => (prompt === 'long' ? endless() : { pieces: ['fine'] }))
    await host.load('a')
    const answers = host.generate(ask('long'), never)[Symbol.asyncIterator]()
    await answers.next()
    children[0]?.die('SIGKILL')
    await expect(
      (async () => {
        while ((await answers.next()).done !== true);
      })(),
    ).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('SIGKILL') })
    expect(host.model().name).toBe('a')
    expect(await read(host, ask('short'))).toBe('fine')
    expect(host.status()).toMatchObject({ state: 'ready', active: 0, queued: 0 })
  })

  test('again and again is given up, with the reason', async () => {
    const { host, children } = createWorld()
    await host.load('a')
    for (let death = 0; death < 4; death += 1) {
      children.at(-1)?.die('SIGSEGV')
      await expect.poll(() => children.length === death + 2 || host.status().state === 'failed').toBe(true)
    }
    expect(host.status()).toMatchObject({ state: 'failed', reason: expect.stringContaining('SIGSEGV') })
    await host.load('a')
    expect(await read(host, ask('x'))).toBe('a:x')
  })
})

test('a client that leaves gives its place back', async () => {
  const { host } = createWorld(endless)
  await host.load('a')
  for (let time = 0; time < 50; time += 1) {
    const leaving = new AbortController()
    const answers = host.generate(ask(`x${time}`, { choices: 4, maxTokens: undefined }), leaving.signal)[Symbol.asyncIterator]()
    await answers.next()
    leaving.abort()
    await expect(
      (async () => {
        while ((await answers.next()).done !== true);
      })(),
    ).rejects.toMatchObject({ code: 'aborted' })
  }
  expect(host.status()).toMatchObject({ active: 0, queued: 0 })
  expect(await read(host, ask('y', { maxTokens: 2 }))).toBe('on on ')
})

test('closing ends the processes', async () => {
  const { host } = createWorld(endless)
  await host.load('a')
  const answer = read(host, ask('x', { maxTokens: undefined }))
  const outcome = expect(answer).rejects.toMatchObject({ code: 'unavailable' })
  await expect.poll(() => host.status().active).toBe(1)
  await host.close()
  await outcome
  expect(host.status().state).toBe('empty')
})
