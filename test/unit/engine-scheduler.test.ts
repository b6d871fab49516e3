import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Backend, BatchRow } from '../../src/engine/local/backend.ts'
import type { GenerationEvent, StartOptions } from '../../src/engine/local/protocol.ts'
import { createScheduler, type Scheduler, type SchedulerOptions } from '../../src/engine/local/scheduler.ts'
import { repeatableRows } from '../../src/engine/local/sequences.ts'
import { createScriptedBackend, type FakeEngineOptions } from '../fake-engine.ts'

const sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 }

function ask(text: string, more: Partial<StartOptions> = {}): StartOptions {
  const options = { maxTokens: 8, choices: 1, sampling, repeatable: false, stop: [], dropsFirstSpace: false, grammar: undefined }
  return { adapter: undefined, prompt: [{ text, special: false }], ...options, ...more }
}

/** A scheduler over the scripted model that keeps every batch it was given. */
function createWorld(options: Partial<FakeEngineOptions> = {}, more: Partial<SchedulerOptions> = {}) {
  const batches: Array<readonly BatchRow[]> = []
  const scripted = createScriptedBackend({ answer: (prompt) => ({ pieces: [...prompt].reverse() }), ...options })
  const backend: Backend = {
    ...scripted,
    evaluate(rows, exactly) {
      batches.push(rows)
      return scripted.evaluate(rows, exactly)
    },
  }
  const scheduler = createScheduler(backend, { now: () => 0, speculates: true, ...more })
  return { batches, scheduler, rows: () => batches.flat().length }
}

function runToEnd(scheduler: Scheduler, limit = 2000): GenerationEvent[] {
  const events: GenerationEvent[] = []
  for (let step = 0; scheduler.busy(); step += 1) {
    if (step > limit) throw new Error('The scheduler does not come to an end.')
    events.push(...scheduler.step())
  }
  return events
}

const textOf = (events: readonly GenerationEvent[], id: number, index = 0) =>
  events.map((event) => (event.type === 'text-delta' && event.id === id && event.index === index ? event.text : '')).join('')

const endOf = (events: readonly GenerationEvent[], id: number) => {
  const end = events.find((event) => event.type === 'generation-end' && event.id === id)
  if (end?.type !== 'generation-end') throw new Error(`Request ${id} has no end.`)
  return end
}

