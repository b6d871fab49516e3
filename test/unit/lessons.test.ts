import { setImmediate } from 'node:timers/promises'
import fastCheck from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { countOthers } from '../../src/datasets/count-others.ts'
import type { Prompt } from '../../src/engine/provider.ts'
import { createFeedback, type NewFeedback } from '../../src/feedback/feedback.ts'
import { createLessons, type Lesson, type LessonFilter } from '../../src/feedback/lessons.ts'
import { toPredictionId } from '../../src/feedback/prediction-id.ts'
import { findRated } from '../../src/feedback/rated-answer.ts'
import { createPredictions } from '../../src/predictions/predictions.ts'
import { openRetention, pruneOwners, prunePredictions } from '../../src/predictions/retention.ts'
import { openWorld, type World } from '../fakes-storage.ts'

let world: World
let ana: string
let bea: string

beforeEach(async () => {
  world = await openWorld()
  ana = (await world.join('ana')).id
  bea = (await world.join('bea')).id
})
afterEach(() => world.close())

type Remembered = Readonly<{
  id: string
  owner?: string | null
  prompt?: Prompt
  text?: string
  reason?: string
  model?: string
  toolCalls?: readonly object[]
}>

const asks = (...contents: string[]): Prompt => ({
  type: 'chat',
  messages: contents.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content })),
})

async function remember({ id, owner = ana, prompt = asks('Why?'), text = `of ${id}`, reason = 'stop', ...more }: Remembered) {
  const { model = 'base', toolCalls } = more
  await world.db
    .insertInto('predictions')
    .values({
      id,
      ownerId: owner,
      ownerKey: owner === null ? 'address:1' : null,
      prompt: JSON.stringify(prompt),
      excerpt: '',
      choices: JSON.stringify([{ index: 0, text, reason, ...(toolCalls === undefined ? {} : { toolCalls }) }]),
      provider: 'hf',
      model,
      ranOn: 'local',
      rolloutId: null,
      parameters: '{}',
      promptTokens: 1,
      completionTokens: 1,
      timings: null,
      createdAt: new Date(world.clock.ms).toISOString(),
    })
    .execute()
}

const rate = (predictionId: string, feedback: NewFeedback = {}) =>
  createFeedback({ db: world.db, now: () => world.clock.ms }).save({ userId: ana, predictionId, rating: 'up', ...feedback })

async function lessons(filter: LessonFilter = {}): Promise<Lesson[]> {
  const given: Lesson[] = []
  for await (const lesson of createLessons({ db: world.db }).list(filter)) given.push(lesson)
  return given
}

