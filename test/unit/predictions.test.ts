import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PredictionBody, PredictionsPage } from '../../src/predictions/schema.ts'
import { toStoredPrompt } from '../../src/predictions/stored-prompt.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let server: TestServer

const engine = () =>
  createFakeEngine({
    contextSize: 200_000,
    answer: (prompt) => (prompt.includes('for ever') ? { pieces: ['on ', 'and '], end: false } : { pieces: ['the ', 'answer'] }),
    pauseMs: 0,
  })

beforeEach(async () => {
  server = await startServer({ host: engine() })
})
afterEach(() => server[Symbol.asyncDispose]())

type Caller = (method: string, path: string, body?: unknown) => Promise<Response>

const callerAt =
  ({ url }: TestServer, token?: string): Caller =>
  (method, path, body) =>
    fetch(`${url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })

async function join() {
  const admin = callerAt(server, await server.login('root'))
  const ana = callerAt(server, await server.login('ana'))
  const bea = callerAt(server, await server.login('bea'))
  return { admin, ana, bea, nobody: callerAt(server) }
}

const listOf = async (caller: Caller, query = '') => bodyOf<PredictionsPage>(await caller('GET', `/predictions${query}`))
const ask = async (caller: Caller, prompt: string, more: object = {}) =>
  bodyOf<{ id: string }>(await caller('POST', '/predict', { prompt, ...more }))

/** The ids in an answer of a dialect: in its header, and where its body holds it. */
const idOf = (response: Response) => response.headers.get('x-simpleia-prediction-id') ?? ''

describe('an answer is remembered', () => {
  test('with its prompt, its choices, what it was asked with and how long it took', async () => {
    const { ana } = await join()
    const { id } = await ask(ana, 'What?', { max_length: 7, seed: 5, stop: 'x', num_return_sequences: 2 })
    expect(await bodyOf<PredictionBody>(await ana('GET', `/predictions/${id}`))).toMatchObject({
      id,
      model: 'fake',
      provider: 'hf',
      ran_on: 'local',
      rollout_id: null,
      rating: null,
      prompt: { type: 'text', text: 'What?' },
      choices: [0, 1].map((index) => ({ index, text: 'the answer', finish_reason: 'stop' })),
      parameters: { max_tokens: 7, seed: 5, stop: ['x'], temperature: 0.8, choices: 2 },
      usage: { prompt_tokens: 5, completion_tokens: expect.any(Number) },
      timings: { queue_ms: expect.any(Number), generation_ms: expect.any(Number) },
      user: expect.stringMatching(/^user:/),
    })
    expect(await listOf(ana)).toEqual({
      items: [expect.objectContaining({ id, question: 'What?', answer: 'the answer' })],
      next_cursor: null,
    })
  })

  test('whichever API it was asked by, whole and as a stream, under the id that the API gives out', async () => {
    const { ana } = await join()
    const messages = [{ role: 'user', content: 'Hi' }]
    const requests: ReadonlyArray<readonly [string, object]> = [
      ['/v1/chat/completions', { messages }],
      ['/v1/completions', { prompt: 'Hi' }],
      ['/v1/responses', { input: 'Hi' }],
      ['/v1/messages', { model: 'fake', messages, max_tokens: 9 }],
      ['/api/chat', { model: 'fake', messages, stream: false }],
      ['/api/generate', { model: 'fake', prompt: 'Hi', stream: false }],
    ]
    for (const [path, body] of requests)
      for (const stream of [false, true]) {
        const response = await ana('POST', path, { ...body, stream })
        const text = await response.text()
        expect({ path, stream, status: response.status, text }).toMatchObject({
          status: 200,
          text: expect.stringContaining(idOf(response)),
        })
        const kept = await ana('GET', `/predictions/${idOf(response)}`)
        expect({ path, stream, kept: await bodyOf<PredictionBody>(kept) }).toMatchObject({
          kept: { choices: [{ text: 'the answer', finish_reason: 'stop' }] },
        })
      }
    expect((await listOf(ana)).items).toHaveLength(2 * requests.length)
  })

  test('from the cache too: it is another answer, with an id of its own', async () => {
    const { ana } = await join()
    const [first, second] = [await ask(ana, 'Same', { seed: 1 }), await ask(ana, 'Same', { seed: 1 })]
    expect(second).toMatchObject({ cached: true })
    expect((await listOf(ana)).items.map(({ id }) => id).sort()).toEqual([first.id, second.id].sort())
  })

  test('as far as it was told, where its reader leaves in the middle', async () => {
    const token = await server.login('ana')
    const ana = callerAt(server, token)
    const leaving = new AbortController()
    const authorization = { authorization: `Bearer ${token}` }
    const response = await server.predict({ prompt: 'Go on for ever', stream: true }, authorization, leaving.signal)
    let read = ''
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      read += text
      if (read.includes('and')) break
    }
    leaving.abort()
    await expect.poll(async () => (await listOf(ana)).items.length).toBe(1)
    const [item] = (await listOf(ana)).items
    const kept = await bodyOf<PredictionBody>(await ana('GET', `/predictions/${item?.id}`))
    expect(kept).toMatchObject({ choices: [{ finish_reason: 'stopped', text: expect.stringMatching(/^on and /) }], usage: null })
  })

  test('as far as it was told, where it is stopped over a WebSocket, before that is told', async () => {
    const { nobody } = await join()
    using socket = await server.socket()
    socket.send({ prompt: 'Go on for ever' })
    await socket.next()
    socket.send({ type: 'stop' })
    const done = (await socket.answer()).findLast(({ type }) => type === 'done')
    expect(done).toMatchObject({ finish_reason: 'stopped' })
    const rated = await nobody('POST', '/feedback', { prediction_id: done?.id, rating: 'down' })
    expect(await bodyOf(rated)).toMatchObject({ prediction: 'known' })
  })

  test('without large pictures, in whose place a note stands', async () => {
    const small = 'data:image/png;base64,AAAA'
    const large = `data:image/png;base64,${'A'.repeat(100_000)}`
    const stored = toStoredPrompt({ type: 'chat', messages: [{ role: 'user', content: 'See', images: [small, large] }] })
    expect(stored).toMatchObject({
      messages: [
        { images: [small, expect.stringMatching(/^not remembered: image\/png, 100022 characters, SHA-256 [0-9a-f]{64}$/)] },
      ],
    })
  })

  test('and where that fails, the answer is given all the same, and it is counted', async () => {
    const storage = await openStorage({ url: await databaseAt(`${server.dataDir}/simpleia.db`) })
    await sql`alter table predictions rename to elsewhere`.execute(storage.db)
    await storage.close()
    expect((await server.predict({ prompt: 'Still?' })).status).toBe(200)
    expect(await server.stream({ prompt: 'Still?' })).toMatchObject({ text: 'the answer', end: { event: 'done' } })
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toContain('simpleia_predictions_recorded_total{outcome="failed"} 2')
  })
})

describe('an answer is not remembered', () => {
  test('when the request says so, in the words of its API', async () => {
    const { ana } = await join()
    await ask(ana, 'Secret', { store: false })
    await ana('POST', '/v1/chat/completions', { messages: [{ role: 'user', content: 'Secret' }], store: false })
    await ana('POST', '/v1/responses', { input: 'Secret', store: false })
    expect((await listOf(ana)).items).toEqual([])
  })

  test('once its user has switched it off, from that moment, and again once it is on', async () => {
    const { ana, bea, nobody } = await join()
    expect(await bodyOf(await ana('GET', '/predictions/settings'))).toEqual({
      store: true,
      service_stores: true,
      retention_days: 90,
    })
    expect(await bodyOf(await ana('PUT', '/predictions/settings', { store: false }))).toMatchObject({ store: false })
    await ask(ana, 'Secret')
    await ask(bea, 'Mine')
    expect((await listOf(ana)).items).toEqual([])
    expect((await listOf(bea)).items).toHaveLength(1)
    await ana('PUT', '/predictions/settings', { store: true })
    await ask(ana, 'Now')
    expect((await listOf(ana)).items).toMatchObject([{ question: 'Now' }])
    expect((await nobody('PUT', '/predictions/settings', { store: false })).status).toBe(401)
    expect((await ana('PUT', '/predictions/settings', { store: 'no' })).status).toBe(400)
  })

  test('where STORE_PREDICTIONS is off; feedback on it says that it teaches nothing', async () => {
    await using quiet = await startServer({ host: engine(), settings: { STORE_PREDICTIONS: 'false' } })
    const ana = callerAt(quiet, await quiet.login('ana'))
    const { id } = await ask(ana, 'Secret')
    expect((await listOf(ana)).items).toEqual([])
    const given = await ana('POST', '/feedback', { prediction_id: id, rating: 'up' })
    expect([given.status, await bodyOf(given)]).toMatchObject([201, { prediction: 'unknown' }])
  })
})

describe('feedback right after the end of an answer', () => {
  test('finds it, 100 times at once', async () => {
    const { nobody } = await join()
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const { end } = await server.stream({ prompt: `Question ${index}` })
        const { id } = JSON.parse(end?.data ?? '{}')
        const given = await nobody('POST', '/feedback', { prediction_id: id, rating: 'up' })
        return bodyOf<{ prediction: string }>(given)
      }),
    )
    expect(new Set(outcomes.map(({ prediction }) => prediction))).toEqual(new Set(['known']))
  })
})

describe('what is remembered', () => {
  test('is its own alone: others find nothing of it by any route, and change nothing', async () => {
    const { admin, ana, bea, nobody } = await join()
    const { id } = await ask(ana, 'What only ana asks')
    for (const other of [bea, admin]) {
      expect((await other('GET', `/predictions/${id}`)).status).toBe(404)
      expect((await other('DELETE', `/predictions/${id}`)).status).toBe(404)
      expect((await listOf(other)).items).toEqual([])
      expect(await bodyOf(await other('DELETE', '/predictions'))).toEqual({ deleted: 0 })
    }
    for (const other of [bea, nobody, admin]) {
      for (const body of [
        { prediction_id: id, rating: 'up' },
        { prediction_id: `chatcmpl-${id}`, rating: 'down', correction: 'x' },
      ])
        expect((await other('POST', '/feedback', body)).status).toBe(404)
    }
    for (const other of [bea, nobody]) {
      const expected = expect.toBeOneOf([401, 403])
      for (const [method, path] of [
        ['GET', '/admin/predictions'],
        ['GET', `/admin/predictions/${id}`],
        ['DELETE', `/admin/predictions/${id}`],
      ] as const)
        expect((await other(method, path)).status).toEqual(expected)
    }
    expect((await ana('GET', `/predictions/${id}`)).status).toBe(200)
  })

  test('of someone without an account is read by nobody without one: all behind one proxy may have the same address', async () => {
    const { admin, nobody } = await join()
    const { id } = await ask(nobody, 'Mine')
    for (const [method, path] of [
      ['GET', '/predictions'],
      ['GET', `/predictions/${id}`],
      ['DELETE', '/predictions'],
      ['DELETE', `/predictions/${id}`],
    ] as const)
      expect((await nobody(method, path)).status, `${method} ${path}`).toBe(401)
    expect(await bodyOf(await admin('GET', '/admin/predictions?user=address:127.0.0.1'))).toMatchObject({ items: [{ id }] })
    expect((await admin('DELETE', `/admin/predictions/${id}`)).status).toBe(204)
  })

  test('is found page by page, by model, rating and time', async () => {
    const { ana } = await join()
    const ids: string[] = []
    for (const prompt of ['one', 'two', 'three', 'four', 'five']) {
      ids.push((await ask(ana, prompt)).id)
      await setImmediate()
    }
    const first = await listOf(ana, '?limit=3')
    const second = await listOf(ana, `?limit=3&cursor=${first.next_cursor}`)
    expect([...first.items, ...second.items].map(({ id }) => id).sort()).toEqual(ids.toSorted())
    expect(second.next_cursor).toBeNull()
    for (const rating of ['up', 'down', 'up']) await ana('POST', '/feedback', { prediction_id: ids[0], rating })
    await ana('POST', '/feedback', { prediction_id: ids[1], rating: 'down' })
    const idsOf = async (query: string) => (await listOf(ana, query)).items.map(({ id }) => id)
    expect(await idsOf('?rating=down')).toEqual([ids[1]])
    expect(await idsOf('?rating=none')).toHaveLength(3)
    expect(await idsOf('?model=other')).toEqual([])
    expect(await idsOf('?model=fake&from=2020-01-01')).toHaveLength(5)
    expect(await idsOf('?to=2020-01-01')).toEqual([])
    for (const query of ['?rating=good', '?from=yesterday', '?limit=0', '?cursor=x', '?page=1'])
      expect((await ana('GET', `/predictions${query}`)).status, query).toBe(400)
  })

  test('goes when its owner deletes it, one or all, out of the live rows of the database, and nobody else’s with it', async () => {
    const { ana, bea } = await join()
    const storage = await openStorage({ url: await databaseAt(`${server.dataDir}/simpleia.db`) })
    const { id } = await ask(ana, 'The first secret of ana')
    await ask(ana, 'The second secret of ana')
    await ask(bea, 'The word of bea')
    expect((await ana('DELETE', `/predictions/${id}`)).status).toBe(204)
    expect((await ana('DELETE', `/predictions/${id}`)).status).toBe(404)
    for (let count = 0; count < 150; count += 1) await ask(ana, `Again a secret of ana, ${count}`, { seed: 1 })
    expect(await bodyOf(await ana('DELETE', '/predictions'))).toEqual({ deleted: 151 })
    const rows = await storage.db.selectFrom('predictions').selectAll().execute()
    await storage.close()
    expect(JSON.stringify(rows)).not.toContain('secret of ana')
    expect(rows).toHaveLength(1)
  })

  test('takes the feedback on it along, and that of others stays', async () => {
    const { admin, ana, bea } = await join()
    const ids = [(await ask(ana, 'one')).id, (await ask(ana, 'two')).id, (await ask(bea, 'three')).id] as const
    for (const [place, id] of ids.entries())
      await (place === 2 ? bea : ana)('POST', '/feedback', { prediction_id: id, rating: 'down', correction: 'A secret' })
    await ana('POST', '/feedback', { text: 'On no answer' })
    const rated = async () =>
      (await bodyOf<{ items: Array<{ prediction_id: string | null }> }>(await admin('GET', '/feedback'))).items.map(
        (item) => item.prediction_id,
      )
    await ana('DELETE', `/predictions/${ids[0]}`)
    expect((await rated()).toSorted()).toEqual([ids[1], ids[2], null].toSorted())
    await ana('DELETE', '/predictions')
    expect((await rated()).toSorted()).toEqual([ids[2], null].toSorted())
    await admin('DELETE', `/admin/users/${(await bodyOf<{ id: string }>(await bea('GET', '/auth/me'))).id}`)
    expect(await rated()).toEqual([null])
  })

  test('goes with its user', async () => {
    const { admin, ana } = await join()
    const { id } = await ask(ana, 'Mine')
    const me = await bodyOf<{ id: string }>(await ana('GET', '/auth/me'))
    await admin('DELETE', `/admin/users/${me.id}`)
    expect((await admin('GET', `/admin/predictions/${id}`)).status).toBe(404)
  })

  test('an admin may read and delete one by one, in lists without texts, and the log tells it', async () => {
    const lines: string[] = []
    await using logged = await startServer({
      host: engine(),
      settings: { LOG_LEVEL: 'warn' },
      logStream: { write: (line) => void lines.push(line) },
    })
    const admin = callerAt(logged, await logged.login('root'))
    const ana = callerAt(logged, await logged.login('ana'))
    const { id } = await ask(ana, 'What only ana asks')
    await ask(admin, 'Of root')
    const me = await bodyOf<{ id: string }>(await ana('GET', '/auth/me'))
    for (const user of ['ana', 'ANA', `user:${me.id}`]) {
      const list = await (await admin('GET', `/admin/predictions?user=${user}`)).text()
      expect(list).toContain(id)
      expect(list).not.toContain('only ana')
      expect(JSON.parse(list).items).toHaveLength(1)
    }
    expect((await bodyOf<{ items: object[] }>(await admin('GET', '/admin/predictions'))).items).toHaveLength(2)
    expect((await bodyOf<{ items: object[] }>(await admin('GET', '/admin/predictions?user=zoe'))).items).toEqual([])
    const [own] = (await listOf(admin)).items
    await admin('GET', `/admin/predictions/${own?.id}`)
    expect(lines.join('')).not.toContain('An admin has')
    expect(await (await admin('GET', `/admin/predictions/${id}`)).text()).toContain('What only ana asks')
    expect((await admin('DELETE', `/admin/predictions/${id}`)).status).toBe(204)
    expect((await admin('DELETE', `/admin/predictions/${id}`)).status).toBe(404)
    expect(lines.join('')).toMatch(/"predictionId":"[^"]+".*An admin has read[\s\S]*An admin has deleted/)
    await (await admin('GET', '/feedback?format=jsonl')).text()
    expect(lines.join('')).not.toContain('exported')
    await (await admin('GET', '/feedback?format=jsonl&with=prediction')).text()
    expect(lines.join('')).toMatch(/"admin":"[^"]+".*An admin has exported feedback with its answers/)
  })
})
