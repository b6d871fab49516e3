import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import type { IngestAnswer } from '../../src/rag/document-schema.ts'
import type { FetchPage } from '../../src/rag/fetch-page.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { makePdf, makeScan, zipTexts } from '../document-files.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { startServer, type TestServer } from '../server.ts'
import { readEvents } from '../sse-parser.ts'

type Body = IngestAnswer & { error?: { code: string; message: string } }
type Listed = { documents: Array<{ id: string; source: string; passages: number }>; next_after: string | null }
type Files = ReadonlyArray<readonly [name: string, content: string | Uint8Array]>

async function start(settings: Record<string, string> = {}, fetchPage?: FetchPage) {
  const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })
  // It counts characters as tokens: chunks of 60 characters.
  const embedder = createFakeModel({ maxTokens: 2000 })
  const server = await startServer({
    host,
    embedders: embeddersOf(embedder),
    settings,
    ...(fetchPage === undefined ? {} : { fetchPage }),
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  return { server, ana: userOf(server, await server.login('ana')), embedder }
}

function userOf({ url, dataDir }: TestServer, token: string) {
  const authorization = `Bearer ${token}`
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }
    const response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    const text = await response.text()
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  const formOf = (files: Files, fields: Record<string, string>) => {
    const form = new FormData()
    for (const [name, content] of files)
      form.append('file', new Blob([typeof content === 'string' ? content : new Uint8Array(content)]), name)
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    return form
  }
  return {
    ask,
    async upload(files: Files, fields: Record<string, string> = {}): Promise<{ status: number; body: Body }> {
      const response = await fetch(`${url}/rag/documents`, {
        method: 'POST',
        headers: { authorization },
        body: formOf(files, fields),
      })
      return { status: response.status, body: JSON.parse(await response.text()) }
    },
    async uploadEvents(files: Files) {
      const headers = { authorization, accept: 'text/event-stream' }
      const response = await fetch(`${url}/rag/documents`, { method: 'POST', headers, body: formOf(files, {}) })
      const events = []
      for await (const event of readEvents(response)) events.push({ event: event.event, data: JSON.parse(event.data) })
      return events
    },
    async search(query: string): Promise<string[]> {
      const { body } = await ask('POST', '/embed/search', { query, k: 20 })
      return body.results.map(({ text }: { text: string }) => text)
    },
    list: async (): Promise<Listed> => (await ask('GET', '/rag/documents')).body,
    /** Those of this process. */
    temporaryFiles: () => readdir(join(dataDir, 'uploads', String(process.pid))).catch(() => []),
  }
}

const marker = (version: number) => `The marker word is xylophone${version}, and nothing else.`

async function rowsOf({ dataDir }: TestServer) {
  const { db, close } = await openStorage({ url: await databaseAt(join(dataDir, 'simpleia.db')), now: Date.now })
  const passages = await db.selectFrom('passages').select('text').execute()
  const vectors = await db.selectFrom('vectors').select('passageId').execute()
  await close()
  return { passages: passages.map(({ text }) => text), vectors: vectors.length }
}

test('a document that was deleted or replaced answers no more, and one that is sent twice is there once', async () => {
  const { server, ana } = await start()
  const first = await ana.upload([['marker.md', `# Marker\n\n${marker(1)}`]])
  expect(first.body.documents).toMatchObject([{ status: 'added', name: 'Marker', source: 'marker.md', passages: 1 }])
  expect(await ana.search('xylophone1')).toEqual([expect.stringContaining('xylophone1')])

  expect((await ana.upload([['marker.md', `# Marker\n\n${marker(1)}`]])).body.documents).toMatchObject([{ status: 'unchanged' }])
  expect((await ana.upload([['other.md', `# Marker\n\n${marker(1)}`]])).body.documents).toMatchObject([
    { status: 'duplicate', source: 'marker.md' },
  ])
  expect((await ana.list()).documents).toHaveLength(1)
  expect(await rowsOf(server)).toMatchObject({ passages: { length: 1 }, vectors: 1 })

  const second = await ana.upload([['marker.md', `# Marker\n\n${marker(2)}`]])
  expect(second.body.documents).toMatchObject([
    { status: 'replaced', id: first.body.documents[0] && 'id' in first.body.documents[0] ? first.body.documents[0].id : '' },
  ])
  expect((await ana.search('xylophone1')).join()).not.toContain('xylophone1')
  expect((await rowsOf(server)).passages).toEqual([expect.stringContaining('xylophone2')])

  const [document] = (await ana.list()).documents
  expect((await ana.ask('DELETE', `/rag/documents/${document?.id}`)).status).toBe(204)
  expect(await ana.search('xylophone2')).toEqual([])
  expect(await rowsOf(server)).toEqual({ passages: [], vectors: 0 })
  expect((await ana.ask('GET', `/rag/documents/${document?.id}`)).status).toBe(404)
  expect(await ana.temporaryFiles()).toEqual([])
})