describe('feedback teaches', () => {
  test('the answer itself with a thumb up, and what to avoid with a thumb down', async () => {
    await remember({ id: 'a' })
    await remember({ id: 'b' })
    await rate('a', { text: 'fine', tags: ['kind'] })
    await rate('b', { rating: 'down' })
    const common = { messages: [{ role: 'user', content: 'Why?' }], promptType: 'chat', model: 'base', userId: ana, lacks: [] }
    expect((await lessons()).toSorted((one, other) => one.predictionId.localeCompare(other.predictionId))).toMatchObject([
      { ...common, predictionId: 'a', chosen: 'of a', rejected: undefined, rating: 'up', comment: 'fine', tags: ['kind'] },
      { ...common, predictionId: 'b', chosen: undefined, rejected: 'of b', rating: 'down', comment: null, tags: [] },
    ])
  })

  test('an edited answer over the original one, whichever the thumb; one that changes nothing is a plain thumb', async () => {
    for (const id of ['a', 'b', 'c']) await remember({ id, text: 'Madird' })
    await rate('a', { rating: 'down', correction: 'Madrid' })
    await rate('b', { rating: 'up', correction: 'Madrid' })
    await rate('c', { rating: 'up', correction: 'Madird' })
    const given = (await lessons()).map(({ predictionId, chosen, rejected }) => [predictionId, chosen, rejected])
    expect(given.toSorted()).toEqual([
      ['a', 'Madrid', 'Madird'],
      ['b', 'Madrid', 'Madird'],
      ['c', 'Madird', undefined],
    ])
  })

  test('the answer that was kept over another one, and where it was edited too, both of them', async () => {
    for (const id of ['first', 'second']) await remember({ id })
    await rate('second', { rejectedPredictionId: 'first' })
    expect(await lessons()).toMatchObject([{ chosen: 'of second', rejected: 'of first' }])
    world.clock.ms += 1
    await rate('second', { rejectedPredictionId: 'first', correction: 'better' })
    expect((await lessons()).map(({ chosen, rejected }) => [chosen, rejected])).toEqual([
      ['better', 'of second'],
      ['better', 'of first'],
    ])
  })

  test('only by its latest; what came before is kept as it was', async () => {
    await remember({ id: 'a' })
    for (const rating of ['up', 'down', 'up', 'down'] as const) await rate('a', { rating })
    expect(await lessons()).toMatchObject([{ rating: 'down' }])
    expect(await world.db.selectFrom('feedback').selectAll().execute()).toHaveLength(4)
  })

  test('only of whom the answer was given to, and only on answers that are remembered', async () => {
    await remember({ id: 'a' })
    await rate('a', { userId: bea })
    await rate('a', { userId: null })
    await rate('unknown')
    expect(await lessons()).toEqual([])
  })

  test('of an answer to someone without an account by whoever has its id, who may have logged in since; the latest counts', async () => {
    await remember({ id: 'a', owner: null })
    await rate('a', { userId: null, rating: 'down' })
    expect(await lessons()).toMatchObject([{ rating: 'down', userId: null }])
    await rate('a', { userId: ana, rating: 'up' })
    expect(await lessons()).toMatchObject([{ rating: 'up', userId: ana }])
    expect(await createPredictions({ db: world.db, now: Date.now }).find(undefined, 'a')).toMatchObject({ rating: 'up' })
    expect(await countOthers(world.db, {})).toEqual({ textOnly: 0, gone: 0, superseded: 1, byOthers: 0 })
  })

  test('and what teaches nothing is counted as the same filters let it through', async () => {
    await remember({ id: 'a' })
    await rate('a', { userId: bea, tags: ['short'] })
    const at = new Date(world.clock.ms).toISOString()
    const later = new Date(world.clock.ms + 1).toISOString()
    const passing = [
      { model: 'base' },
      { rating: 'up' },
      { userId: bea },
      { from: at, to: later },
      { tags: ['long', 'short'] },
    ] as const
    for (const filter of passing) expect([filter, await countOthers(world.db, filter)]).toMatchObject([filter, { byOthers: 1 }])
    const held = [
      { model: 'other' },
      { rating: 'down' },
      { userId: ana },
      { from: later },
      { to: at },
      { tags: ['long'] },
    ] as const
    for (const filter of held) expect([filter, await countOthers(world.db, filter)]).toMatchObject([filter, { byOthers: 0 }])
  })

  test('with a text prompt as the only message of a user, and with what the caller wrote of the answer in it', async () => {
    await remember({ id: 'text', prompt: { type: 'text', text: 'Once upon' } })
    await remember({ id: 'begun', prompt: asks('Count', 'One, '), text: 'two' })
    await rate('text')
    await rate('begun', { correction: 'three' })
    const [one, other] = (await lessons()).toSorted((a, b) => b.promptType.localeCompare(a.promptType))
    expect(one).toMatchObject({ promptType: 'text', messages: [{ role: 'user', content: 'Once upon' }], chosen: 'of text' })
    expect(other).toMatchObject({ messages: [{ role: 'user', content: 'Count' }], chosen: 'One, three', rejected: 'One, two' })
  })

  test('with what a plain conversation lacks of it', async () => {
    const pictured: Prompt = { type: 'chat', messages: [{ role: 'user', content: 'See', images: ['data:,x'] }] }
    const tools = { tools: [{ name: 'f', parameters: {} }], choice: 'auto', parallel: true } as const
    const cases = [
      { id: 'images', prompt: pictured, lacks: ['images'] },
      { id: 'offered', prompt: { ...asks('x'), type: 'chat', messages: [], tools } as const, lacks: ['tools'] },
      { id: 'called', toolCalls: [{ id: '1', name: 'f', arguments: '{}' }], lacks: ['tools'] },
      { id: 'cut', reason: 'length', lacks: ['end'] },
      { id: 'left', reason: 'stopped', lacks: ['end'] },
    ]
    for (const { lacks: _, ...one } of cases) {
      await remember(one)
      await rate(one.id)
    }
    const given = Object.fromEntries((await lessons()).map(({ predictionId, lacks }) => [predictionId, lacks]))
    expect(given).toEqual(Object.fromEntries(cases.map(({ id, lacks }) => [id, lacks])))
  })

  test('with one key for a conversation however long it has become, and another for each owner and beginning', async () => {
    await remember({ id: 'a', prompt: asks('Hi') })
    await remember({ id: 'b', prompt: asks('Hi', 'Hello', 'More') })
    await remember({ id: 'c', prompt: asks('Ho') })
    await remember({ id: 'd', owner: bea, prompt: asks('Hi') })
    for (const [id, userId] of [
      ['a', ana],
      ['b', ana],
      ['c', ana],
      ['d', bea],
    ] as const)
      await rate(id, { userId })
    const key = Object.fromEntries((await lessons()).map(({ predictionId, conversation }) => [predictionId, conversation]))
    expect(key.a).toBe(key.b)
    expect(new Set(Object.values(key)).size).toBe(3)
  })

  test('what filters let through, oldest first, also over many pages', async () => {
    for (let count = 0; count < 45; count += 1) {
      const id = `p${String(count).padStart(2, '0')}`
      world.clock.ms += 1000
      await remember({ id, owner: count % 2 === 0 ? ana : bea, model: count % 3 === 0 ? 'base+tuned' : 'base' })
      await rate(id, { userId: count % 2 === 0 ? ana : bea, tags: count < 5 ? ['early', '"odd"'] : [], rating: 'up' })
    }
    const idsOf = async (filter: LessonFilter) => (await lessons(filter)).map(({ predictionId }) => predictionId)
    const all = await idsOf({})
    expect(all).toHaveLength(45)
    expect(all).toEqual(all.toSorted())
    expect(await idsOf({ userId: bea })).toHaveLength(22)
    expect(await idsOf({ model: 'base+tuned' })).toHaveLength(15)
    expect(await idsOf({ tag: 'early' })).toEqual(all.slice(0, 5))
    expect(await idsOf({ tag: '"odd"', model: 'base' })).toEqual(['p01', 'p02', 'p04'])
    expect(await idsOf({ tag: 'earl' })).toEqual([])
    expect(await idsOf({ rating: 'down' })).toEqual([])
    const from = new Date(world.clock.ms - 2000).toISOString()
    expect(await idsOf({ from })).toEqual(['p42', 'p43', 'p44'])
    expect(await idsOf({ to: from })).toHaveLength(42)
  })
})

