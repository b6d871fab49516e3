import { expect, test } from 'vitest'
import type { IngestMessage } from '../../src/client.ts'
import { usualCollection as usualOfService } from '../../src/embed/schema.ts'
import { AppError } from '../../src/errors.ts'
import { queryDefaults } from '../../src/rag/query-schema.ts'
import { uncitedSources, unsupportedSpans } from '../../web/documents/ask/checked-sentences.ts'
import { threshold, toTimes } from '../../web/documents/ask/xray.ts'
import { isId, usualCollection } from '../../web/documents/names.ts'
import { usualFirst } from '../../web/documents/order.ts'
import { firstOfPage, nearness, readPassageId } from '../../web/documents/passage-reference.ts'
import { createUploadQueue, shareDone, type Upload, type UploadSource } from '../../web/documents/upload-queue.ts'

const id = '0b6e1f0e-6f6e-4b4c-9a8b-3f1f9d3f2c11'

const document = (name: string, status: 'added' | 'replaced' | 'unchanged' | 'duplicate' = 'added'): IngestMessage => ({
  type: 'document',
  id,
  name,
  source: name,
  media_type: 'text/plain',
  sha256: '0',
  size_bytes: 1,
  pages: null,
  passages: 2,
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-01T00:00:00.000Z',
  status,
})

/** A queue whose uploads wait until the test lets each go on. */
function createWorld() {
  const seen: { uploads: readonly Upload[]; added: Upload[] } = { uploads: [], added: [] }
  const sent: Array<{ name: string; signal: AbortSignal; go: (messages: readonly IngestMessage[] | Error) => void }> = []
  const queue = createUploadQueue({
    async *send(body, signal) {
      const name = body instanceof FormData ? String(body.get('source')) : String(body.name ?? body.url)
      const answer = Promise.withResolvers<readonly IngestMessage[] | Error>()
      signal.addEventListener('abort', () => answer.resolve(new AppError('aborted', 'stopped')))
      sent.push({ name, signal, go: answer.resolve })
      const messages = await answer.promise
      if (messages instanceof Error) throw messages
      yield* messages
    },
    onChange: (uploads) => {
      seen.uploads = uploads
    },
    onAdded: (upload) => seen.added.push(upload),
  })
  const states = () => seen.uploads.map(({ state }) => state)
  return { queue, seen, sent, states }
}

const text = (name: string): UploadSource => ({ kind: 'text', name, text: 'x' })

test('uploads go one after the other, and one that fails keeps none of the others', async () => {
  const { queue, seen, sent, states } = createWorld()
  queue.add('default', [text('a'), text('b'), { kind: 'page', url: 'https://example.org/' }])
  expect(states()).toEqual(['running', 'waiting', 'waiting'])
  sent[0]?.go([{ type: 'progress', stage: 'embed', done: 1, total: 4 }, document('A', 'duplicate')])
  await expect.poll(states).toEqual(['done', 'running', 'waiting'])
  expect(seen.uploads[0]?.result).toMatchObject({ id, name: 'A', status: 'duplicate', passages: 2 })
  const error = { code: 'unprocessable', message: 'It is a scan.' } as const
  sent[1]?.go([{ type: 'document', name: 'b', source: 'b', status: 'failed', error }])
  await expect.poll(states).toEqual(['done', 'failed', 'running'])
  expect(seen.uploads[1]?.error).toMatchObject(error)
  sent[2]?.go([document('page')])
  await expect.poll(states).toEqual(['done', 'failed', 'done'])
  expect(seen.added.map(({ name }) => name)).toEqual(['a', 'https://example.org/'])
})

test('what has failed or was cancelled can be tried again, and what has ended leaves the list', async () => {
  const { queue, seen, sent, states } = createWorld()
  queue.add('default', [text('a'), text('b')])
  const [first = 0, second = 0] = seen.uploads.map((upload) => upload.id)
  queue.cancel(second)
  queue.cancel(first)
  await expect.poll(states).toEqual(['cancelled', 'cancelled'])
  expect(sent[0]?.signal.aborted).toBe(true)
  queue.retry(second)
  await expect.poll(() => sent.length).toBe(2)
  sent[1]?.go(new AppError('unavailable', 'gone'))
  await expect.poll(states).toEqual(['cancelled', 'failed'])
  queue.retry(second)
  await expect.poll(() => sent.length).toBe(3)
  queue.forget(first, second)
  expect(states()).toEqual(['running'])
  sent[2]?.go([document('b')])
  await expect.poll(states).toEqual(['done'])
})