describe('several requests', () => {
  test('advance together, each with its own text', () => {
    const { scheduler } = createWorld()
    scheduler.start(1, ask('abc'))
    scheduler.start(2, ask('xyz'))
    const events = runToEnd(scheduler)
    expect([textOf(events, 1), textOf(events, 2)]).toEqual(['cba', 'zyx'])
    const order = events.flatMap((event) => (event.type === 'text-delta' ? [event.id] : []))
    expect(order.indexOf(2)).toBeLessThan(order.lastIndexOf(1))
  })

  test('go on in the batches that read a long prompt, which are small meanwhile', () => {
    const { scheduler, batches } = createWorld()
    scheduler.start(1, ask('ab', { maxTokens: 100 }))
    scheduler.step()
    scheduler.start(2, ask('p'.repeat(1500)))
    const before = batches.length
    scheduler.step()
    const [step, ...more] = batches.slice(before)
    expect(more).toEqual([])
    expect(step).toHaveLength(64)
    expect(step?.filter(({ output }) => output)).toHaveLength(1)
  })

  test('that came together go on together: an answer that has just begun waits for the prompts, for two seconds at most', () => {
    let clock = 0
    const { scheduler, batches } = createWorld({}, { now: () => clock })
    const outputs = () => batches.at(-1)?.filter(({ output }) => output).length
    scheduler.start(1, ask('ab', { maxTokens: 100 }))
    scheduler.start(2, ask('p'.repeat(3000), { maxTokens: 100 }))
    clock = 10
    scheduler.step()
    expect(outputs()).toBe(1)
    clock = 1900
    scheduler.step()
    expect([outputs(), batches.at(-1)?.length]).toEqual([0, 512])
    clock = 2010
    scheduler.step()
    expect([outputs(), batches.at(-1)?.length]).toEqual([1, 64])
  })

  test('an answer does not wait for prompts that come after it has begun', () => {
    let clock = 0
    const { scheduler, batches } = createWorld({}, { now: () => clock })
    scheduler.start(1, ask('ab', { maxTokens: 100 }))
    scheduler.step()
    clock = 5
    scheduler.start(2, ask('p'.repeat(3000)))
    scheduler.step()
    expect(batches.at(-1)?.filter(({ output }) => output)).toHaveLength(1)
  })

  test('a step delivers what it brings in portions, and returns the rest', () => {
    const portions: Array<readonly GenerationEvent[]> = []
    const { scheduler } = createWorld({ parallel: 10 }, { deliver: (events) => portions.push(events) })
    for (let id = 1; id <= 10; id += 1) scheduler.start(id, ask(`${id}-prompt`))
    scheduler.step()
    expect(portions).toEqual([])
    const rest = scheduler.step()
    expect(portions.map(({ length }) => length)).toEqual([4, 4])
    expect([...portions.flat(), ...rest].map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  test('a short prompt does not wait for the end of a long one', () => {
    const { scheduler } = createWorld()
    scheduler.start(1, ask('p'.repeat(3000)))
    scheduler.step()
    scheduler.start(2, ask('abc'))
    const events = runToEnd(scheduler)
    expect(events.findIndex(({ id }) => id === 2)).toBeLessThan(events.findIndex(({ id }) => id === 1))
  })
})

describe('a prompt', () => {
  test('is evaluated once for all its choices', () => {
    const { scheduler, batches } = createWorld()
    scheduler.start(1, ask('abcdef', { choices: 3, maxTokens: 2 }))
    const events = runToEnd(scheduler)
    expect([0, 1, 2].map((index) => textOf(events, 1, index))).toEqual(['fe', 'fe', 'fe'])
    expect(batches[0]).toHaveLength(6)
    expect(batches.slice(1).every((rows) => rows.length <= 3)).toBe(true)
    expect(endOf(events, 1).usage).toEqual({ promptTokens: 6, completionTokens: 6, cachedPromptTokens: 0 })
  })

  test('that begins like an earlier one costs only the rest', () => {
    const { scheduler, rows } = createWorld()
    const beginning = 'b'.repeat(200)
    scheduler.start(1, ask(`${beginning}one`, { maxTokens: 1 }))
    runToEnd(scheduler)
    const before = rows()
    scheduler.start(2, ask(`${beginning}two`, { maxTokens: 1 }))
    expect(endOf(runToEnd(scheduler), 2).usage.cachedPromptTokens).toBe(200)
    expect(rows() - before).toBe(3)
  })

  test('that comes sixteen times at once is evaluated once', () => {
    const { scheduler, rows } = createWorld({ parallel: 16 })
    const beginning = 'b'.repeat(600)
    for (let id = 1; id <= 16; id += 1) scheduler.start(id, ask(`${beginning}${String.fromCharCode(64 + id)}`, { maxTokens: 1 }))
    const events = runToEnd(scheduler)
    expect(textOf(events, 16)).toBe('P')
    expect(rows()).toBeLessThan(600 + 16 * 70)
  })

  test('of no token at all is refused', () => {
    const { scheduler } = createWorld()
    expect(() => scheduler.start(1, ask(''))).toThrow(/empty/)
    expect(scheduler.busy()).toBe(false)
  })

  test('as long as the longest context window shares its beginning', () => {
    const size = 200_000
    const scripted = createScriptedBackend({ answer: () => ({ pieces: ['x'] }), contextSize: 2 * size })
    // The scripted model would read its whole prompt once for each piece.
    const quick: Backend = {
      ...scripted,
      evaluate: () => true,
      scores: () => new Float32Array([1, 0]),
      copySequence() {},
      truncateSequence() {},
      firstPosition: () => 0,
      batchSize: size,
    }
    const scheduler = createScheduler(quick, { now: () => 0, speculates: true })
    const text = 'p'.repeat(size)
    scheduler.start(1, ask(text, { choices: 2 }))
    runToEnd(scheduler)
    scheduler.start(2, ask(`${text}q`))
    expect(endOf(runToEnd(scheduler), 2).usage.cachedPromptTokens).toBe(size)
  })

  test('that does not fit is refused with both numbers', () => {
    const { scheduler } = createWorld({ contextSize: 512 })
    scheduler.start(1, ask('p'.repeat(511)))
    expect(textOf(runToEnd(scheduler), 1)).toBe('p')
    for (const length of [512, 513, 5000]) {
      expect(() => scheduler.start(2, ask('p'.repeat(length)))).toThrow(new RegExp(`${length} tokens.*512 tokens`))
    }
    expect(scheduler.busy()).toBe(false)
  })
})

describe('a request that must repeat', () => {
  test('is computed in small batches only', () => {
    const { scheduler, batches } = createWorld()
    scheduler.start(1, ask('p'.repeat(1000), { repeatable: true }))
    runToEnd(scheduler)
    expect(Math.max(...batches.map((rows) => rows.length))).toBe(repeatableRows)
  })

  test('shares no beginning that was computed in large batches, but one that was not', () => {
    const { scheduler } = createWorld()
    const cached = (id: number, repeatable: boolean) => {
      scheduler.start(id, ask(`${'p'.repeat(300)}${id}`, { repeatable }))
      return endOf(runToEnd(scheduler), id).usage.cachedPromptTokens
    }
    expect(cached(1, false)).toBe(0)
    expect(cached(2, true)).toBe(0)
    expect(cached(3, true)).toBe(300)
    expect(cached(4, false)).toBe(300)
  })

  test('shares no row that went alone the other way, but one that went as it must', () => {
    const { scheduler } = createWorld()
    const cached = (text: string, repeatable: boolean) => {
      scheduler.start(1, ask(text, { repeatable }))
      return endOf(runToEnd(scheduler), 1).usage.cachedPromptTokens
    }
    expect(cached('a', false)).toBe(0)
    expect(cached('ab', true)).toBe(0)
    expect(cached('b', true)).toBe(0)
    expect(cached('bc', true)).toBe(1)
  })

  test('does not wait for a beginning that it may not share', () => {
    const { scheduler, batches } = createWorld()
    scheduler.start(1, ask('p'.repeat(3000)))
    scheduler.step()
    scheduler.start(2, ask(`${'p'.repeat(1000)}q`, { repeatable: true }))
    scheduler.step()
    expect(batches.at(-1)?.length).toBe(repeatableRows)
  })

  test('lets no memory be freed while it runs, and the waiting goes on after it', () => {
    const { scheduler } = createWorld({ contextSize: 1000, cacheSize: 1000 })
    scheduler.start(2, ask('b'.repeat(300), { repeatable: true, maxTokens: 100 }))
    scheduler.start(1, ask('a'.repeat(400), { maxTokens: 1 }))
    while (!scheduler.step().some(({ type }) => type === 'generation-end'));
    scheduler.start(3, ask('c'.repeat(300), { maxTokens: 20 }))
    const events = runToEnd(scheduler)
    const order = events.flatMap((event) => (event.type === 'generation-end' ? [event.id] : []))
    expect(order).toEqual([2, 3])
    expect(textOf(events, 3)).toBe('c'.repeat(20))
  })
})

test.each([
  ['memory', 8, 240],
  ['the list of sequences', 30, 20],
])('requests that must repeat run side by side, also when %s was full before them', (_what, count, length) => {
  const { scheduler, batches } = createWorld({ contextSize: 2000, cacheSize: 2200, parallel: 16 })
  for (let id = 1; id <= count; id += 1) {
    scheduler.start(id, ask(String.fromCharCode(96 + id).repeat(length), { maxTokens: 5 }))
    runToEnd(scheduler)
  }
  for (let id = 101; id <= 110; id += 1) scheduler.start(id, ask(`${'xyz'.repeat(20)}${id}`, { repeatable: true, maxTokens: 20 }))
  runToEnd(scheduler)
  expect(Math.max(...batches.filter((rows) => rows.every(({ output }) => output)).map((rows) => rows.length))).toBe(10)
})

test('a conversation that must repeat keeps its beginning, however long it is', () => {
  const { scheduler } = createWorld({ contextSize: 2000, cacheSize: 2200, parallel: 16 })
  let prompt = 'p'.repeat(1000)
  for (let turn = 1; turn <= 12; turn += 1) {
    scheduler.start(turn, ask(prompt, { repeatable: true, maxTokens: 10 }))
    const events = runToEnd(scheduler)
    if (turn > 1) expect(endOf(events, turn).usage.cachedPromptTokens).toBeGreaterThanOrEqual(1000)
    prompt += `${textOf(events, turn)}next`
  }
})

describe('memory', () => {
  test('of ended requests makes room for new ones', () => {
    const { scheduler } = createWorld({ contextSize: 500, cacheSize: 500 })
    for (let id = 1; id <= 20; id += 1) {
      scheduler.start(id, ask(String.fromCharCode(96 + id).repeat(300), { maxTokens: 3 }))
      expect(textOf(runToEnd(scheduler), id)).toHaveLength(3)
    }
  })

  test('that is full ends the youngest answer by its length, and the others go on', () => {
    const full = createScriptedBackend({ answer: (prompt) => ({ pieces: [...prompt], end: false }), contextSize: 4000 })
    let held = 0
    const backend: Backend = {
      ...full,
      cacheSize: 4000,
      evaluate(rows, exactly) {
        if (held + rows.length > 1500) return false
        held += rows.length
        return full.evaluate(rows, exactly)
      },
    }
    const scheduler = createScheduler(backend, { now: () => 0, speculates: true })
    scheduler.start(1, ask('a'.repeat(100), { maxTokens: 900 }))
    const before = Array.from({ length: 200 }, () => scheduler.step()).flat()
    scheduler.start(2, ask('b'.repeat(100), { maxTokens: 900 }))
    const events = [...before, ...runToEnd(scheduler, 5000)]
    const reasons = events.flatMap((event) => (event.type === 'choice-end' ? [[event.id, event.reason]] : []))
    expect(reasons[0]).toEqual([2, 'length'])
    expect(textOf(events, 1).length).toBeGreaterThan(textOf(events, 2).length + 100)
  })
})

test('a model that gives no numbers ends the requests that it fails, and serves the others', () => {
  const scripted = createScriptedBackend({ answer: (prompt) => ({ pieces: [...prompt], end: false }) })
  let batch: readonly BatchRow[] = []
  const sick = new Set<number>()
  const backend: Backend = {
    ...scripted,
    evaluate(rows, exactly) {
      batch = rows
      for (const { sequence, position } of rows) if (position === 5) sick.add(sequence)
      return scripted.evaluate(rows, exactly)
    },
    scores: (row) => (sick.has(batch[row]?.sequence ?? -1) ? new Float32Array(9).fill(Number.NaN) : scripted.scores(row)),
  }
  const scheduler = createScheduler(backend, { now: () => 0, speculates: true })
  scheduler.start(1, ask('abcd', { maxTokens: 8, choices: 2 }))
  scheduler.start(2, ask('ab', { maxTokens: 3 }))
  const events = runToEnd(scheduler)
  expect(events.filter(({ type }) => type === 'generation-error')).toMatchObject([{ id: 1, code: 'internal' }])
  expect(endOf(events, 2).usage.completionTokens).toBe(3)
  expect(textOf(events, 1)).toBe('ab')
})

test('a request that is given up has no more events, and its places are free within a step', () => {
  const { scheduler } = createWorld()
  scheduler.start(1, ask('p'.repeat(2000)))
  scheduler.step()
  scheduler.start(2, ask('abc', { choices: 2 }))
  scheduler.step()
  scheduler.cancel(1)
  scheduler.cancel(2)
  expect(scheduler.busy()).toBe(false)
  expect(scheduler.step()).toEqual([])
})

describe('an answer that repeats a passage', () => {
  const passage = 'the quick brown fox jumps over the lazy dog. '
  const repeats: FakeEngineOptions['answer'] = (prompt) => ({ pieces: [...prompt.slice(0, -1)], end: false })
  const parrot = (text: string, more: Partial<FakeEngineOptions> = {}) => ({
    ...createWorld({ answer: repeats, stepCost: () => 10, ...more }),
    text,
  })

  test('takes fewer steps than it has tokens, and has the same text', () => {
    const { scheduler, batches } = parrot(passage)
    scheduler.start(1, ask(`${passage}>`, { maxTokens: 300 }))
    const events = runToEnd(scheduler)
    expect(textOf(events, 1)).toBe(passage.repeat(7).slice(0, 300))
    expect(endOf(events, 1).usage.completionTokens).toBe(300)
    expect(batches.length).toBeLessThan(150)
  })

  test('ends where it must, in the middle of a draft too', () => {
    for (const more of [{ maxTokens: 97 }, { stop: ['lazy dog. the'] }, { maxTokens: 200 }]) {
      const plain = parrot(passage, { stepCost: () => 0 })
      const drafted = parrot(passage)
      const texts = [plain, drafted].map(({ scheduler }) => {
        scheduler.start(1, ask(`${passage}${passage}>`, { maxTokens: 250, ...more }))
        return textOf(runToEnd(scheduler), 1)
      })
      expect(texts[1]).toBe(texts[0])
    }
  })

  test('goes on without drafts when memory is too full for them', () => {
    const scripted = createScriptedBackend({ answer: repeats, stepCost: () => 10 })
    const backend: Backend = {
      ...scripted,
      evaluate: (rows, exactly) => (rows.length < 2 || rows.length > 20 ? scripted.evaluate(rows, exactly) : false),
    }
    const scheduler = createScheduler(backend, { now: () => 0, speculates: true })
    scheduler.start(1, ask(`${passage}>`, { maxTokens: 100 }))
    expect(textOf(runToEnd(scheduler), 1)).toBe(passage.repeat(3).slice(0, 100))
  })

  test('is the only one with a draft, at the end of the batch, beside one that must repeat', () => {
    const { scheduler, batches } = parrot(passage)
    for (const id of [1, 2, 3]) scheduler.start(id, ask(`${passage}${id}>`, { maxTokens: 200, repeatable: id === 2 }))
    runToEnd(scheduler)
    const drafted = batches.map((rows) => rows.filter(({ output }) => output)).filter((rows) => rows.length > 3)
    expect(drafted.length).toBeGreaterThan(0)
    for (const rows of drafted) {
      const owners = rows.map(({ sequence }) => sequence)
      const last = owners.at(-1)
      expect(new Set(owners).size).toBe(owners.indexOf(last ?? -1) + 1)
    }
  })
})

test('whatever comes and goes, every answer is whole and no sequence is lost', () => {
  const action = fc.oneof(
    fc.record({
      do: fc.constant('start' as const),
      letter: fc.nat(25),
      length: fc.integer({ min: 1, max: 150 }),
      choices: fc.integer({ min: 1, max: 3 }),
      repeatable: fc.boolean(),
    }),
    fc.record({ do: fc.constant('cancel' as const), which: fc.nat(20) }),
    fc.record({ do: fc.constant('step' as const), times: fc.integer({ min: 1, max: 6 }) }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40, size: 'max' }), (actions) => {
      const wanted = new Map<number, string>()
      const events: GenerationEvent[] = []
      let clock = 0
      const now = () => {
        clock += 50
        return clock
      }
      const sizes = { contextSize: 400, cacheSize: 700, parallel: 16, stepCost: (rows: number) => 10 + rows }
      const { scheduler } = createWorld(sizes, { now, deliver: (some) => events.push(...some) })
      for (const [id, one] of actions.entries()) {
        if (one.do === 'step') for (let time = 0; time < one.times; time += 1) events.push(...scheduler.step())
        if (one.do === 'cancel' && wanted.delete(one.which)) scheduler.cancel(one.which)
        if (one.do === 'start' && wanted.size < 5) {
          // Guesses are right for a while, and then wrong.
          const phrase = `${String.fromCharCode(97 + one.letter).repeat(5 + (id % 3))}-`
          const prompt = phrase.repeat(30).slice(0, one.length) + String(id)
          scheduler.start(id, ask(prompt, { choices: one.choices, repeatable: one.repeatable, maxTokens: 40 }))
          wanted.set(id, [...prompt].reverse().join('').slice(0, 40))
        }
      }
      for (let step = 0; step < 2000 && scheduler.busy(); step += 1) events.push(...scheduler.step())
      expect(scheduler.busy()).toBe(false)
      for (const [id, text] of wanted) expect(textOf(events, id)).toBe(text)
    }),
    { numRuns: 150 },
  )
})

test('nothing in memory is given up while a request that must repeat runs, also when another one outgrows its room', () => {
  const scripted = createScriptedBackend({
    answer: () => ({ pieces: ['on '], end: false }),
    contextSize: 3000,
    cacheSize: 1600,
    parallel: 4,
  })
  const repeating = new Set<number>()
  const freed: number[] = []
  const held = new Map<number, number>()
  const backend: Backend = {
    ...scripted,
    evaluate(rows, exactly) {
      if ([...held.values()].reduce((sum, cells) => sum + cells, rows.length) > scripted.cacheSize) return false
      for (const { sequence } of rows) held.set(sequence, (held.get(sequence) ?? 0) + 1)
      return scripted.evaluate(rows, exactly)
    },
    truncateSequence(sequence, position) {
      if (position === 0 && repeating.size > 0) freed.push(sequence)
      held.set(sequence, Math.min(position, held.get(sequence) ?? 0))
      scripted.truncateSequence(sequence, position)
    },
  }
  const scheduler = createScheduler(backend, { now: () => 0, speculates: false })
  // What is unused in memory, and must give way in the end.
  scheduler.start(0, ask('z'.repeat(200), { maxTokens: 1 }))
  runToEnd(scheduler)
  scheduler.start(1, ask('a', { maxTokens: 1200 }))
  scheduler.step()
  scheduler.start(2, ask('b', { maxTokens: 750, repeatable: true }))
  // Room is made before it starts, not after.
  scheduler.step()
  repeating.add(2)
  const ends: number[] = []
  for (let step = 0; step < 3000 && scheduler.busy(); step += 1) {
    for (const event of scheduler.step()) {
      if (event.type !== 'generation-end') continue
      ends.push(event.id)
      expect(event.usage.completionTokens).toBe(event.id === 1 ? 1200 : 750)
      repeating.delete(event.id)
    }
  }
  expect(ends).toEqual([2, 1])
  expect(freed).toEqual([])
})

test('room that was promised to an answer is not taken by one with another adapter', () => {
  for (const adapter of [undefined, 'x']) {
    const scripted = createScriptedBackend({
      answer: () => ({ pieces: ['on '], end: false }),
      contextSize: 3000,
      cacheSize: 1100,
      parallel: 4,
    })
    const held = new Map<number, number>()
    const backend: Backend = {
      ...scripted,
      evaluate(rows, exactly) {
        if ([...held.values()].reduce((sum, cells) => sum + cells, rows.length) > scripted.cacheSize) return false
        for (const { sequence } of rows) held.set(sequence, (held.get(sequence) ?? 0) + 1)
        return scripted.evaluate(rows, exactly)
      },
      truncateSequence(sequence, position) {
        held.set(sequence, Math.min(position, held.get(sequence) ?? 0))
        scripted.truncateSequence(sequence, position)
      },
    }
    const scheduler = createScheduler(backend, { now: () => 0, speculates: false })
    scheduler.start(1, ask('a', { maxTokens: 2000 }))
    for (let step = 0; step < 300; step += 1) scheduler.step()
    scheduler.start(2, ask('b', { maxTokens: 512, adapter }))
    const counts = new Map<number, number>()
    for (let step = 0; step < 5000 && scheduler.busy(); step += 1)
      for (const event of scheduler.step())
        if (event.type === 'generation-end') counts.set(event.id, event.usage.completionTokens)
    expect(counts.get(2)).toBe(512)
  }
})
