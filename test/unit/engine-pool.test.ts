import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openEngine } from '../../src/engine/local/engine-process.ts'
import { createLocalProvider, type LocalProviderParts } from '../../src/engine/local/local-provider.ts'
import type { GenerateRequest, ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeChild, listed, roomForAll, type Script } from '../fake-engine.ts'

const loadOptions = {
  contextSize: undefined,
  cacheType: 'auto',
  maxParallel: 4,
  threads: 1,
  speculates: true,
  device: 'cpu',
} as const

const never = new AbortController().signal
const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined }

function ask(model: string, text = 'x', maxTokens = 50): GenerateRequest {
  const base = { maxTokens, choices: 1, sampling, stop: [], user: 'ana' }
  return { model, prompt: { type: 'text', text }, ...base }
}

/** Models of one unit of memory each (a, b, c, broken) and one of nine (huge), in a budget of `room` units. */
function createWorld({ room = 2, ...more }: Partial<LocalProviderParts> & { room?: number } = {}) {
  const running = new Set<string>()
  const opened: string[] = []
  const versions = new Map<string, number>()
  let most = 0
  let clock = 0
  const inMemory: Array<readonly string[]> = []
  const host = createLocalProvider({
    ...roomForAll,
    async openEngine({ path }, signal) {
      opened.push(path)
      if (path === 'broken') throw new AppError('invalid', 'The file is not a whole model.')
      const answer = (prompt: string): Script =>
        prompt === 'long' ? { pieces: ['on '], end: false } : { pieces: [`${path}:`, prompt] }
      const child = createFakeChild({ answer })
      running.add(path)
      most = Math.max(most, running.size)
      const engine = await openEngine(child, { ...loadOptions, path }, signal)
      void engine.ended.then(() => running.delete(path))
      return engine
    },
    findModel: async (name) => {
      const [base = '', adapter] = name.split('+')
      if (base === 'nothing') throw new AppError('not_found', `No model is called "${name}".`)
      const file = { name: base, path: base, identity: `${base} ${versions.get(base) ?? 1}` }
      return adapter === undefined ? file : { ...file, adapter: { name: adapter, path: adapter, identity: adapter } }
    },
    listModels: async () => ['a', 'b', 'broken', 'c'].map(listed),
    renderChat: async () => ({ prompt: [], stop: [], dropsFirstSpace: false }),
    estimateBytes: async ({ name }) => (name === 'huge' ? 9 : 1),
    budgetBytes: room,
    adviseOn: async () => 'Quantized to Q2_K it would take less.',
    now: () => {
      clock += 1
      return clock
    },
    maxParallel: 4,
    maxQueue: 4,
    onChange: (names) => inMemory.push(names),
    ...more,
  })
  return { host, running, opened, versions, inMemory, most: () => most }
}

async function read(host: ModelHost, request: GenerateRequest, signal = never): Promise<string> {
  let text = ''
  for await (const event of host.generate(request, signal)) if (event.type === 'text-delta') text += event.text
  return text
}

/** An answer that goes on until it is left. */
async function begin(host: ModelHost, model: string, signal = never) {
  const events = host.generate(ask(model, 'long', 1000), signal)[Symbol.asyncIterator]()
  await events.next()
  return { leave: async () => void (await events.return?.(undefined)), next: () => events.next() }
}

const stateOf = async (host: ModelHost, name: string) => (await host.list()).find((model) => model.name === name)?.state

test('tells what models may take, and what those in memory do', async () => {
  const { host } = createWorld({ room: 3 })
  expect(host.memory()).toEqual({ budgetBytes: 3, usedBytes: 0 })
  await host.load('a')
  await host.load('b+tuned')
  expect(host.memory()).toEqual({ budgetBytes: 3, usedBytes: expect.any(Number) })
  const listed = await host.list()
  expect(host.memory().usedBytes).toBe(listed.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0))
  expect(host.memory().usedBytes).toBeGreaterThan(0)
})