test.each([
  ['scan.pdf', makeScan(), 'OCR'],
  ['broken.pdf', '%PDF-1.4 and nothing more', 'damaged'],
  ['secret.pdf', makePdf([[{ text: 'a' }]], { encrypted: true }), 'password'],
  ['empty.txt', '', 'empty'],
  ['binary.txt', 'some \0 text', 'binary'],
  ['archive.pdf', zipTexts({ 'a.txt': 'a' }), 'ZIP'],
])('%s alone is a 422 with the reason, and leaves nothing', async (name, content, reason) => {
  const { server, ana } = await start()
  const { status, body } = await ana.upload([[name, content]])
  expect({ status, error: body.error }).toEqual({
    status: 422,
    error: { code: 'unprocessable', message: expect.stringContaining(reason) },
  })
  expect(await ana.temporaryFiles()).toEqual([])
  expect((await ana.ask('GET', '/embed/collections')).body).toMatchObject({ collections: [] })
  expect(await rowsOf(server)).toEqual({ passages: [], vectors: 0 })
})

test('UTF-16 and Latin-1 keep their accents', async () => {
  const { ana } = await start()
  const text = 'El niño comió piñas en Cádiz y después se fue a la playa con su abuela.'
  await ana.upload([
    ['wide.txt', new Uint8Array(Buffer.from(`\ufeff${text}`, 'utf16le'))],
    ['old.txt', new Uint8Array(Buffer.from(text.replace('niño', 'niño pequeño'), 'latin1'))],
  ])
  expect((await ana.search('Cádiz')).sort()).toEqual([text, text.replace('niño', 'niño pequeño')].sort())
})

test('a bad file among good ones has its error beside their success', async () => {
  const { ana } = await start()
  const { status, body } = await ana.upload([
    ['a.txt', 'First text.'],
    ['b.pdf', makeScan()],
    ['c.txt', 'Third text.'],
  ])
  expect(status).toBe(200)
  expect(body.documents).toMatchObject([
    { name: 'a.txt', status: 'added' },
    { name: 'b.pdf', status: 'failed', error: { code: 'unprocessable' } },
    { name: 'c.txt', status: 'added' },
  ])
})

test('two files of one name in one form are refused, and nothing of them is kept', async () => {
  const { ana } = await start()
  const { status, body } = await ana.upload([
    ['a/readme.md', 'First text.'],
    ['c.txt', 'Second text.'],
    ['b/readme.md', 'Third text.'],
  ])
  expect({ status, error: body.error }).toMatchObject({
    status: 400,
    error: { code: 'invalid', message: expect.stringMatching(/number 1 and number 3 .*"readme\.md"/) },
  })
  expect(await ana.temporaryFiles()).toEqual([])
  expect((await ana.ask('GET', '/embed/collections')).body).toMatchObject({ collections: [] })
})

test('what is too large is a 413, by its header and without one', async () => {
  const { server, ana } = await start({ MAX_DOCUMENT_BYTES: '200000' })
  const large = 'word '.repeat(100_000)
  const { status, body } = await ana.upload([['a.txt', large]])
  expect([status, body.error?.code]).toEqual([413, 'too_large'])
  const half = 'word '.repeat(30_000)
  expect(
    (
      await ana.upload([
        ['a.txt', half],
        ['b.txt', half],
      ])
    ).status,
  ).toBe(413)
  const boundary = 'x'.repeat(20)
  const chunks = [
    `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n`,
    large,
    `\r\n--${boundary}--\r\n`,
  ]
  const response = await fetch(`${server.url}/rag/documents`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await server.login('ana')}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
    },
    body: Readable.toWeb(Readable.from(chunks.map((chunk) => Buffer.from(chunk)))),
    duplex: 'half',
  })
  expect(response.status).toBe(413)
  expect(await ana.temporaryFiles()).toEqual([])
})