describe('feedback on two answers', () => {
  const rater = () => ({ userId: ana })
  const find = (predictionId: string, rejectedPredictionId?: string) =>
    findRated(world.db, rater(), { predictionId, rejectedPredictionId })

  test('says what differs where their prompts are not the same', async () => {
    await remember({ id: 'a', prompt: asks('x', 'y', 'z') })
    await remember({ id: 'same', prompt: asks('x', 'y', 'z'), model: 'other' })
    await remember({ id: 'b', prompt: asks('x', 'Y', 'z') })
    await remember({ id: 'longer', prompt: asks('x', 'y', 'z', 'w') })
    await remember({ id: 'text', prompt: { type: 'text', text: 'x' } })
    expect(await find('a', 'same')).toBe('known')
    await expect(find('a', 'b')).rejects.toThrow('message 2')
    await expect(find('a', 'longer')).rejects.toThrow('4 messages, where the other has 3')
    await expect(find('a', 'text')).rejects.toThrow('to a text')
    await expect(find('a', 'a')).rejects.toThrow('the same one')
  })

  test('is not found where one is somebody else’s, and teaches nothing where one is unknown', async () => {
    await remember({ id: 'a' })
    await remember({ id: 'of bea', owner: bea })
    await remember({ id: 'of nobody', owner: null })
    await expect(find('a', 'of bea')).rejects.toMatchObject({ code: 'not_found' })
    await expect(find('of bea')).rejects.toMatchObject({ code: 'not_found' })
    expect(await find('of nobody')).toBe('known')
    await expect(
      findRated(world.db, { userId: undefined }, { predictionId: 'a', rejectedPredictionId: undefined }),
    ).rejects.toThrow()
    expect(await find('a', 'gone')).toBe('unknown')
    expect(await find('gone')).toBe('unknown')
  })
})

