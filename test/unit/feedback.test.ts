import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openWorld, type World } from '../fakes-storage.ts'
import { fillDisk, makeReadOnly } from '../refuse-writes.ts'

let world: World
let admin: Awaited<ReturnType<World['join']>>
let user: Awaited<ReturnType<World['join']>>

beforeEach(async () => {
  world = await openWorld({ allowAnonymous: true })
  admin = await world.join('admin')
  user = await world.join('ana')
})
afterEach(() => world.close())

type Item = Readonly<{ id: string; text: string | null; created_at: string }>
type Page = Readonly<{ items: readonly Item[]; next_cursor: string | null }>

const get = (query = '') => world.http.inject({ url: `/feedback${query}`, headers: admin.headers })
const page = async (query = '') => (await get(query)).json<Page>()

/** Stores many without asking one by one over HTTP. */
async function fill(count: number, createdAt = (index: number) => new Date(world.clock.ms + index).toISOString()): Promise<void> {
  const rows = Array.from({ length: count }, (_, index) => ({
    id: `id-${String(index).padStart(5, '0')}`,
    text: `number ${index}`,
    createdAt: createdAt(index),
    userId: null,
    predictionId: null,
    rating: null,
    correction: null,
    rejectedPredictionId: null,
    tags: '[]',
  }))
  for (let start = 0; start < count; start += 500)
    await world.db
      .insertInto('feedback')
      .values(rows.slice(start, start + 500))
      .execute()
}

describe('giving feedback', () => {
  test('a text, by a user and by somebody unknown', async () => {
    const [known, unknown] = [
      await world.post('/feedback', { text: 'Muy bien' }, user.headers),
      await world.post('/feedback', { text: 'Bad' }),
    ]
    expect([known.statusCode, unknown.statusCode]).toEqual([201, 201])
    expect(known.json()).toEqual({ id: expect.any(String), created_at: '2026-01-01T00:00:00.000Z' })
    const { items } = await page()
    expect(items.find(({ id }) => id === known.json<Item>().id)).toEqual({
      id: known.json<Item>().id,
      user_id: user.id,
      prediction_id: null,
      rating: null,
      text: 'Muy bien',
      rejected_prediction_id: null,
      correction: null,
      tags: [],
      created_at: '2026-01-01T00:00:00.000Z',
    })
    expect(items.find(({ id }) => id === unknown.json<Item>().id)).toMatchObject({ user_id: null, text: 'Bad' })
  })

  test('a rating of an answer, with and without a correction and a text', async () => {
    const full = { prediction_id: 'p-1', rating: 'down', correction: 'Madrid', text: 'wrong' }
    expect((await world.post('/feedback', full)).statusCode).toBe(201)
    expect((await page()).items).toMatchObject([full])
    expect((await world.post('/feedback', { prediction_id: 'p-1', rating: 'up' })).statusCode).toBe(201)
  })

  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg/onload=alert(1)>',
    '"><iframe srcdoc="<script>alert(1)</script>">',
    '[x](javascript:alert(1))',
    '&lt;b&gt; &amp;amp; &#x3c;',
    `' OR 1=1; DROP TABLE feedback; --`,
    '{{constructor.constructor("alert(1)")()}} \u0024{7*7} <%= 7*7 %>',
    '  spaces, \t tabs,\r\nlines\n\n ',
    'e\u0301 ≠ é, ﬁ ≠ fi, Ａ, 😀👩‍👩‍👧, \u202eright to left, \u200b, \ufeff',
    'a\u0000b',
    '=HYPERLINK("http://evil.example")',
    '😀'.repeat(5000),
  ])('is kept as typed, byte for byte: %j', async (text) => {
    expect((await world.post('/feedback', { text })).statusCode).toBe(201)
    expect((await world.post('/feedback', { prediction_id: 'p', rating: 'up', correction: text })).statusCode).toBe(201)
    const { items } = await page()
    expect(items.map((item) => item.text).filter((one) => one !== null)).toEqual([text])
    expect(
      (await get('?format=jsonl')).body
        .split('\n')
        .filter(Boolean)
        .map((line): unknown => JSON.parse(line)),
    ).toEqual(items)
    const stored = await world.db.selectFrom('feedback').select('correction').where('rating', '=', 'up').executeTakeFirstOrThrow()
    expect(stored.correction).toBe(text)
  })

  test.each([
    [{}, 'text'],
    [{ text: '' }, 'text'],
    [{ text: 'x'.repeat(5001) }, 'text'],
    [{ text: 5 }, 'text'],
    [{ text: null }, 'text'],
    [{ rating: 'up' }, 'prediction_id'],
    [{ prediction_id: 'p' }, 'rating'],
    [{ text: 'x', correction: 'y' }, 'prediction_id'],
    [{ prediction_id: 'p', rating: 'good' }, 'rating'],
    [{ prediction_id: 'p', rating: 'up', stars: 5 }, 'stars'],
    [{ text: 'x', user_id: 'somebody' }, 'user_id'],
  ])('that does not fit is a 400 that names the field (%#)', async (body, field) => {
    const answer = await world.post('/feedback', body)
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toMatchObject({ error: { code: 'invalid' } })
    expect(answer.json<{ error: { details: Array<{ field: string }> } }>().error.details.map((detail) => detail.field)).toContain(
      field,
    )
    expect((await page()).items).toEqual([])
  })

  test('half a character is refused: it could not be kept as typed', async () => {
    const answer = await world.http.inject({
      method: 'POST',
      url: '/feedback',
      payload: '{"text":"half \\ud83d"}',
      headers: { 'content-type': 'application/json' },
    })
    expect(answer.statusCode).toBe(400)
  })

  test('outlives the user who gave it, without the name', async () => {
    await world.post('/feedback', { text: 'mine' }, user.headers)
    await world.http.inject({ method: 'DELETE', url: `/admin/users/${user.id}`, headers: admin.headers })
    expect((await page()).items).toMatchObject([{ text: 'mine', user_id: null }])
  })
})

