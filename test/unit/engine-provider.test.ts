import { describe, expect, test } from 'vitest'
import { noContextMemory, noWork } from '../../src/engine/engine-work.ts'
import { type Engine, openEngine } from '../../src/engine/local/engine-process.ts'
import { createLocalProvider } from '../../src/engine/local/local-provider.ts'
import type { GenerateRequest, ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeChild, createFakeEngine, createFakeModel, listed, roomForAll, type Script } from '../fake-engine.ts'

const loadOptions = {
  path: 'a',
  contextSize: undefined,
  cacheType: 'auto',
  maxParallel: 1,
  threads: 1,
  speculates: true,
  device: 'cpu',
} as const

const noPrompt = { prompt: [], stop: [], dropsFirstSpace: false }

const never = new AbortController().signal

/** Of the selected model, unless `model` names another. */
function ask(text: string, more: Partial<GenerateRequest> = {}): Omit<GenerateRequest, 'model'> & { model?: string } {
  const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined }
  const base = { maxTokens: 50, choices: 1, sampling, stop: [], user: 'ana' }
  return { prompt: { type: 'text', text }, ...base, ...more }
}

/** A provider over scripted processes that can be killed, and files that may be broken. */
function createWorld(answer: (prompt: string, model: string) => Script = (prompt, model) => ({ pieces: [`${model}:`, prompt] })) {
  const children: Array<ReturnType<typeof createFakeChild>> = []
  const deaths: string[] = []
  const held = new Map<string, { waits: boolean; go: () => void; readonly gone: Promise<void> }>()

  /** Keeps the next processes of a model from starting until `go`. */
  function hold(path: string) {
    const gone = Promise.withResolvers<void>()
    const one = { waits: false, go: gone.resolve, gone: gone.promise }
    held.set(path, one)
    return one
  }

  const host = createLocalProvider({
    openEngine: async ({ path }, signal): Promise<Engine> => {
      if (path === 'broken') throw new AppError('invalid', 'The file is not a whole model.')
      const slow = held.get(path)
      if (slow !== undefined) slow.waits = true
      await slow?.gone
      const child = createFakeChild({ answer: (prompt) => answer(prompt, path) })
      children.push(child)
      return openEngine(child, { ...loadOptions, path, maxParallel: 4 }, signal)
    },
    onDeath: (name, reason) => deaths.push(`${name}: ${reason}`),
    findModel: async (name) => ({ name, path: name, identity: name }),
    listModels: async () => ['a', 'b', 'broken'].map(listed),
    renderChat: async () => noPrompt,
    ...roomForAll,
    maxParallel: 4,
    maxQueue: 4,
  })
  return { host, children, deaths, hold }
}

/** As the rest of the service asks: first what would answer, then the answer. */
async function* generate(host: ModelHost, request: ReturnType<typeof ask>, signal = never) {
  const { name } = await host.choose(request.model)
  yield* host.generate({ ...request, model: name }, signal)
}

async function read(host: ModelHost, request: ReturnType<typeof ask>, signal = never): Promise<string> {
  let text = ''
  for await (const event of generate(host, request, signal)) if (event.type === 'text-delta') text += event.text
  return text
}

const endless = (): Script => ({ pieces: ['on '], end: false })

describe('without a model', () => {
  test('it says what to do', async () => {
    const { host } = createWorld()
    expect(host.status().state).toBe('empty')
    expect(host.selected()).toBeUndefined()
    await expect(host.choose(undefined)).rejects.toThrow(/POST \/model/)
    await expect(read(host, ask('x'))).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('a failed load tells why', async () => {
    const { host } = createWorld()
    await expect(host.select('broken')).rejects.toMatchObject({ code: 'invalid' })
    expect(host.status()).toMatchObject({ state: 'failed', reason: 'The file is not a whole model.' })
  })
})

test('a process that dies while it loads says so, with the likely cause', async () => {
  const child = createFakeChild({ answer: endless })
  const opening = openEngine(child, loadOptions)
  child.die('SIGKILL')
  await expect(opening).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('not enough memory') })
})

