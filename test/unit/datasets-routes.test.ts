import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DatasetAnswer, RowItem } from '../../src/datasets/schema.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let server: TestServer
let admin: Readonly<{ authorization: string }>

beforeEach(async () => {
  server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['Lyon'] }) }) })
  admin = { authorization: `Bearer ${await server.login('root')}` }
})
afterEach(() => server[Symbol.asyncDispose]())

type Failure = Readonly<{ error: { code: string; message: string; details?: ReadonlyArray<{ field: string }> } }>
type Page<T> = Readonly<{ items: readonly T[]; next_cursor: string | null }>

const get = (path: string) => fetch(`${server.url}${path}`, { headers: admin })
const post = (path: string, body: object, headers: Record<string, string> = admin) =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { ...headers, ...(body instanceof FormData ? {} : { 'content-type': 'application/json' }) },
    body: body instanceof FormData ? body : JSON.stringify(body),
  })

function form(content: string | Uint8Array<ArrayBuffer>, fields: Record<string, string>, fileName = 'data.jsonl'): FormData {
  const made = new FormData()
  for (const [name, value] of Object.entries(fields)) made.set(name, value)
  made.set('file', new Blob([content]), fileName)
  return made
}

const topics = ['Rome', 'salt', 'tides', 'bread', 'glass', 'bees', 'chess', 'iron', 'wool', 'Mars', 'ink', 'maps']
const chatRows = topics.map((topic, index) => ({
  messages: [
    { role: 'user', content: `Tell me one thing about ${topic}, please, number ${index * 7919}` },
    { role: 'assistant', content: `${topic} ${topic.split('').reverse().join(' ')} ${index ** 5}` },
  ],
}))
const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