describe('models that are asked for by name', () => {
  test('are loaded when they are needed, and each gives its own answer', async () => {
    const { host, opened } = createWorld({ room: 3 })
    const answers = await Promise.all(['a', 'b', 'c', 'a', 'b', 'c'].map((name) => read(host, ask(name))))
    expect(answers).toEqual(['a:x', 'b:x', 'c:x', 'a:x', 'b:x', 'c:x'])
    expect(opened.toSorted()).toEqual(['a', 'b', 'c'])
  })

  test('have one load for all who wait for it', async () => {
    const { host, opened } = createWorld()
    expect(await Promise.all(Array.from({ length: 8 }, () => read(host, ask('a'))))).toEqual(Array(8).fill('a:x'))
    expect(opened).toEqual(['a'])
  })

  test('make room for each other: the one that was unused for longest goes', async () => {
    const { host, running, most } = createWorld({ room: 2 })
    for (const name of ['a', 'b', 'a', 'c']) await read(host, ask(name))
    expect([...running].sort()).toEqual(['a', 'c'])
    expect(await stateOf(host, 'b')).toBe('unloaded')
    expect(most()).toBe(2)
  })

  test('and by a clock that was put back it is still the one that was unused for longest', async () => {
    let ms = 1_000_000
    const back = () => {
      ms -= 1000
      return ms
    }
    const { host, running } = createWorld({ room: 2, now: back })
    for (const name of ['a', 'b', 'a', 'c']) await read(host, ask(name))
    expect([...running].sort()).toEqual(['a', 'c'])
  })

  test('never push out one that is answering: they wait for its end', async () => {
    const { host, running } = createWorld({ room: 1 })
    const long = await begin(host, 'a')
    const waiting = read(host, ask('b'))
    const later = read(host, ask('a', 'later'))
    await long.next()
    expect([...running]).toEqual(['a'])
    expect([await stateOf(host, 'a'), await stateOf(host, 'b')]).toEqual(['ready', 'loading'])
    await long.leave()
    expect(await waiting).toBe('b:x')
    expect(await later).toBe('a:later')
  })

  test('that are too large are refused with the numbers and what would fit, and the others stay', async () => {
    const { host, running } = createWorld({ room: 2 })
    await read(host, ask('a'))
    await expect(read(host, ask('huge'))).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/"huge" needs about .* GB .* \(MEMORY_BUDGET\)\. Quantized to Q2_K/),
    })
    expect([...running]).toEqual(['a'])
    expect(await read(host, ask('a'))).toBe('a:x')
  })

  test('that cannot be loaded leave the others usable, and are tried again only when their file has changed', async () => {
    const { host, opened, versions } = createWorld({ room: 1 })
    await read(host, ask('a'))
    for (let time = 0; time < 3; time += 1) await expect(read(host, ask('broken'))).rejects.toMatchObject({ code: 'invalid' })
    expect(opened.filter((path) => path === 'broken')).toHaveLength(1)
    expect(await read(host, ask('a'))).toBe('a:x')
    versions.set('broken', 2)
    await expect(read(host, ask('broken'))).rejects.toMatchObject({ code: 'invalid' })
    await expect(host.load('broken')).rejects.toMatchObject({ code: 'invalid' })
    expect(opened.filter((path) => path === 'broken')).toHaveLength(3)
  })

  test('are refused at once when too many wait for one of them', async () => {
    const { host } = createWorld()
    const long = await Promise.all(Array.from({ length: 4 }, () => begin(host, 'a')))
    const waiting = Array.from({ length: 4 }, () => read(host, ask('a')))
    await expect(read(host, ask('a'))).rejects.toMatchObject({ code: 'busy' })
    expect(await read(host, ask('b'))).toBe('b:x')
    for (const one of long) await one.leave()
    expect(await Promise.all(waiting)).toEqual(Array(4).fill('a:x'))
  })

  test('are given up by who leaves while they load, without harm to others', async () => {
    const { host } = createWorld({ room: 1 })
    const long = await begin(host, 'a')
    const leaving = new AbortController()
    const given = read(host, ask('b'), leaving.signal)
    const stays = read(host, ask('b'))
    leaving.abort()
    await expect(given).rejects.toMatchObject({ code: 'aborted' })
    await long.leave()
    expect(await stays).toBe('b:x')
    expect(host.status()).toMatchObject({ active: 0, queued: 0 })
  })
})

