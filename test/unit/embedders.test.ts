import { expect, test } from 'vitest'
import type { EmbedChild } from '../../src/engine/local/embed-process.ts'
import type { EmbedModel, FromEmbedWorker } from '../../src/engine/local/embed-protocol.ts'
import { createEmbedders } from '../../src/engine/local/embedders.ts'
import { AppError } from '../../src/errors.ts'

const never = new AbortController().signal
const kinds: Readonly<Record<string, EmbedModel['kind']>> = {
  one: 'embedding',
  two: 'embedding',
  three: 'embedding',
  judge: 'reranker',
}

/** Children that answer at once, but for texts that say "wait"; of each it is known which model it has. */
function createWorld({ mostProcesses = 2, keepAliveMs = Number.POSITIVE_INFINITY } = {}) {
  const events: string[] = []
  const looks: string[] = []
  let answerWaiting = () => {}

  function spawn(): EmbedChild {
    let name = ''
    let onMessage = (_message: FromEmbedWorker) => {}
    let onExit = (_reason: string) => {}
    return {
      send(message) {
        if (message.type === 'model-load') {
          name = message.model.files.type === 'gguf' ? message.model.files.path : ''
          events.push(`${name} starts`)
          queueMicrotask(() => onMessage({ type: 'model-ready', maxTokens: 10 }))
        }
        if (message.type !== 'embed-start' && message.type !== 'rerank-start') return
        const { id, texts } = message
        const vectors = texts.map((text) => Float32Array.of(text.length / 10))
        const answer = () => onMessage({ type: 'embed-end', id, vectors, tokens: texts.map(() => 1), truncated: [] })
        if (texts.includes('wait')) answerWaiting = answer
        else queueMicrotask(answer)
      },
      kill() {
        events.push(`${name} ends`)
        queueMicrotask(() => onExit('SIGKILL'))
      },
      onMessage(listener) {
        onMessage = listener
      },
      onExit(listener) {
        onExit = listener
      },
    }
  }

  const { embedders, rerankers } = createEmbedders({
    usual: 'one',
    async find(given) {
      looks.push(given)
      const name = given.replace('owner/', '')
      const kind = kinds[name]
      return kind === undefined ? undefined : { name, kind }
    },
    list: async () => Object.entries(kinds).map(([name, kind]) => ({ name, kind })),
    async describe(name) {
      const kind = kinds[name]
      if (kind === undefined) throw new AppError('unavailable', 'It is not installed.')
      return { kind, files: { type: 'gguf', path: name }, prefixes: { query: '', document: '' }, threads: 1 }
    },
    spawn,
    maxWaiting: 10,
    keepAliveMs,
    mostProcesses,
  })
  const use = async (name: string, text = 'a') => (await embedders.find(name))?.encode({ texts: [text], truncate: false }, never)
  return { embedders, rerankers, use, events, looks, answer: () => answerWaiting() }
}

test('a model is found by any of its names, has one process, and is not looked up while that runs', async () => {
  const { embedders, use, events, looks } = createWorld()
  expect((await embedders.find('owner/two'))?.name).toBe('two')
  await use('two')
  await use('two')
  await use('owner/two')
  expect(events).toEqual(['two starts'])
  expect(looks).toEqual(['owner/two', 'two', 'owner/two'])
  expect(await embedders.find('nobody')).toBeUndefined()
  expect(await embedders.list()).toEqual(['one', 'two', 'three'])
  await embedders.close()
})

test('a reranker is no embedding model, and the other way round; who names none has the first', async () => {
  const { embedders, rerankers } = createWorld()
  expect(await embedders.find('judge')).toBeUndefined()
  expect(await rerankers.find('one')).toBeUndefined()
  const judge = await rerankers.find(undefined)
  expect(judge?.name).toBe('judge')
  const ranking = await judge?.rerank({ query: 'q', texts: ['long', 'a'] }, never)
  expect(ranking?.scores.map((score) => score.toFixed(1))).toEqual(['0.4', '0.1'])
  expect(await rerankers.list()).toEqual(['judge'])
})

test('where there are as many processes as may be, the one unused for longest ends for the next', async () => {
  const { use, events } = createWorld()
  await use('one')
  await use('two')
  await use('one')
  await use('three')
  expect(events).toEqual(['one starts', 'two starts', 'two ends', 'three starts'])
  await use('two')
  expect(events.slice(4)).toEqual(['one ends', 'two starts'])
})

test('a busy process is never ended for another: who comes then is told to come again', async () => {
  const { use, answer, events } = createWorld({ mostProcesses: 1 })
  const waiting = use('one', 'wait')
  await expect.poll(() => events).toEqual(['one starts'])
  await expect(use('two')).rejects.toMatchObject({ code: 'busy' })
  answer()
  expect((await waiting)?.tokens).toEqual([1])
  await use('two')
  expect(events).toEqual(['one starts', 'one ends', 'two starts'])
})

test('an unused process ends after its time, and the next request starts another', async () => {
  const { use, events } = createWorld({ keepAliveMs: 0 })
  await use('one')
  await expect.poll(() => events).toEqual(['one starts', 'one ends'])
  await use('one')
  expect(events[2]).toBe('one starts')
})

test('the usual model need not be installed for the others to serve', async () => {
  const { embedders, use } = createWorld()
  expect(embedders.usual.name).toBe('one')
  await use('two')
  await embedders.close()
  await expect(use('two')).rejects.toMatchObject({ code: 'unavailable' })
})