test('progress comes as events, and the last one tells all documents', async () => {
  const { ana } = await start()
  const events = await ana.uploadEvents([
    ['a.txt', 'One sentence here. '.repeat(700)],
    ['b.pdf', makeScan()],
  ])
  const stages = events.filter(({ event }) => event === 'progress').map(({ data }) => `${data.index} ${data.stage}`)
  expect([...new Set(stages)]).toEqual(['0 extract', '0 split', '0 embed', '1 extract'])
  const embedding = events.filter(({ data }) => data.stage === 'embed').map(({ data }) => data.done)
  expect(embedding[0]).toBe(0)
  expect(embedding).toEqual([...embedding].sort((one, other) => one - other))
  expect(events.at(-1)).toMatchObject({ event: 'done', data: { documents: [{ status: 'added' }, { status: 'failed' }] } })
})

test('a form may say all that JSON may, and the chunks of a document tell its pages', async () => {
  const { ana } = await start()
  const pages = ['One', 'Two'].map((word) => [{ text: `${word} harbour shelters ships from the waves of the sea.` }])
  const files: Files = [['C:\\papers\\ports.pdf', makePdf([...pages, []])]]
  const fields = { chunk_tokens: '60', overlap_tokens: '10', force: 'false', metadata: '{"year":2026}', source: 's' }
  const added = { status: 'added', name: 'ports.pdf', source: 's', pages: 3, pages_without_text: 1 }
  const { body } = await ana.upload(files, fields)
  expect(body.documents).toMatchObject([added])
  expect((await ana.upload(files, fields)).body.documents).toMatchObject([{ status: 'unchanged' }])
  expect((await ana.upload(files, { ...fields, force: 'true' })).body.documents).toMatchObject([{ status: 'replaced' }])
  const [document] = (await ana.list()).documents
  const shown = await ana.ask('GET', `/rag/documents/${document?.id}?chunks=true`)
  expect(shown.body.chunks).toMatchObject([1, 2].map((page) => ({ page: 1, last_page: page, metadata: { year: 2026 } })))
})

test('a text comes as JSON, with its metadata on each chunk', async () => {
  const { ana } = await start()
  const { status, body } = await ana.ask('POST', '/rag/documents', {
    name: 'n.md',
    text: '# Boats\n\nFive sail.',
    metadata: { year: 2026 },
    chunk_tokens: 50,
  })
  expect(status).toBe(200)
  const shown = await ana.ask('GET', `/rag/documents/${body.documents[0].id}?chunks=true`)
  expect(shown.body).toMatchObject({
    name: 'Boats',
    media_type: 'text/markdown',
    chunks: [{ position: 0, section: 'Boats', start_offset: 0, end_offset: 17, metadata: { year: 2026 } }],
  })
})

test.each([
  [{}, 'url'],
  [{ url: 'http://example.org', text: 'a', name: 'a' }, 'Send'],
  [{ text: 'a' }, 'Send'],
  [{ url: 'file:///etc/passwd' }, 'http'],
  [{ url: 'http://169.254.169.254/latest' }, 'inside'],
  [{ url: 'http://0x7f000001/' }, 'inside'],
  [{ url: 'http://[::1]/' }, 'inside'],
  [{ url: 'http://localhost/' }, 'inside'],
  [{ name: 'a', text: 'b', chunk_tokens: 1 }, 'chunk_tokens'],
  [{ name: 'a', text: 'b', chunk_tokens: 5000 }, '1990'],
  [{ name: 'a', text: 'b', chunks: 1 }, 'chunks'],
])('%j is a 400', async (sent, words) => {
  const { ana } = await start()
  const { status, body } = await ana.ask('POST', '/rag/documents', sent)
  expect([status, body.error.code]).toEqual([400, 'invalid'])
  expect(body.error.message).toContain(words)
})

test.each([
  [[], {}, 'file'],
  [[['a.txt', 'a']], { chunk_tokens: 'many' }, 'chunk_tokens'],
  [[['a.txt', 'a']], { chunk_tokens: ' ' }, 'chunk_tokens'],
  [[['a.txt', 'a']], { overlap_tokens: 'x' }, 'overlap_tokens'],
  [[['a.txt', 'a']], { force: 'perhaps' }, 'force'],
  [[['a.txt', 'a']], { wrong: 'x' }, 'wrong'],
  [[['a.txt', 'a']], { metadata: 'no json' }, 'metadata'],
  [
    [
      ['a.txt', 'a'],
      ['b.txt', 'b'],
    ],
    { source: 's' },
    'source',
  ],
] satisfies ReadonlyArray<readonly [Files, Record<string, string>, string]>)(
  'a form with %j and %j is a 400',
  async (files, fields, field) => {
    const { ana } = await start()
    const { status, body } = await ana.upload(files, { ...fields, collection: 'c' })
    expect([status, body.error?.code]).toEqual([400, 'invalid'])
    expect(body.error?.message).toContain(field)
    expect(await ana.temporaryFiles()).toEqual([])
  },
)