describe('after the days of retention', () => {
  const days = 90
  const dayMs = 24 * 3600_000

  test('answers go, however many, but for those with feedback and those over which another one was kept', async () => {
    for (let count = 0; count < 230; count += 1) await remember({ id: `old-${count}` })
    await rate('old-7', { rejectedPredictionId: 'old-9' })
    world.clock.ms += days * dayMs
    expect(await prunePredictions(world.db, { nowMs: world.clock.ms, days })).toBe(0)
    await remember({ id: 'new' })
    world.clock.ms += 1
    expect(await prunePredictions(world.db, { nowMs: world.clock.ms, days })).toBe(228)
    const left = await world.db.selectFrom('predictions').select('id').execute()
    expect(left.map(({ id }) => id).sort()).toEqual(['new', 'old-7', 'old-9'])
  })

  test('it is looked at the start and every day, until the service closes', async () => {
    const waits: Array<() => void> = []
    const log = { error: () => {}, info: () => {} }
    const waitADay = (signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        waits.push(resolve)
        signal.addEventListener('abort', () => resolve())
      })
    const idsOf = async () => (await world.db.selectFrom('predictions').select('id').execute()).map(({ id }) => id)
    await remember({ id: 'first' })
    world.clock.ms += 2 * dayMs
    await remember({ id: 'second' })
    const retention = openRetention({ db: world.db, days: 1, log, now: () => world.clock.ms, waitADay })
    await expect.poll(idsOf).toEqual(['second'])
    await expect.poll(() => waits.length).toBe(1)
    world.clock.ms += 2 * dayMs
    waits.shift()?.()
    await expect.poll(idsOf).toEqual([])
    await retention.close()
  })

  test('the oldest go of an owner who has too many bytes, whoever the others are', async () => {
    for (let count = 0; count < 10; count += 1) {
      world.clock.ms += 1
      for (const [owner, name] of [
        [ana, 'ana'],
        [bea, 'bea'],
        [null, 'nobody'],
      ] as const)
        await remember({ id: `${name}-${count}`, owner, text: name === 'bea' ? 'short' : 'x'.repeat(1000) })
    }
    await rate('ana-2')
    expect(await pruneOwners(world.db, 6000)).toBe(9)
    const left = (await world.db.selectFrom('predictions').select('id').execute()).map(({ id }) => id)
    expect(left.filter((id) => id.startsWith('bea'))).toHaveLength(10)
    expect(left.filter((id) => id.startsWith('ana')).sort()).toEqual(['ana-2', ...[5, 6, 7, 8, 9].map((count) => `ana-${count}`)])
  })

  test('the answers of an owner are looked at some at a time, however many of one moment there are, and others get their turn', async () => {
    const text = 'x'.repeat(1000)
    for (let count = 0; count < 350; count += 1) await remember({ id: `${count}`.padStart(3, '0'), text })
    const bytes = JSON.stringify(asks('Why?')).length + JSON.stringify([{ index: 0, text, reason: 'stop' }]).length
    let turns = 0
    let isDone = false
    const others = (async () => {
      for (; !isDone; turns += 1) await setImmediate()
    })()
    expect(await pruneOwners(world.db, 200 * bytes)).toBe(150)
    isDone = true
    await others
    expect(turns).toBeGreaterThanOrEqual(3)
    const left = await world.db.selectFrom('predictions').select('id').orderBy('id').execute()
    expect(left.map(({ id }) => Number(id))).toEqual(Array.from({ length: 200 }, (_, index) => 150 + index))
  })

  test('a day on which it fails is told, and the next day it is looked at again', async () => {
    const errors: unknown[] = []
    const log = { error: (...given: unknown[]) => void errors.push(given), info: () => {} }
    const waits: Array<() => void> = []
    // As a wait does that is broken off.
    const waitADay = (signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        waits.push(resolve)
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    await remember({ id: 'first' })
    world.clock.ms += 2 * dayMs
    const { db } = world
    await db.schema.alterTable('predictions').renameTo('elsewhere').execute()
    const retention = openRetention({ db, days: 1, log, now: () => world.clock.ms, waitADay })
    await expect.poll(() => waits.length).toBe(1)
    expect(errors).toMatchObject([[{ err: expect.any(Error) }, expect.stringContaining('could not be deleted')]])
    await db.schema.alterTable('elsewhere').renameTo('predictions').execute()
    waits.shift()?.()
    await expect.poll(async () => (await db.selectFrom('predictions').select('id').execute()).length).toBe(0)
    await retention.close()
  })

  test('0 days keep everything', async () => {
    await remember({ id: 'first' })
    world.clock.ms += 10_000 * dayMs
    const log = { error: () => {}, info: () => {} }
    const slept = Promise.withResolvers<void>()
    const waitADay = (signal: AbortSignal) => {
      slept.resolve()
      return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    }
    const retention = openRetention({ db: world.db, days: 0, log, now: () => world.clock.ms, waitADay })
    await slept.promise
    await retention.close()
    expect(await world.db.selectFrom('predictions').select('id').execute()).toHaveLength(1)
  })
})

describe('the id of a prediction', () => {
  test('is found in the id of each dialect, and stays what it is', () => {
    fastCheck.assert(
      fastCheck.property(fastCheck.uuid(), fastCheck.constantFrom('chatcmpl-', 'cmpl-', 'msg_', 'resp_', ''), (id, prefix) => {
        expect(toPredictionId(prefix + id)).toBe(id)
        expect(toPredictionId(toPredictionId(prefix + id))).toBe(id)
      }),
    )
  })

  test('any other text is left as it is', () => {
    fastCheck.assert(
      fastCheck.property(fastCheck.constantFrom('chatcmpl-', 'msg_', 'call_', 'MSG_', ''), fastCheck.string(), (prefix, text) => {
        fastCheck.pre(!/^[0-9a-f]{8}-/.test(text))
        expect(toPredictionId(prefix + text)).toBe(prefix + text)
      }),
    )
    expect(toPredictionId('msg_chatcmpl-0')).toBe('msg_chatcmpl-0')
  })
})