describe('unloading', () => {
  test('waits for the answer under way, and the next request loads the model again', async () => {
    const { host, running, opened } = createWorld()
    const long = await begin(host, 'a')
    let done = false
    const unloading = host.unload('a').then(() => {
      done = true
    })
    for (let time = 0; time < 5; time += 1) expect((await long.next()).value).toMatchObject({ type: 'text-delta' })
    expect(done).toBe(false)
    await long.leave()
    await unloading
    expect(running.size).toBe(0)
    expect(await read(host, ask('a'))).toBe('a:x')
    expect(opened).toEqual(['a', 'a'])
  })

  test('happens by itself when nobody has used the model for the time to keep it alive', async () => {
    const { host, running } = createWorld({ keepAliveMs: 0 })
    expect(await read(host, ask('a'))).toBe('a:x')
    await expect.poll(() => running.size).toBe(0)
    expect(await stateOf(host, 'a')).toBe('unloaded')
    expect(await read(host, ask('a'))).toBe('a:x')
  })

  test('of a model that is not there changes nothing; of one that does not exist is not found', async () => {
    const { host } = createWorld()
    await host.unload('a')
    await expect(host.unload('nothing')).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('the selected model', () => {
  test('is answered by while it still loads, and once more when it had to leave', async () => {
    const { host } = createWorld({ room: 1 })
    const selecting = host.select('a')
    await Promise.resolve()
    expect(await read(host, ask((await host.choose('a')).name))).toBe('a:x')
    await selecting
    await read(host, ask('b'))
    expect(host.status()).toMatchObject({ state: 'unloaded' })
    expect(await read(host, ask((await host.choose(undefined)).name))).toBe('a:x')
  })

  test('stays when another one had taken its room and then failed', async () => {
    const { host } = createWorld({ room: 1 })
    await host.select('a')
    await expect(host.select('broken')).rejects.toMatchObject({ code: 'invalid' })
    expect(host.selected()?.name).toBe('a')
    await expect.poll(() => host.status().state).toBe('ready')
    expect(await read(host, ask('a'))).toBe('a:x')
  })

  test('with an adapter has the name of both, and shares the process of its base', async () => {
    const { host, opened } = createWorld()
    await host.select('a')
    expect((await host.select('a+mine')).name).toBe('a+mine')
    expect(await host.choose(undefined)).toMatchObject({ name: 'a+mine', identity: 'a 1+mine' })
    expect(await Promise.all(['a', 'a+mine', 'a+yours'].map((name) => read(host, ask(name))))).toEqual(['a:x', 'a:x', 'a:x'])
    expect(opened).toEqual(['a'])
  })
})

describe('an adapter', () => {
  const world = () => {
    const installed = new Map([['mine', 1]])
    const findModel = async (name: string) => {
      const [base = '', adapter = ''] = name.split('+')
      const file = { name: base, path: base, identity: base }
      if (!name.includes('+')) return file
      if (!installed.has(adapter)) throw new AppError('not_found', `No model is called "${adapter}".`)
      return { ...file, adapter: { name: adapter, path: adapter, identity: `${adapter} ${installed.get(adapter)}` } }
    }
    return { ...createWorld({ findModel }), installed }
  }

  test('that appears, changes or goes while its base is in memory counts at once, and the base stays there', async () => {
    const { host, opened, installed } = world()
    const identity = async () => (await host.choose('a+new')).identity
    await read(host, ask('a'))
    await expect(read(host, ask('a+new'))).rejects.toMatchObject({ code: 'not_found' })
    installed.set('new', 1)
    expect(await read(host, ask('a+new'))).toBe('a:x')
    expect(await identity()).toBe('a+new 1')
    installed.set('new', 2)
    expect(await identity()).toBe('a+new 2')
    expect(await read(host, ask('a+new'))).toBe('a:x')
    installed.delete('new')
    await expect(read(host, ask('a+new'))).rejects.toMatchObject({ code: 'not_found' })
    expect(opened).toEqual(['a'])
  })

  test('is in use while it answers and while it is selected, and no longer', async () => {
    const { host } = world()
    expect(host.isInUse('mine')).toBe(false)
    const long = await begin(host, 'a+mine')
    expect(host.isInUse('mine')).toBe(true)
    await long.leave()
    expect([host.isInUse('mine'), host.isInUse('a')]).toEqual([false, true])
    await host.select('a+mine')
    expect(host.isInUse('mine')).toBe(true)
    await host.select('a')
    expect(host.isInUse('mine')).toBe(false)
  })
})

test('a file that has changed is another model: an explicit load brings it in, and what runs on the old one ends there', async () => {
  const { host, opened, versions, running } = createWorld({ room: 3 })
  await host.select('a')
  const before = (await host.choose(undefined)).identity
  const long = await begin(host, 'a')
  versions.set('a', 2)
  expect((await host.choose(undefined)).identity).toBe(before)
  await host.select('a')
  expect((await host.choose(undefined)).identity).not.toBe(before)
  expect((await long.next()).value).toMatchObject({ type: 'text-delta' })
  expect(await read(host, ask('a'))).toBe('a:x')
  await long.leave()
  expect(opened).toEqual(['a', 'a'])
  // Both have the same name here: one entry less says that the old process has ended.
  await expect.poll(() => running.size).toBe(0)
})

test('a request that waits while the file changes is answered by the new one, and no process of the old one comes back', async () => {
  const { host, opened, versions, running } = createWorld({ room: 3, maxParallel: 1 })
  await host.load('a')
  const long = await begin(host, 'a')
  const waiting = read(host, ask('a', 'waits'))
  versions.set('a', 2)
  await host.load('a')
  await long.leave()
  expect(await waiting).toBe('a:waits')
  expect(opened).toEqual(['a', 'a'])
  await host.close()
  expect(running.size).toBe(0)
})

test('after a change of the file the base and its adapters are one model again', async () => {
  const { host, opened, versions } = createWorld({ room: 3 })
  await host.select('a')
  await read(host, ask('a+mine'))
  versions.set('a', 2)
  await host.load('a')
  for (const name of ['a+mine', 'a', 'a+mine', 'a']) await read(host, ask(name))
  expect(opened).toEqual(['a', 'a'])
  expect((await host.choose(undefined)).identity).toBe((await host.choose('a')).identity)
})

test('a load that nobody waits for any more makes no room: what is in memory goes on answering', async () => {
  const { host, opened } = createWorld({ room: 1 })
  const long = await begin(host, 'a')
  const leaving = new AbortController()
  const given = read(host, ask('b'), leaving.signal)
  await expect.poll(() => stateOf(host, 'b')).toBe('loading')
  leaving.abort()
  await expect(given).rejects.toMatchObject({ code: 'aborted' })
  expect(await read(host, ask('a', 'short'))).toBe('a:short')
  await long.leave()
  expect(await read(host, ask('b'))).toBe('b:x')
  expect(opened).toEqual(['a', 'b'])
})

test('who asks for a model just after all others have given it up has it loaded all the same', async () => {
  const { host } = createWorld({ room: 1 })
  const long = await begin(host, 'a')
  const leaving = new AbortController()
  const given = read(host, ask('b'), leaving.signal)
  await expect.poll(() => stateOf(host, 'b')).toBe('loading')
  leaving.abort()
  const stays = read(host, ask('b'))
  await expect(given).rejects.toMatchObject({ code: 'aborted' })
  await long.leave()
  expect(await stays).toBe('b:x')
})

test('a load that was given up before its turn takes nothing out', async () => {
  const { host, running } = createWorld({ room: 1 })
  await read(host, ask('a'))
  const leaving = new AbortController()
  const given = read(host, ask('b'), leaving.signal)
  leaving.abort()
  await expect(given).rejects.toMatchObject({ code: 'aborted' })
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  expect([...running]).toEqual(['a'])
})

test('a hundred switches leave no listener behind', async () => {
  const warnings: string[] = []
  const note = (warning: Error) => warnings.push(warning.name)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  const { host } = createWorld({ room: 1 })
  for (let time = 0; time < 100; time += 1) await read(host, ask(time % 2 === 0 ? 'a' : 'b'))
  await new Promise((resolve) => setImmediate(resolve))
  expect(warnings).toEqual([])
})

test('a name that is none changes nothing in memory', async () => {
  const { host, running } = createWorld({ room: 1 })
  await host.select('a')
  await read(host, ask('b'))
  await expect(host.select('nothing')).rejects.toMatchObject({ code: 'not_found' })
  await new Promise((resolve) => setImmediate(resolve))
  expect([...running]).toEqual(['b'])
  expect(host.selected()?.name).toBe('a')
})

test('a time to keep alive that no timer can hold is for good', async () => {
  const { host, running } = createWorld({ keepAliveMs: 30 * 24 * 3600 * 1000 })
  await read(host, ask('a'))
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  expect(running.size).toBe(1)
})

test('what is in memory is told whenever it changes, the one used last first', async () => {
  const { host, inMemory } = createWorld({ room: 2 })
  for (const name of ['a', 'b', 'c']) await read(host, ask(name))
  await host.unload('b')
  expect(inMemory.at(-1)).toEqual(['c'])
  await host.close()
  expect(inMemory.at(-1)).toEqual(['c'])
})

test('any order of requests, unloads and broken loads gives each its own whole answer, within the budget (B31)', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant('ask' as const), name: fc.constantFrom('a', 'b', 'c') }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('unload' as const), name: fc.constantFrom('a', 'b', 'c') }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('select' as const), name: fc.constantFrom('a', 'b', 'broken') }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('broken' as const), name: fc.constant('broken') }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('pause' as const), name: fc.constant('') }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 2 }), async (steps, room) => {
      const { host, most } = createWorld({ room, maxQueue: 100 })
      const outcomes: Array<Promise<unknown>> = []
      for (const [index, { type, name }] of steps.entries()) {
        if (type === 'ask') outcomes.push(read(host, ask(name, `${index}`)).then((text) => expect(text).toBe(`${name}:${index}`)))
        else if (type === 'unload') outcomes.push(host.unload(name))
        else if (type === 'select')
          outcomes.push(host.select(name).catch((error) => expect(error).toMatchObject({ code: 'invalid' })))
        else if (type === 'broken') outcomes.push(expect(read(host, ask(name))).rejects.toMatchObject({ code: 'invalid' }))
        else await new Promise((resolve) => setImmediate(resolve))
      }
      await Promise.all(outcomes)
      expect(most()).toBeLessThanOrEqual(room)
      expect(host.status()).toMatchObject({ active: 0, queued: 0 })
      await host.close()
    }),
    { numRuns: 200 },
  )
})