test('an answer that ends without a word of the document is a failure', async () => {
  const { queue, seen, sent, states } = createWorld()
  queue.add('default', [text('a')])
  sent[0]?.go([{ type: 'progress', stage: 'extract' }])
  await expect.poll(states).toEqual(['failed'])
  expect(seen.uploads[0]?.error).toMatchObject({ code: 'unavailable' })
})

test('a file is sent with its path as its source, so that two of one name in two folders are two documents', async () => {
  const forms: FormData[] = []
  const queue = createUploadQueue({
    async *send(body) {
      if (body instanceof FormData) forms.push(body)
      yield document('a')
    },
    onChange: () => {},
    onAdded: () => {},
  })
  const file = new File(['text'], 'notes.txt')
  queue.add('mine', [{ kind: 'file', file, path: 'summer/notes.txt' }])
  await expect.poll(() => forms.length).toBe(1)
  expect(
    Object.fromEntries([...(forms[0] ?? [])].map(([name, value]) => [name, value instanceof File ? value.name : value])),
  ).toEqual({
    collection: 'mine',
    source: 'summer/notes.txt',
    file: 'notes.txt',
  })
})

test('how far an upload is can be told while its vectors are made', () => {
  const upload: Upload = {
    id: 1,
    name: 'a',
    collection: 'default',
    state: 'running',
    stage: 'extract',
    done: 0,
    total: 0,
    result: undefined,
    error: undefined,
  }
  expect(shareDone(upload)).toBeUndefined()
  expect(shareDone({ ...upload, stage: 'embed', done: 3, total: 4 })).toBe(0.75)
  expect(shareDone({ ...upload, state: 'waiting' })).toBe(0)
})

test('of an answer it is told which sentences no source says, and which sources say what was not cited', () => {
  const answer = 'It opens at ten [1]. It closes at six. Dogs fly. It is warm.'
  const sentence = (text: string, supported: boolean | null, citations: number[], nearest: number | null) => ({
    text,
    offset: answer.indexOf(text),
    citations,
    supported,
    support: 0.5,
    nearest_source: nearest,
  })
  const sentences = [
    sentence('It opens at ten [1].', true, [1], 1),
    sentence('It closes at six.', true, [], 2),
    sentence('Dogs fly.', false, [], 1),
    sentence('It is warm.', null, [], null),
  ]
  expect(unsupportedSpans(sentences).map(({ offset, length }) => answer.slice(offset, offset + length))).toEqual(['Dogs fly.'])
  expect(uncitedSources(sentences)).toEqual([2])
})

test('a passage of a document is known by its id, and a text that was added alone is not', () => {
  expect(readPassageId(`${id}#12`)).toEqual({ documentId: id, position: 12 })
  expect(readPassageId('notes#12')).toBeUndefined()
  expect(readPassageId(id)).toBeUndefined()
  expect([0, 49, 50, 120].map((position) => firstOfPage(position, 50))).toEqual([0, 0, 50, 100])
  expect([0.9, 0.5, 0.3, 0.1, -0.2].map(nearness)).toEqual(['veryNear', 'near', 'remote', 'far', 'far'])
})

test("the usual collection comes first, then one's own, then those of others", () => {
  const collection = (name: string, is_own = true) => {
    const numbers = { dimensions: 3, documents: 1, passages: 1 }
    return { id: name, name, is_own, is_shared: !is_own, model: 'm', ...numbers, re_embed: null }
  }
  const given = [collection('a', false), collection('z'), collection('default', false), collection('default'), collection('b')]
  expect(usualFirst(given).map(({ name, is_own }) => `${name} ${is_own}`)).toEqual([
    'default true',
    'b true',
    'z true',
    'a false',
    'default false',
  ])
})

test('the time goes to searching, the prompt and the answer', () => {
  const timings = { queue_ms: 0.2, prompt_ms: 300, first_token_ms: 320, generation_ms: 500, tokens_per_second: 40 }
  const usage = { prompt_tokens: 900, completion_tokens: 20, total_tokens: 920, cached_prompt_tokens: 0 }
  expect(toTimes({ timings, usage, sourcesMs: 400, wholeMs: 950 }).map(({ name, ms }) => `${name} ${Math.round(ms)}`)).toEqual([
    'searchTime 100',
    'promptTime 300',
    'answerTime 500',
    'wholeTime 950',
  ])
  expect(toTimes({ timings: null, usage: null, sourcesMs: 40, wholeMs: 40 }).map(({ name }) => name)).toEqual([
    'searchTime',
    'wholeTime',
  ])
})

test('what the page takes for granted is what the service does', () => {
  expect(usualCollection).toBe(usualOfService)
  expect(threshold).toBe(queryDefaults.threshold)
  expect([isId(id), isId('default')]).toEqual([true, false])
})
