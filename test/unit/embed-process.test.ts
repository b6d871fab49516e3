import { expect, test } from 'vitest'
import type { EmbedChild } from '../../src/engine/local/embed-process.ts'
import type { EmbedModel, FromEmbedWorker, ToEmbedWorker } from '../../src/engine/local/embed-protocol.ts'
import { createServedEmbedModel, toEmbedder } from '../../src/engine/local/served-embed-model.ts'
import { AppError } from '../../src/errors.ts'

const never = new AbortController().signal
const model: EmbedModel = {
  kind: 'embedding',
  files: { type: 'onnx', folder: '/model', pooling: 'mean', maxTokens: 256 },
  prefixes: { query: 'q: ', document: '' },
  threads: 1,
}

/** A child that answers what the test says, and nothing by itself but that its model is ready. */
function createChild(loads: FromEmbedWorker = { type: 'model-ready', maxTokens: 256 }) {
  const got: ToEmbedWorker[] = []
  let onMessage = (_message: FromEmbedWorker) => {}
  let onExit = (_reason: string) => {}
  const child: EmbedChild = {
    send(message) {
      got.push(message)
      if (message.type === 'model-load') queueMicrotask(() => onMessage(loads))
    },
    kill: () => queueMicrotask(() => onExit('SIGKILL')),
    onMessage(listener) {
      onMessage = listener
    },
    onExit(listener) {
      onExit = listener
    },
  }
  const end = (id: number) =>
    onMessage({ type: 'embed-end', id, vectors: [Float32Array.of(id)], tokens: [1], truncated: [false] })
  return { child, got, end, answer: (message: FromEmbedWorker) => onMessage(message), die: (reason: string) => onExit(reason) }
}

function createWorld(children: ReadonlyArray<ReturnType<typeof createChild>>, findModel = async () => model) {
  let spawned = 0
  const served = createServedEmbedModel({
    spawn() {
      spawned += 1
      const next = children[spawned - 1]
      if (next === undefined) throw new Error('No child is left.')
      return next.child
    },
    findModel,
    maxWaiting: 3,
  })
  return { embedder: { ...toEmbedder('small', served), close: served.close }, spawned: () => spawned }
}

const ask = (text: string) => ({ texts: [text], truncate: false })
const started = ({ got }: ReturnType<typeof createChild>) => got.filter(({ type }) => type === 'embed-start').length

test('the process starts with the first request, and serves all', async () => {
  const one = createChild()
  const { embedder, spawned } = createWorld([one])
  expect(spawned()).toBe(0)
  const answers = Promise.all([embedder.encode(ask('a'), never), embedder.encode(ask('b'), never)])
  await expect.poll(() => started(one)).toBe(2)
  one.end(2)
  one.end(1)
  expect((await answers).map(({ vectors }) => vectors[0]?.[0])).toEqual([1, 2])
  expect(spawned()).toBe(1)
  await embedder.close()
  await expect(embedder.encode(ask('c'), never)).rejects.toMatchObject({ code: 'unavailable' })
})

test('without a model, or with one that does not load, each request says so, and the next one tries again', async () => {
  const broken = createChild({ type: 'model-failed', code: 'invalid', message: 'No ONNX model.' })
  const good = createChild()
  let isThere = false
  const { embedder } = createWorld([broken, good], async () => {
    if (!isThere) throw new AppError('unavailable', 'It is not installed.')
    return model
  })
  await expect(embedder.encode(ask('a'), never)).rejects.toMatchObject({ code: 'unavailable', message: 'It is not installed.' })
  isThere = true
  await expect(embedder.encode(ask('a'), never)).rejects.toMatchObject({ code: 'invalid', message: 'No ONNX model.' })
  const answer = embedder.encode(ask('a'), never)
  await expect.poll(() => started(good)).toBe(1)
  good.end(1)
  expect((await answer).tokens).toEqual([1])
})

test('a process that dies fails its requests, and the next request starts another', async () => {
  const [one, other] = [createChild(), createChild()]
  const { embedder, spawned } = createWorld([one, other])
  const answer = embedder.encode(ask('a'), never)
  await expect.poll(() => started(one)).toBe(1)
  one.die('SIGSEGV')
  await expect(answer).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('SIGSEGV') })
  const again = embedder.encode(ask('a'), never)
  await expect.poll(() => started(other)).toBe(1)
  other.end(1)
  expect((await again).vectors).toHaveLength(1)
  expect(spawned()).toBe(2)
})

test('too many at once are refused; who leaves is cancelled and gives the place back', async () => {
  const one = createChild()
  const { embedder } = createWorld([one])
  const leaving = new AbortController()
  const waiting = ['a', 'b', 'c'].map((text) => embedder.encode(ask(text), leaving.signal))
  await expect(embedder.encode(ask('d'), never)).rejects.toMatchObject({ code: 'busy', retryAfterSeconds: 1 })
  await expect.poll(() => started(one)).toBe(3)
  leaving.abort()
  for (const outcome of await Promise.allSettled(waiting)) expect(outcome).toMatchObject({ reason: { code: 'aborted' } })
  expect(one.got.filter(({ type }) => type === 'embed-cancel')).toHaveLength(3)
  const answer = embedder.encode(ask('e'), never)
  await expect.poll(() => started(one)).toBe(4)
  one.answer({ type: 'embed-failed', id: 4, code: 'context_length_exceeded', message: 'Too long.' })
  await expect(answer).rejects.toMatchObject({ code: 'context_length_exceeded' })
})

test('a query gets the prefix that its model wants, a text without a purpose none', async () => {
  const one = createChild()
  const { embedder } = createWorld([one])
  const answers = [
    embedder.encode({ ...ask('a'), purpose: 'query' }, never),
    embedder.encode({ ...ask('a'), purpose: 'document' }, never),
    embedder.encode(ask('a'), never),
  ]
  await expect.poll(() => started(one)).toBe(3)
  for (const id of [1, 2, 3]) one.end(id)
  await Promise.all(answers)
  expect(one.got.flatMap((message) => (message.type === 'embed-start' ? message.texts : []))).toEqual(['q: a', 'a', 'a'])
  expect(await embedder.maxTokens()).toBe(256)
})