describe('switching', () => {
  test('the new model answers, and the process of the old one is gone', async () => {
    const { host, children } = createWorld()
    await host.select('a')
    expect(await read(host, ask('x'))).toBe('a:x')
    await host.select('b')
    expect(await read(host, ask('x'))).toBe('b:x')
    expect(children).toHaveLength(2)
    expect(host.selected()?.name).toBe('b')
  })

  test('a failed load leaves the old one answering', async () => {
    const { host } = createWorld()
    await host.select('a')
    await expect(host.select('broken')).rejects.toMatchObject({ code: 'invalid' })
    expect(await read(host, ask('x'))).toBe('a:x')
    expect(host.status().state).toBe('ready')
  })

  test('an answer under way ends on the old one', async () => {
    const { host } = createWorld(endless)
    await host.select('a')
    const events = generate(host, ask('x', { maxTokens: 30 }), never)[Symbol.asyncIterator]()
    await events.next()
    await host.select('b')
    let text = 0
    for (let event = await events.next(); event.done !== true; event = await events.next())
      if (event.value.type === 'text-delta') text += 1
    expect(text).toBe(29)
  })

  test('a request that waits meanwhile is answered by the model that was in use when it came', async () => {
    const { host, children } = createWorld((prompt, model) => (prompt === 'long' ? endless() : { pieces: [model] }))
    await host.select('a')
    const long = read(host, ask('long', { choices: 4, maxTokens: 40 }))
    const waiting = read(host, ask('short'))
    await host.select('b')
    const later = read(host, ask('short'))
    expect(await Promise.all([waiting, later])).toEqual(['a', 'b'])
    await long
    await expect.poll(() => children[0]?.isDead()).toBe(true)
  })

  test('two loads at once happen one after the other', async () => {
    const { host } = createWorld()
    await Promise.all([host.select('a'), host.select('b')])
    expect(host.selected()?.name).toBe('b')
  })
})

describe('a process that dies', () => {
  test('ends its answers with an error, and the next request is answered', async () => {
    const { host, children, deaths } = createWorld((prompt) => (prompt === 'long' ? endless() : { pieces: ['fine'] }))
    await host.select('a')
    const answers = generate(host, ask('long'), never)[Symbol.asyncIterator]()
    await answers.next()
    children[0]?.die('SIGKILL')
    await expect(
      (async () => {
        while ((await answers.next()).done !== true);
      })(),
    ).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('SIGKILL') })
    expect(host.selected()?.name).toBe('a')
    expect(await read(host, ask('short'))).toBe('fine')
    expect(host.status()).toMatchObject({ state: 'ready', active: 0, queued: 0 })
    // One that is put aside has not died.
    await host.select('b')
    expect(deaths).toEqual(['a: SIGKILL'])
  })

  test('again and again is given up, with the reason', async () => {
    const { host, children } = createWorld()
    await host.select('a')
    for (let death = 0; death < 4; death += 1) {
      children.at(-1)?.die('SIGSEGV')
      await expect.poll(() => children.length === death + 2 || host.status().state === 'failed').toBe(true)
    }
    expect(host.status()).toMatchObject({ state: 'failed', reason: expect.stringContaining('SIGSEGV') })
    await host.select('a')
    expect(await read(host, ask('x'))).toBe('a:x')
  })
})

describe('between two models', () => {
  const until = async (condition: () => boolean) => expect.poll(condition).toBe(true)

  test('a switch counts for more than a restart that ends after it', async () => {
    const world = createWorld()
    await world.host.select('a')
    const slow = world.hold('a')
    world.children[0]?.die('SIGKILL')
    await until(() => slow.waits)
    await world.host.select('b')
    expect(await read(world.host, ask('x'))).toBe('b:x')
    slow.go()
    await until(() => world.children.length === 3)
    await until(() => world.children[2]?.isDead() === true)
    expect(world.host.selected()?.name).toBe('b')
    expect(await read(world.host, ask('x'))).toBe('b:x')
  })

  test('a client that leaves while the process is started again gives its place back', async () => {
    const world = createWorld()
    await world.host.select('a')
    const slow = world.hold('a')
    world.children[0]?.die('SIGKILL')
    await until(() => slow.waits)
    const leaving = new AbortController()
    const answers = Array.from({ length: 5 }, () => read(world.host, ask('x'), leaving.signal))
    await until(() => world.host.status().queued === 1)
    leaving.abort()
    for (const answer of await Promise.allSettled(answers)) expect(answer).toMatchObject({ reason: { code: 'aborted' } })
    expect(world.host.status()).toMatchObject({ active: 0, queued: 0, state: 'loading' })
    slow.go()
    expect(await read(world.host, ask('x'))).toBe('a:x')
  })

  test('closing while a model loads leaves no process', async () => {
    const world = createWorld()
    await world.host.select('a')
    const slow = world.hold('b')
    const loading = expect(world.host.select('b')).rejects.toMatchObject({ code: 'aborted' })
    const next = expect(world.host.select('a')).rejects.toMatchObject({ code: 'aborted' })
    await until(() => slow.waits)
    const closing = world.host.close()
    slow.go()
    await Promise.all([closing, loading, next])
    await expect(world.host.select('a')).rejects.toMatchObject({ code: 'aborted' })
    expect(world.children.filter((child) => !child.isDead())).toEqual([])
  })
})

