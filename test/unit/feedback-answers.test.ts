import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FeedbackItem, SavedFeedback } from '../../src/feedback/schema.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let server: TestServer
let admin: Caller
let ana: Caller
let bea: Caller

type Caller = (method: string, path: string, body?: unknown) => Promise<Response>

beforeEach(async () => {
  server = await startServer({ host: createFakeEngine({ answer: (prompt) => ({ pieces: [prompt, '!'] }) }) })
  const callerOf =
    (token: string): Caller =>
    (method, path, body) =>
      fetch(`${server.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
  admin = callerOf(await server.login('root'))
  ana = callerOf(await server.login('ana'))
  bea = callerOf(await server.login('bea'))
})
afterEach(() => server[Symbol.asyncDispose]())

const ask = async (caller: Caller, prompt: string) =>
  (await bodyOf<{ id: string }>(await caller('POST', '/predict', { prompt }))).id
const give = (caller: Caller, body: object) => caller('POST', '/feedback', body)
const saved = async (response: Response) => bodyOf<SavedFeedback>(response)
const listed = async (query = '') => (await bodyOf<{ items: FeedbackItem[] }>(await admin('GET', `/feedback${query}`))).items

describe('feedback on an answer', () => {
  test('is taken by the id of each dialect, and stored by that of the prediction', async () => {
    const id = await ask(ana, 'What')
    for (const prefix of ['', 'chatcmpl-', 'cmpl-', 'msg_', 'resp_'])
      expect(await saved(await give(ana, { prediction_id: prefix + id, rating: 'up' }))).toMatchObject({ prediction: 'known' })
    expect(new Set((await listed()).map((item) => item.prediction_id))).toEqual(new Set([id]))
  })

  test('keeps an answer over another one to the same prompt, and nothing else', async () => {
    const [one, two, other] = [await ask(ana, 'Same'), await ask(ana, 'Same'), await ask(ana, 'Other')]
    const foreign = await ask(bea, 'Same')
    const keeping = (rejected: string, rating = 'up') =>
      give(ana, { prediction_id: one, rating, rejected_prediction_id: rejected })
    expect((await keeping(two)).status).toBe(201)
    expect((await listed())[0]).toMatchObject({ prediction_id: one, rejected_prediction_id: two })
    const refused = await keeping(other)
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('an answer to another text')])
    expect((await keeping(one)).status).toBe(400)
    expect((await keeping(two, 'down')).status).toBe(400)
    expect((await keeping(foreign)).status).toBe(404)
    expect(await saved(await keeping('nobody-knows'))).toMatchObject({ prediction: 'unknown' })
    expect((await give(ana, { text: 'x', rejected_prediction_id: two })).status).toBe(400)
  })

  test('tells a text without an answer from one on an answer', async () => {
    expect(await saved(await give(ana, { text: 'nice' }))).toEqual({ id: expect.any(String), created_at: expect.any(String) })
  })

  test('has tags, kept as typed, within their bounds', async () => {
    const id = await ask(ana, 'What')
    const tags = ['<b>', 'a"b', "x' OR 1=1", 'ñ 😀', 'a,b']
    expect((await give(ana, { prediction_id: id, rating: 'up', tags })).status).toBe(201)
    expect((await listed())[0]?.tags).toEqual(tags)
    for (const tag of tags) expect(await listed(`?tag=${encodeURIComponent(tag)}`)).toHaveLength(1)
    expect(await listed('?tag=b')).toEqual([])
    for (const wrong of [
      [''],
      [' '],
      ['x'.repeat(51)],
      ['a', 'a'],
      'a',
      Array.from({ length: 21 }, (_, index) => `${index}`),
      ['\ud83d'],
    ])
      expect((await give(ana, { prediction_id: id, rating: 'up', tags: wrong })).status).toBe(400)
  })
})

describe('reading feedback', () => {
  test('by rating, model, user, correction and time', async () => {
    const [one, two] = [await ask(ana, 'one'), await ask(bea, 'two')]
    await give(ana, { prediction_id: one, rating: 'down', correction: 'better' })
    await give(bea, { prediction_id: two, rating: 'up' })
    await give(bea, { text: 'only a text' })
    const counts: Readonly<Record<string, number>> = {
      '': 3,
      '?rating=up': 1,
      '?rating=down': 1,
      '?model=fake': 2,
      '?model=other': 0,
      '?has_correction=true': 1,
      '?has_correction=false': 2,
      '?from=2020-01-01': 3,
      '?to=2020-01-01': 0,
      '?rating=down&model=fake&has_correction=true': 1,
    }
    for (const [query, count] of Object.entries(counts)) expect(await listed(query), query).toHaveLength(count)
    const [item] = await listed('?rating=up')
    expect(await listed(`?user=${item?.user_id}`)).toHaveLength(2)
    for (const query of ['?rating=good', '?from=x', '?with=prediction', '?has_correction=perhaps', '?stars=5'])
      expect((await admin('GET', `/feedback${query}`)).status, query).toBe(400)
  })

  test('as JSONL with the answers that it is on, where they are remembered', async () => {
    const id = await ask(ana, 'What')
    await give(ana, { prediction_id: id, rating: 'up' })
    await give(ana, { prediction_id: 'unknown', rating: 'down' })
    const lines = (await (await admin('GET', '/feedback?format=jsonl&with=prediction')).text()).trim().split('\n')
    const rows = lines.map((line): { rating: string } => JSON.parse(line)).toSorted((a, b) => b.rating.localeCompare(a.rating))
    expect(rows).toMatchObject([
      { rating: 'up', prediction: { id, prompt: { type: 'text', text: 'What' }, choices: [{ text: 'What!' }] } },
      { rating: 'down', prediction: null },
    ])
    const plain = await (await admin('GET', '/feedback?format=jsonl&rating=up')).text()
    expect(JSON.parse(plain)).not.toHaveProperty('prediction')
  })
})

describe('taking feedback back', () => {
  test('is for who gave it, and for admins', async () => {
    const id = await ask(ana, 'What')
    const [one, two] = [
      await saved(await give(ana, { prediction_id: id, rating: 'up' })),
      await saved(await give(ana, { text: 'x' })),
    ]
    expect((await fetch(`${server.url}/feedback/${one.id}`, { method: 'DELETE' })).status).toBe(401)
    expect((await bea('DELETE', `/feedback/${one.id}`)).status).toBe(404)
    expect(await listed()).toHaveLength(2)
    expect((await ana('DELETE', `/feedback/${one.id}`)).status).toBe(204)
    expect((await ana('DELETE', `/feedback/${one.id}`)).status).toBe(404)
    expect((await admin('DELETE', `/feedback/${two.id}`)).status).toBe(204)
    expect(await listed()).toEqual([])
  })
})
