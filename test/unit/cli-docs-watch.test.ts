import { rmSync, writeFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { keepInStep, planSync } from '../../src/cli/docs-sync.ts'
import type { DocumentChunk, IngestMessage, ListedDocument } from '../../src/client.ts'
import { type Asked, createScriptedCli, refuse, spanish, streamOf } from './cli-scripted.ts'

const documentOf = (source: string, more: Partial<ListedDocument> = {}): ListedDocument => ({
  ...{ id: `id-of-${source}`, name: 'Hours', source, media_type: 'text/plain', sha256: '', size_bytes: 2048, pages: null },
  ...{ passages: 3, created_at: '2026-01-01T00:00:00.000Z', updated_at: '2026-01-01T00:00:00.000Z' },
  ...more,
})

/** What the service tells of a document on its way. */
const tell = (...messages: readonly IngestMessage[]) =>
  streamOf(...messages.map(({ type, ...data }) => ({ event: type, data })), { event: 'done', data: {} })
const added = (source: string) => tell({ type: 'document', status: 'added', ...documentOf(source) })

function sourceOf({ body }: Asked): string {
  return body instanceof FormData ? String(body.get('source')) : String(Reflect.get(Object(body), 'url'))
}

/** Ctrl-C for the command that runs here, and not for what runs the tests. */
function ctrlC() {
  const names = ['SIGINT', 'SIGTERM'] as const
  const before = new Set(names.flatMap((name) => process.listeners(name)))
  const listenersOf = (name: (typeof names)[number]) => process.listeners(name).filter((listener) => !before.has(listener))
  onTestFinished(() => {
    for (const name of names) for (const listener of listenersOf(name)) process.off(name, listener)
  })
  return () => {
    for (const listener of listenersOf('SIGINT')) listener('SIGINT')
  }
}

/** A service that takes what it is sent, and a folder with these files. */
async function createFolderCli(files: readonly string[], take: (asked: Asked) => object = (asked) => added(sourceOf(asked))) {
  const held = new Map<string, ListedDocument>()
  const cli = await createScriptedCli({
    'GET /rag/documents': () => ({ documents: [...held.values()], next_after: null }),
    'POST /rag/documents': (asked: Asked) => {
      held.set(sourceOf(asked), documentOf(sourceOf(asked), { id: 'taken' }))
      return take(asked)
    },
    'DELETE /rag/documents/taken': () => new Response(null, { status: 204 }),
  })
  const folder = join(cli.home, 'papers')
  await mkdir(folder)
  const at = (name: string) => join(folder, name)
  for (const name of files) await writeFile(at(name), name)
  return { ...cli, folder, at, sent: () => cli.asked.filter(({ method }) => method === 'POST').map(sourceOf) }
}

test('a folder is watched until Ctrl-C, through what goes wrong on the way', async () => {
  const { start, folder, at } = await createFolderCli(['a.txt'])
  const stop = ctrlC()
  const { done, seen } = start(`docs add ${folder} --watch`)
  await seen(`Watching ${folder}. Ctrl-C ends it.`)
  await rm(at('a.txt'))
  await seen('holds no documents any more, so nothing was removed')
  await writeFile(at('b.txt'), 'b')
  await seen(`${at('b.txt')}: added, 3 passages\n1 taken, 0 unchanged, 0 duplicates, 1 removed, 0 failed.`)
  stop()
  expect((await done).code).toBe(0)
})

test('watching begins with a whole sync, and no file can be watched', async () => {
  const { start, run, folder, at } = await createFolderCli(['a.txt'])
  expect(await run(`docs add ${at('a.txt')} --watch`)).toMatchObject({ code: 1, notes: expect.stringContaining('Only folders') })
  const stop = ctrlC()
  const { done, seen } = start(`docs sync ${folder} --watch`)
  await seen('Watching')
  stop()
  const { code, notes } = await done
  expect({ code, notes }).toMatchObject({ code: 0, notes: expect.stringMatching(/added.*\n1 taken, .*\nWatching.*\n$/) })
})

test('a watch that the system ends is a failure, and one that is over is none', async () => {
  const parts = { settle: async () => {}, sync: async () => {} }
  async function* broken(): AsyncGenerator<string> {
    yield 'one'
    throw new Error('ENOSPC: no watches are left')
  }
  await expect(keepInStep({ ...parts, changes: broken(), signal: new AbortController().signal })).rejects.toThrow('ENOSPC')
  await keepInStep({ ...parts, changes: broken(), signal: AbortSignal.abort() })
})

test('a file that goes or changes while others are sent ends nothing', async () => {
  const texts: string[] = []
  const { run, folder, at, sent } = await createFolderCli(['a.txt', 'b.txt', 'c.txt'], async (asked) => {
    rmSync(at('b.txt'), { force: true })
    writeFileSync(sourceOf(asked), 'another text')
    const file = asked.body instanceof FormData ? asked.body.get('file') : null
    texts.push(file instanceof File ? await file.text() : '')
    return added(sourceOf(asked))
  })
  const { code, notes } = await run(`docs sync ${folder}`)
  expect(code).toBe(1)
  expect(notes).toMatch(/a\.txt: added.*\n.*b\.txt: failed\. Error: ENOENT.*\n.*c\.txt: added.*\n2 taken, .* 1 failed\.\n$/)
  expect(sent()).toEqual([at('a.txt'), at('c.txt')])
  expect(texts).toEqual(['a.txt', 'c.txt'])
})

test('a file that goes while the others are looked at is sent all the same, so that it is told', async () => {
  const { folder, at } = await createFolderCli(['a.txt', 'b.txt'])
  const first = Object.defineProperty(documentOf(at('a.txt')), 'sha256', {
    get() {
      rmSync(at('b.txt'), { force: true })
      return ''
    },
  })
  const { send, unchanged } = await planSync(folder, [first, documentOf(at('b.txt'))])
  expect({ send, unchanged }).toEqual({ send: [at('a.txt'), at('b.txt')], unchanged: [] })
})

test('files are taken in one order, whatever order the disk has', async () => {
  // Bytes put the second first, JavaScript the first.
  const { run, folder, at, sent } = await createFolderCli(['😀.txt', 'ａ.txt', 'b.txt'])
  expect((await run(`docs add ${folder}`)).code).toBe(0)
  expect(sent()).toEqual(['b.txt', '😀.txt', 'ａ.txt'].map(at))
})

test('a person sees how far a document is on one line', async () => {
  const { run } = await createScriptedCli(
    {
      'POST /rag/documents': () =>
        tell(
          { type: 'progress', stage: 'extract' },
          { type: 'progress', stage: 'split' },
          { type: 'progress', stage: 'embed', done: 1, total: 2 },
          { type: 'progress', stage: 'embed' },
          { type: 'document', status: 'added', pages_without_text: 2, ...documentOf('x') },
        ),
    },
    { isPerson: true },
  )
  const url = 'https://example.org/hours'
  const { notes } = await run(`docs add ${url}`)
  expect(notes.split('\r\u001b[K')).toEqual([
    ...['', `Sending and reading ${url}`, `Splitting ${url}`, `Vectors of ${url}: 1 of 2`, `Vectors of ${url}: 0 of 0`],
    expect.stringMatching(/: added, 3 passages\n.*: 2 of its pages are images without text\.\n1 taken,.*\n$/),
  ])
})

test('a page is sent with how it is to be taken, as a file is', async () => {
  const { run, asked, folder } = await createFolderCli(['a.txt'])
  await run(`docs add https://example.org/ ${folder} --collection sea --chunk-tokens 99`)
  const [page, file] = asked.map(({ body }) => (body instanceof FormData ? Object.fromEntries(body) : body))
  expect(page).toEqual({ url: 'https://example.org/', collection: 'sea', chunk_tokens: 99 })
  expect(file).toMatchObject({ collection: 'sea', chunk_tokens: '99', file: expect.any(File) })
})

test('a service that refuses one goes on with the others, and one that refuses all is asked no more', async () => {
  const failing = (status: number, code: string) =>
    createFolderCli(['a.txt', 'b.txt'], () => refuse(status, { code, message: 'Not so.' }))
  const one = await failing(413, 'too_large')
  expect(await one.run(`docs add ${one.folder}`)).toMatchObject({ code: 1, notes: expect.stringContaining(' 2 failed.') })
  expect(one.sent()).toHaveLength(2)
  const all = await failing(401, 'unauthorized')
  expect(await all.run(`docs add ${all.folder}`)).toMatchObject({ code: 1, notes: expect.stringContaining('Log in first') })
  expect(all.sent()).toHaveLength(1)
})

test('a folder with nothing to read is said to be one, in Spanish too', async () => {
  const { run, home } = await createScriptedCli({}, { variables: spanish })
  await mkdir(join(home, 'photos'))
  await writeFile(join(home, 'photos', 'a.jpg'), '')
  expect(await run(`docs add ${home}/photos`)).toMatchObject({
    code: 0,
    notes: `Nada en ${home}/photos se puede leer como documento.\n0 incorporados, 0 sin cambios, 0 duplicados, 0 borrados, 0 con error.\n`,
  })
})

test('a document is shown with the places of its parts, and whole as JSON', async () => {
  const shown = documentOf('hours.pdf', { id: 'd1', pages: 7 })
  const chunks: readonly DocumentChunk[] = [
    { position: 0, text: 'Opens\u001b[2J at ten.', page: 2, section: 'Hours', metadata: {} },
    { position: 1, text: 'Closes.', metadata: {} },
  ]
  const { run } = await createScriptedCli({
    'GET /rag/documents/d1': ({ query }: Asked) => ({ ...shown, ...(query.has('chunks') ? { chunks } : {}) }),
    'GET /rag/documents': { documents: [shown, documentOf('b.txt', { id: 'd2' })], next_after: null },
  })
  expect((await run('docs show d1')).output).toBe(
    'd1\tHours\thours.pdf\t3\t7 p.\t2.0 KB\n\n[#0 · page 2 · Hours]\nOpens[2J at ten.\n\n[#1]\nCloses.\n',
  )
  expect(JSON.parse((await run('docs show d1 --json')).output)).toEqual({ ...shown, chunks })
  expect((await run('docs list')).output).toBe('d1\tHours\thours.pdf\t3\t7 p.\t2.0 KB\nd2\tHours\tb.txt\t3\t\t2.0 KB\n')
})

test('a collection that is not there yet has no documents, and another refusal is one', async () => {
  const { run } = await createScriptedCli({
    'GET /rag/documents': ({ query }: Asked) =>
      query.get('collection') === 'new'
        ? refuse(404, { code: 'not_found', message: 'There is no collection "new".' })
        : refuse(403, { code: 'forbidden', message: 'It is not yours.' }),
  })
  expect(await run('docs list --collection new')).toMatchObject({ code: 0, notes: 'There are no documents.\n' })
  expect(await run('docs list --collection hers')).toMatchObject({ code: 1, notes: 'It is not yours.\n' })
})