test('a process that has died refuses what is started on it', async () => {
  const child = createFakeChild({ answer: endless })
  const engine = await openEngine(child, loadOptions)
  child.die('SIGKILL')
  await engine.ended
  const options = { ...ask('x'), ...noPrompt, grammar: undefined, adapter: undefined, repeatable: true }
  const event = await new Promise((resolve) => {
    engine.start({ ...options, sampling: { ...options.sampling, seed: 1 } }, resolve)
  })
  expect(event).toMatchObject({ type: 'generation-error', code: 'unavailable' })
})

test('loading is given up at once when nobody wants it any more', async () => {
  const child = createFakeChild({ answer: endless })
  await expect(openEngine(child, loadOptions, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' })
  expect(child.isDead()).toBe(true)
})

test('a client that does not read keeps no place once its answer is made', async () => {
  const { host } = createWorld(endless)
  await host.select('a')
  const answers = Array.from({ length: 4 }, () => generate(host, ask('x', { maxTokens: 5 }), never)[Symbol.asyncIterator]())
  for (const events of answers) await events.next()
  await expect.poll(() => host.status().active).toBe(0)
  expect(await read(host, ask('y', { choices: 4, maxTokens: 1 }))).toBe('on on on on ')
  const rest = []
  for (const events of answers) for await (const event of { [Symbol.asyncIterator]: () => events }) rest.push(event.type)
  expect(rest.filter((type) => type === 'text-delta')).toHaveLength(16)
  expect(host.status()).toMatchObject({ active: 0, queued: 0 })
})

test('what the processes of a model have done stays counted when they end', async () => {
  const children: ReturnType<typeof createFakeChild>[] = []
  const options = { answer: () => ({ pieces: ['a', 'b', 'c'] }) }
  const host = createLocalProvider({
    async openEngine(_file, signal) {
      const child = createFakeChild(options)
      children.push(child)
      return openEngine(child, loadOptions, signal)
    },
    findModel: async (name) => ({ name, path: name, identity: name }),
    listModels: async () => [listed('a')],
    renderChat: async () => noPrompt,
    maxParallel: 1,
    maxQueue: 1,
    ...roomForAll,
  })
  await host.select('a')
  const work = () => host.status().models[0]?.work.tokens ?? 0
  const answer = async () => {
    for await (const _event of host.generate({ ...ask('x'), model: 'a' }, never));
  }
  await answer()
  const once = work()
  expect(once).toBeGreaterThan(2)
  children[0]?.die('SIGKILL')
  await expect.poll(() => host.status().models[0]?.isLoaded).toBe(false)
  expect(work()).toBe(once)
  await expect.poll(() => host.status().models[0]?.isLoaded).toBe(true)
  await answer()
  expect(work()).toBe(2 * once)
  await host.unload('a')
  expect(work()).toBe(2 * once)
  await host.close()
})

test('the times of an answer count from its arrival, and add up', async () => {
  let clock = 0
  const host = createLocalProvider({
    openEngine: async () => ({
      model: createFakeModel(),
      report: () => ({ residentBytes: 0, work: noWork, memory: noContextMemory }),
      loadAdapter: async () => {},
      countTokens: async () => 1,
      start(_options, listener) {
        const usage = { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0 }
        const timings = { promptMs: 5, firstTokenMs: 25, generationMs: 100, tokensPerSecond: 9 }
        listener({ type: 'generation-end', id: 1, usage, timings })
        return { cancel() {} }
      },
      close: async () => {},
      ended: new Promise(() => {}),
    }),
    findModel: async (name) => ({ name, path: name, identity: name }),
    listModels: async () => [],
    renderChat: async () => {
      clock += 300
      return noPrompt
    },
    ...roomForAll,
    maxParallel: 1,
    maxQueue: 1,
    clock: () => clock,
  })
  await host.select('a')
  const events = []
  for await (const event of generate(host, ask('', { prompt: { type: 'chat', messages: [] } }), never)) events.push(event)
  expect(events).toMatchObject([{ timings: { queueMs: 320, promptMs: 5, firstTokenMs: 325, generationMs: 100 } }])
})

test('a client that leaves gives its place back', async () => {
  const { host } = createWorld(endless)
  await host.select('a')
  for (let time = 0; time < 50; time += 1) {
    const leaving = new AbortController()
    const answers = generate(host, ask(`x${time}`, { choices: 4, maxTokens: undefined }), leaving.signal)[Symbol.asyncIterator]()
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
  await host.select('a')
  const answer = read(host, ask('x', { maxTokens: undefined }))
  const outcome = expect(answer).rejects.toMatchObject({ code: 'unavailable' })
  await expect.poll(() => host.status().active).toBe(1)
  await host.close()
  await outcome
  expect(host.status().state).toBe('empty')
})

test('the tokens of a prompt can be counted without an answer, also of a model that is not in memory', async () => {
  const { host } = createWorld()
  const prompt = { type: 'text', text: 'four' } as const
  expect(await host.countTokens({ model: 'a', prompt, user: 'ana' }, never)).toBe(4)
  await host.close()
})

describe('a request that cannot be answered', () => {
  const image = 'data:image/png;base64,AAAA'
  const seeing = { type: 'chat', messages: [{ role: 'user', content: 'What is it?', images: [image] }] } as const
  const format = { type: 'json-schema', schema: { type: 'nothing' }, field: 'response_format.json_schema.schema' } as const
  const biased = (logitBias: Record<string, number>) =>
    ask('x', { sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined, logitBias } })

  test('is refused at once: it takes no place in a full queue, and loads no model', async () => {
    const { host, children } = createWorld(endless)
    await host.select('a')
    const leaving = new AbortController()
    const long = Array.from({ length: 8 }, () => read(host, ask('x', { maxTokens: undefined }), leaving.signal).catch(() => {}))
    await expect.poll(() => host.status()).toMatchObject({ active: 4, queued: 4 })
    await expect(read(host, ask('x'))).rejects.toMatchObject({ code: 'busy' })
    for (const model of ['a', 'b']) {
      await expect(read(host, ask('x', { format, model }))).rejects.toMatchObject({
        code: 'invalid',
        details: [{ field: 'response_format.json_schema.schema/type' }],
      })
      await expect(read(host, ask('', { prompt: seeing, model }))).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringMatching(`^The model "${model}" does not see images: `),
        details: [{ field: 'messages' }],
      })
      await expect(read(host, { ...biased({ hello: 1 }), model })).rejects.toMatchObject({ code: 'invalid' })
    }
    await expect(read(host, biased({ 1000: 1 }))).rejects.toMatchObject({ code: 'invalid' })
    expect(children).toHaveLength(1)
    leaving.abort()
    await Promise.all(long)
  })

  test('because a bias is for no token of the model, is told the token and the size of the vocabulary', async () => {
    const { host } = createWorld()
    // It is not in memory, so its size is known only then.
    await expect(read(host, { ...biased({ 5: 1, 1000: 1 }), model: 'a' })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/"1000".*1000 tokens/),
      details: [{ field: 'logit_bias', got: '"1000"' }],
    })
    expect(host.status()).toMatchObject({ active: 0, queued: 0 })
    expect(await read(host, { ...biased({ 5: 1, 999: -100 }), model: 'a' })).toBe('a:x')
  })

  test('because it holds images, cannot be counted either', async () => {
    const { host } = createWorld()
    await expect(host.countTokens({ model: 'a', prompt: seeing, user: 'ana' }, never)).rejects.toMatchObject({ code: 'invalid' })
  })
})