describe('a file that is uploaded', () => {
  test('becomes a dataset with a report, whose rows can be read, filtered and exported', async () => {
    const content = `${lines(chatRows)}\n{"messages": [\n${lines([{ messages: 'no' }, chatRows[0] ?? {}])}`
    const answer = await post('/datasets', form(content, { name: 'facts', seed: '7' }))
    expect(answer.status).toBe(201)
    const dataset = await bodyOf<DatasetAnswer>(answer)
    expect(dataset).toMatchObject({
      name: 'facts',
      version: 1,
      kind: 'chat',
      source: 'upload',
      origin: { file: 'data.jsonl', bytes: Buffer.byteLength(content) },
      report: {
        container: 'json-lines',
        records: 15,
        rows: 13,
        empty_lines: 1,
        formats: [{ format: 'chat', count: 13 }],
        refused: [
          { reason: 'broken-json', count: 1, examples: [{ line: 14 }] },
          { reason: 'wrong-shape', count: 1, examples: [{ line: 15 }] },
        ],
        flags: [{ flag: 'duplicate', count: 1, examples: [{ line: 16, first_line: 1 }] }],
        split: { seed: 7, held_out: 0.1, train_rows: 12, held_out_rows: 1, conversations: 12 },
      },
    })
    expect([dataset.train_rows, dataset.held_out_rows]).toEqual([12, 1])

    const rows: RowItem[] = []
    let cursor = ''
    do {
      const page: Page<RowItem> = await bodyOf(await get(`/datasets/facts/rows?limit=5${cursor}`))
      rows.push(...page.items)
      cursor = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`
    } while (cursor !== '')
    expect(rows.map(({ row }) => row)).toEqual([...chatRows, chatRows[0]])
    expect(rows.map(({ position }) => position)).toEqual(Array.from({ length: 13 }, (_, index) => index))
    const flagged = await bodyOf<Page<RowItem>>(await get('/datasets/facts:1/rows?flag=duplicate'))
    expect(flagged.items.map(({ position, flags }) => [position, flags])).toEqual([[12, ['duplicate']]])
    const held = await bodyOf<Page<RowItem>>(await get(`/datasets/${dataset.id}/rows?split=held-out`))
    expect(held.items).toHaveLength(1)

    const exported = await get('/datasets/facts/export')
    expect(exported.headers.get('content-type')).toContain('application/x-ndjson')
    expect(await exported.text()).toBe(lines([...chatRows, chatRows[0] ?? {}]))
    expect((await (await get('/datasets/facts/export?split=held-out')).text()).trim().split('\n')).toHaveLength(1)
  })

  test('again under its name is the next version, and leaves the one before as it was', async () => {
    const first = await bodyOf<DatasetAnswer>(await post('/datasets', form(lines(chatRows), { name: 'facts' })))
    const second = await bodyOf<DatasetAnswer>(await post('/datasets', form(lines(chatRows.slice(1)), { name: 'facts' })))
    const other = await bodyOf<DatasetAnswer>(await post('/datasets', form('one\ntwo\n', { name: 'texts' }, 'a.txt')))
    expect([first.version, second.version, other.version, other.kind]).toEqual([1, 2, 1, 'text'])
    expect(await bodyOf(await get('/datasets/facts'))).toEqual(second)
    expect(await bodyOf(await get('/datasets/facts:1'))).toEqual(first)
    const listed = await bodyOf<Page<DatasetAnswer>>(await get('/datasets?limit=2'))
    expect(listed.items).toHaveLength(2)
    const rest = await bodyOf<Page<DatasetAnswer>>(await get(`/datasets?limit=2&cursor=${listed.next_cursor}`))
    expect([...listed.items, ...rest.items].map(({ id }) => id).sort()).toEqual([first.id, second.id, other.id].sort())
    expect((await bodyOf<Page<DatasetAnswer>>(await get('/datasets?name=texts'))).items.map(({ id }) => id)).toEqual([other.id])
  })

  test('leaves rows with a flag out where that is asked for', async () => {
    const content = lines([...chatRows, { text: 'unused' }].slice(0, 12)) + lines([chatRows[3] ?? {}])
    const dataset = await bodyOf<DatasetAnswer>(
      await post('/datasets', form(content, { name: 'facts', exclude_flagged: 'duplicate,secret', held_out: '0' })),
    )
    expect(dataset.report).toMatchObject({ rows: 12, excluded: [{ flag: 'duplicate', count: 1 }], excluded_rows: 1 })
    expect([dataset.train_rows, dataset.held_out_rows]).toEqual([12, 0])
  })

  test('with preview is only read and counted: first rows and a report, and no dataset', async () => {
    const content = lines([...chatRows, chatRows[0] ?? {}, { messages: 'no' }])
    const answer = await post('/datasets', form(content, { name: 'facts', preview: 'true' }))
    expect(answer.status).toBe(200)
    expect(await bodyOf(answer)).toMatchObject({
      name: 'facts',
      kind: 'chat',
      train_rows: 12,
      held_out_rows: 1,
      rows: chatRows.slice(0, 10).map((row, position) => ({ position, row })),
      report: { rows: 13, refused: [{ reason: 'wrong-shape', count: 1 }], flags: [{ flag: 'duplicate', count: 1 }] },
    })
    expect((await post('/datasets', { name: 'facts', rows: chatRows, preview: true })).status).toBe(200)
    expect(await bodyOf(await get('/datasets'))).toEqual({ items: [], next_cursor: null })
    const made = await bodyOf<DatasetAnswer>(await post('/datasets', form(content, { name: 'facts', preview: 'false' })))
    expect(made.version).toBe(1)
  })

  test.each([
    ['no row', '{"a":1}\n', 422, 'No format has its fields'],
    ['nothing', '', 422, 'It is empty'],
    ['two kinds of rows', '{"text":"a"}\n{"prompt":"b","completion":"c"}\n', 422, '"text"'],
    ['Parquet', 'PAR1....', 422, 'Parquet'],
    ['JSON that is none', '{"a"\n{"b"\n', 422, 'JSON lines'.slice(0, 4)],
  ])('that holds %s is refused, and leaves nothing', async (_, content, status, words) => {
    const answer = await post('/datasets', form(content, { name: 'facts' }))
    const { error } = await bodyOf<Failure>(answer)
    expect({ status: answer.status, message: error.message }).toEqual({ status, message: expect.stringContaining(words) })
    expect(await bodyOf(await get('/datasets'))).toEqual({ items: [], next_cursor: null })
  })

  test.each([
    [{}, 'name'],
    [{ name: '../x' }, 'name'],
    [{ name: 'a:1' }, 'name'],
    [{ name: 'a', held_out: '0.6' }, 'held_out'],
    [{ name: 'a', held_out: 'x' }, 'held_out'],
    [{ name: 'a', held_out: ' ' }, 'held_out'],
    [{ name: 'a', seed: '-1' }, 'seed'],
    [{ name: 'a', format: 'parquet' }, 'format'],
    [{ name: 'a', exclude_flagged: 'everything' }, 'exclude_flagged'],
    [{ name: 'a', sead: '1' }, 'sead'],
    [{ name: 'a', preview: 'maybe' }, 'preview'],
  ])('with fields %j is a 400 that names the field', async (fields, field) => {
    const answer = await post('/datasets', form(lines(chatRows), fields as Record<string, string>))
    const { error } = await bodyOf<Failure>(answer)
    expect([answer.status, error.details?.[0]?.field]).toEqual([400, field])
  })

  test('may come once in a form, and not too large', async () => {
    const two = form('a\n', { name: 'a' }, 'a.txt')
    two.append('file', new Blob(['b\n']), 'b.txt')
    expect((await post('/datasets', two)).status).toBe(400)
    const without = new FormData()
    without.set('name', 'a')
    expect((await post('/datasets', without)).status).toBe(400)
    await using small = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: [] }) }),
      settings: { MAX_DOCUMENT_BYTES: '1000' },
    })
    const headers = { authorization: `Bearer ${await small.login('root')}` }
    const body = form('a line\n'.repeat(1000), { name: 'a' }, 'a.txt')
    const answer = await fetch(`${small.url}/datasets`, { method: 'POST', headers, body })
    expect([answer.status, (await bodyOf<Failure>(answer)).error.message]).toEqual([413, expect.stringContaining('MAX_DOCUMENT')])
  })

  test('may say its format, and is called by the last part of its name; a list may be JSON, but not long', async () => {
    const body = form('a\n', { name: 'a', format: 'text' }, 'C:\\texts\\notes')
    body.set('exclude_flagged', '["duplicate"]')
    expect(await bodyOf<DatasetAnswer>(await post('/datasets', body))).toMatchObject({
      origin: { file: 'notes', format: 'text', exclude_flagged: ['duplicate'] },
    })
    const long = await post('/datasets', form('a\n', { name: 'a', exclude_flagged: 'x'.repeat(70_000) }))
    expect(long.status).toBe(413)
    expect((await get('/datasets/a/rows?cursor=x')).status).toBe(400)
  })

  test('of a hundred thousand lines has all of its rows', async () => {
    const rows = Array.from(
      { length: 100_000 },
      (_, index) => `{"prompt":"${(index * 7919) % 99_991}","completion":"${index}"}\n`,
    )
    const dataset = await bodyOf<DatasetAnswer>(await post('/datasets', form(rows.join(''), { name: 'many' })))
    expect(dataset.report).toMatchObject({ records: 100_000, rows: 100_000, refused: [] })
    expect(dataset.train_rows + dataset.held_out_rows).toBe(100_000)
    const exported = await (await get('/datasets/many/export')).text()
    expect(exported.split('\n')).toHaveLength(100_001)
    const last = await bodyOf<Page<RowItem>>(await get(`/datasets/many/rows?flag=secret:card`))
    expect(last).toEqual({ items: [], next_cursor: null })
  }, 60_000)
})

describe('rows in a request', () => {
  test('are told by their places, and odd ones are counted', async () => {
    const body = { name: 'facts', rows: [...chatRows, 5, { prompt: 'half \ud83d', completion: 'x' }] }
    const dataset = await bodyOf<DatasetAnswer>(await post('/datasets', body))
    expect(dataset.origin).toEqual({ rows: 14 })
    expect(dataset.report.refused).toMatchObject([
      { reason: 'wrong-shape', examples: [{ line: 13 }] },
      { reason: 'broken-text', examples: [{ line: 14 }] },
    ])
  })

  test.each([
    [{ name: 'a' }, 'Send either'],
    [{ name: 'a', rows: [{ text: 'x' }], from_feedback: { method: 'sft' } }, 'Send either'],
    [{ name: 'a', rows: [] }, 'rows'],
    [{ name: 'a', from_feedback: {} }, 'method'],
    [{ name: 'a', from_feedback: { method: 'sft' }, format: 'chat' }, 'format'],
    [{ name: 'a', from_feedback: { method: 'sft', to: 'tomorrow' } }, 'from_feedback.to'],
    [{ name: 'a', from_feedback: { method: 'sft', raiting: 'up' } }, 'raiting'],
    [{ name: 'a', from_feedback: { method: 'sft', user: 'nobody-there' } }, 'from_feedback.user'],
    [{ name: 'a', from_feedback: { method: 'sft', from: 'yesterday' } }, 'from_feedback.from'],
    [{ name: 'a', rows: [{ text: 'x' }], extra: 1 }, 'extra'],
  ])('that do not fit are a 400 (%#)', async (body, words) => {
    const answer = await post('/datasets', body)
    const { error } = await bodyOf<Failure>(answer)
    expect([answer.status, error.message]).toEqual([400, expect.stringContaining(words)])
  })
})

test('feedback on answers becomes a dataset', async () => {
  const ana = { authorization: `Bearer ${await server.login('ana')}` }
  const ask = async (prompt: string) => {
    const answer = await post('/predict', { prompt }, ana)
    expect(answer.status).toBe(200)
    return (await bodyOf<{ id: string }>(answer)).id
  }
  const rate = async (prediction_id: string, rest: object) =>
    expect((await post('/feedback', { prediction_id, ...rest }, ana)).status).toBe(201)
  await rate(await ask('Capital of France?'), { rating: 'down', correction: 'Paris' })
  await rate(await ask('A city in France?'), { rating: 'up' })
  await rate(await ask('Capital of Spain?'), { rating: 'down' })
  await post('/feedback', { text: 'nice' }, ana)

  const chat = await bodyOf<DatasetAnswer>(await post('/datasets', { name: 'mine', from_feedback: { method: 'sft' } }))
  expect(chat).toMatchObject({
    source: 'feedback',
    origin: { method: 'sft' },
    report: {
      feedback: {
        lessons: 3,
        used: 2,
        left_out: [
          { reason: 'disliked', count: 1 },
          { reason: 'text-only', count: 1 },
        ],
      },
    },
  })
  const exported = await (await get('/datasets/mine/export')).text()
  expect(
    exported
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
  ).toEqual([
    {
      messages: [
        { role: 'user', content: 'Capital of France?' },
        { role: 'assistant', content: 'Paris' },
      ],
    },
    {
      messages: [
        { role: 'user', content: 'A city in France?' },
        { role: 'assistant', content: 'Lyon' },
      ],
    },
  ])
  await post('/datasets', { name: 'pairs', from_feedback: { method: 'dpo', user: 'ana' } })
  expect(JSON.parse(await (await get('/datasets/pairs/export')).text())).toEqual({
    prompt: [{ role: 'user', content: 'Capital of France?' }],
    chosen: [{ role: 'assistant', content: 'Paris' }],
    rejected: [{ role: 'assistant', content: 'Lyon' }],
  })
  const choice = { method: 'dpo', from: '2020-01-01', to: '2020-12-31' }
  const early = await post('/datasets', { name: 'none', from_feedback: choice })
  expect([early.status, (await bodyOf<Failure>(early)).error.message]).toEqual([422, expect.stringContaining('No feedback')])
  const shown = await post('/datasets', { name: 'pairs', from_feedback: { method: 'dpo' }, preview: true })
  expect(await bodyOf(shown)).toMatchObject({ train_rows: 1, report: { feedback: { used: 1 } } })
  const none = await post('/datasets', { name: 'none', from_feedback: { method: 'dpo', rating: 'up' } })
  expect([none.status, (await bodyOf<Failure>(none)).error.message]).toEqual([422, expect.stringContaining('no-other-answer: 1')])
})

test('a dataset is removed with its rows; what is not there is a 404', async () => {
  await post('/datasets', form(lines(chatRows), { name: 'facts' }))
  const remove = (reference: string) => fetch(`${server.url}/datasets/${reference}`, { method: 'DELETE', headers: admin })
  expect((await remove('facts:2')).status).toBe(404)
  expect((await remove('facts:1')).status).toBe(204)
  for (const path of ['/datasets/facts', '/datasets/facts/rows', '/datasets/facts/export'])
    expect((await get(path)).status).toBe(404)
  for (const query of ['limit=0', 'cursor=x', 'split=test', 'flag=odd', 'page=1'])
    expect((await get(`/datasets/facts/rows?${query}`)).status).toBe(query === 'cursor=x' ? 404 : 400)
})

test('datasets are for admins', async () => {
  const ana = { authorization: `Bearer ${await server.login('ana')}` }
  for (const path of ['/datasets', '/datasets/a', '/datasets/a/rows', '/datasets/a/export'])
    expect((await fetch(`${server.url}${path}`, { headers: ana })).status).toBe(403)
  expect((await post('/datasets', { name: 'a', rows: [{ text: 'x' }] }, ana)).status).toBe(403)
})