describe('reading feedback', () => {
  test('is for admins', async () => {
    for (const url of ['/feedback', '/feedback?format=jsonl']) {
      expect((await world.http.inject({ url })).statusCode).toBe(401)
      expect((await world.http.inject({ url, headers: user.headers })).statusCode).toBe(403)
    }
  })

  test.each([
    ['at different times', undefined],
    ['at the same time', () => '2026-01-01T00:00:00.000Z'],
  ])('in pages, newest first, each exactly once, also when given %s', async (_, createdAt) => {
    await fill(25, createdAt)
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const { items, next_cursor }: Page = await page(`?limit=10${cursor && `&cursor=${cursor}`}`)
      expect(items.length).toBeGreaterThan(0)
      seen.push(...items.map(({ id }) => id))
      // Newer feedback does not move what comes after.
      if (seen.length === 10) {
        world.clock.ms += 1000
        await world.post('/feedback', { text: 'meanwhile' })
      }
      cursor = next_cursor
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_unused, index) => `id-${String(24 - index).padStart(5, '0')}`))
  })

  test.each(['limit=0', 'limit=201', 'limit=ten', 'cursor=nonsense', 'cursor=', 'format=csv', 'page=2'])(
    'refuses %s',
    async (query) => {
      const answer = await get(`?${query}`)
      expect([answer.statusCode, answer.json<{ error: { code: string } }>().error.code]).toEqual([400, 'invalid'])
    },
  )

  test('as JSONL gives all of it, one object a line', async () => {
    await fill(1203)
    const answer = await get('?format=jsonl')
    expect(answer.headers['content-type']).toContain('application/x-ndjson')
    expect(answer.headers['content-disposition']).toContain('feedback.jsonl')
    const lines = answer.body.trimEnd().split('\n')
    expect(lines).toHaveLength(1203)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ text: 'number 1202' })
    expect(JSON.parse(lines[1202] ?? '')).toMatchObject({ text: 'number 0' })
  })
})

test('on a full disk nothing is taken, what is stored can be read, and later it works again', async () => {
  const makeRoom = await fillDisk(world.db, 'feedback')
  const send = () => world.post('/feedback', { text: 'x'.repeat(5000) }, user.headers)
  let answer = await send()
  for (let times = 0; times < 20 && answer.statusCode === 201; times += 1) answer = await send()
  expect([answer.statusCode, answer.json()]).toEqual([507, { error: { code: 'storage_full', message: expect.any(String) } }])
  expect((await get()).statusCode).toBe(200)
  expect((await world.login('ana')).statusCode).toBe(200)
  await makeRoom()
  expect((await send()).statusCode).toBe(201)
})

test('on a disk that has become read-only nothing is taken, what is stored can be read, and later it works again', async () => {
  expect((await world.post('/feedback', { text: 'before' }, user.headers)).statusCode).toBe(201)
  const mend = await makeReadOnly(world.db, 'feedback')
  const refused = await world.post('/feedback', { text: 'x' }, user.headers)
  expect([refused.statusCode, refused.json()]).toMatchObject([503, { error: { code: 'unavailable' } }])
  expect((await page()).items.map(({ text }) => text)).toEqual(['before'])
  await mend()
  expect((await world.post('/feedback', { text: 'after' }, user.headers)).statusCode).toBe(201)
})