test('a page of the web is taken under its address', async () => {
  const fetchPage: FetchPage = async (url) => ({
    body: Readable.from([Buffer.from(`<html><body><h1>Ports</h1><p>From ${url.host}.</p></body></html>`)]),
    name: 'index',
    mediaType: 'text/html; charset=utf-8',
  })
  const { ana } = await start({}, fetchPage)
  const { body } = await ana.ask('POST', '/rag/documents', { url: 'https://example.org/ports#top' })
  expect(body.documents).toMatchObject([{ name: 'Ports', source: 'https://example.org/ports', status: 'added' }])
})

test('with LOCAL_ONLY no page is fetched', async () => {
  const { ana } = await start({ LOCAL_ONLY: 'true' })
  expect((await ana.ask('POST', '/rag/documents', { url: 'https://example.org/' })).status).toBe(403)
})

test("another user sees nothing of somebody's documents, and nobody without a name does", async () => {
  const { server, ana } = await start()
  await ana.upload([['a.txt', marker(1)]])
  const [document] = (await ana.list()).documents
  const bea = userOf(server, await server.login('bea'))
  expect((await bea.list()).documents).toEqual([])
  for (const method of ['GET', 'DELETE']) expect((await bea.ask(method, `/rag/documents/${document?.id}`)).status).toBe(404)
  expect((await ana.list()).documents).toHaveLength(1)
  for (const method of ['GET', 'POST']) expect((await fetch(`${server.url}/rag/documents`, { method })).status).toBe(401)
})

test('a list comes in pages', async () => {
  const { ana } = await start()
  await ana.upload(['a', 'b', 'c'].map((name) => [`${name}.txt`, `Text of ${name}.`]))
  const first = (await ana.ask('GET', '/rag/documents?limit=2')).body
  const second = (await ana.ask('GET', `/rag/documents?limit=2&after=${first.next_after}`)).body
  expect([...first.documents, ...second.documents].map(({ source }) => source)).toEqual(['a.txt', 'b.txt', 'c.txt'])
  expect(second.next_after).toBeNull()
  expect((await ana.ask('GET', '/rag/documents?collection=missing')).status).toBe(404)
})

test('a list goes on although the last document of the page was removed meanwhile', async () => {
  const { ana } = await start()
  await ana.upload(['a', 'b', 'c'].map((name) => [`${name}.txt`, `Text of ${name}.`]))
  const first = (await ana.ask('GET', '/rag/documents?limit=2')).body
  await ana.ask('DELETE', `/rag/documents/${first.documents[1].id}`)
  const second = (await ana.ask('GET', `/rag/documents?limit=2&after=${first.next_after}`)).body
  expect(second).toMatchObject({ documents: [{ source: 'c.txt' }], next_after: null })
  const wrong = await ana.ask('GET', `/rag/documents?after=${first.documents[0].id}`)
  expect([wrong.status, wrong.body.error.code]).toEqual([400, 'invalid'])
})

test('the same bytes with other metadata are a change; with the same, or without any, they are none', async () => {
  const { ana } = await start()
  const send = async (more: object) =>
    (await ana.ask('POST', '/rag/documents', { name: 'n.txt', text: 'Five sail.', ...more })).body.documents[0]
  const { id } = await send({ metadata: { year: 2025, tags: ['a'] } })
  expect(await send({ metadata: { tags: ['a'], year: 2025 } })).toMatchObject({ status: 'unchanged', id })
  expect(await send({})).toMatchObject({ status: 'unchanged', id })
  expect(await send({ metadata: { year: 2026 } })).toMatchObject({ status: 'replaced', id })
  const shown = await ana.ask('GET', `/rag/documents/${id}?chunks=true`)
  expect(shown.body.chunks).toMatchObject([{ metadata: { year: 2026 } }])
  expect(shown.body.chunks[0].metadata).toEqual({ year: 2026 })
})