describe('what a chat format asks for', () => {
  const chat = { stop: ['<turn>'], grammar: 'root ::= "1" "2"\n', grammarAfter: '!' }
  const answer = (prompt: string) => ({ pieces: prompt.includes('turn') ? ['a', '<turn>', 'b'] : ['a', '!', '1', '2', '3'] })
  const open = () => createFakeEngine({ answer, keepsToGrammars: true, chat })
  const say = (content: string) => ({ model: 'fake', prompt: { type: 'chat', messages: [{ role: 'user', content }] } }) as const

  test('comes before the format that the request asks for', async () => {
    const host = open()
    expect(await read(host, { ...ask(''), ...say('x'), format: { type: 'json-object' } })).toBe('a!12')
    await host.close()
  })

  test('and how it ends a turn is not told as a stop text, which those of the caller are', async () => {
    const host = open()
    const endsOf = async (stop: string[]) => {
      const ends = []
      for await (const event of generate(host, { ...ask(''), ...say('turn'), stop }))
        if (event.type === 'choice-end') ends.push(event)
      return ends
    }
    expect(await endsOf([])).toEqual([{ type: 'choice-end', index: 0, reason: 'stop' }])
    expect(await endsOf(['<tu'])).toEqual([{ type: 'choice-end', index: 0, reason: 'stop', stopText: '<tu' }])
    await host.close()
  })
})

test('log-probabilities come through with the text', async () => {
  const { host } = createWorld()
  await host.select('a')
  const tokens = []
  for await (const event of generate(host, ask('x', { logprobs: 1 }))) if (event.type === 'text-delta') tokens.push(event.tokens)
  expect(tokens).toMatchObject([[{ text: 'a:', top: [{ text: 'a:' }] }], [{ text: 'x' }]])
})
