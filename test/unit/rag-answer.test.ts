import { expect, test } from 'vitest'
import type { ChatMessage, GenerateEvent } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import type { Predict, PredictRequest, Target } from '../../src/predict/predict.ts'
import { type AnswerEvent, type AnswerRequest, createAnswer } from '../../src/rag/answer.ts'
import type { Source } from '../../src/rag/retrieve.ts'
import { textChoice } from '../answers.ts'

const usage = { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0 }
const timings = { queueMs: 0, promptMs: 0, firstTokenMs: 0, generationMs: 0, tokensPerSecond: 0 }

type World = Readonly<{
  /** Pieces that the model writes. */
  writes?: readonly string[]
  /** What it makes of a follow-up question. */
  rewrites?: string
  texts?: readonly string[]
  bestCosine?: number
  contextSize?: number
  /** The embedding model does not answer. */
  cannotCheck?: boolean
}>

const target: Target = { provider: 'hf', model: 'fake', ranOn: 'local', why: 'default', passedBy: [] }

async function* write(pieces: readonly string[]): AsyncGenerator<GenerateEvent> {
  for (const text of pieces) yield { type: 'text-delta', index: 0, text }
  yield { type: 'choice-end', index: 0, reason: 'stop' }
  yield { type: 'generation-end', usage, timings }
}

/** Characters of the prompt are its tokens, with a context window of so many. */
function createWorld({
  writes = ['It opens at ten [1].'],
  rewrites = '',
  texts = ['The museum opens at ten.'],
  ...world
}: World) {
  const asked: PredictRequest[] = []
  const looked: (readonly string[])[] = []
  const { contextSize = 100_000 } = world
  const predict: Pick<Predict, 'choose' | 'complete' | 'open'> = {
    choose: async () => target,
    async complete(request) {
      asked.push(request)
      return { id: 'x', ...target, choices: [textChoice(rewrites)], usage, timings, cached: false }
    },
    async open(request) {
      asked.push(request)
      const length = messagesOf(request).reduce((sum, { content }) => sum + content.length, 0)
      if (length > contextSize)
        throw new AppError('context_length_exceeded', `The prompt has ${length} tokens, ${contextSize} fit.`)
      const events = write(writes)
      return { id: 'x', target, events, [Symbol.asyncDispose]: () => events[Symbol.asyncDispose]() }
    },
  }
  const sources = texts.map((text, index): Source => {
    const which = { number: index + 1, itemId: `i${index}`, documentId: undefined, name: `d${index}`, origin: `d${index}` }
    return { ...which, place: {}, text, metadata: {}, score: 1, cosine: world.bestCosine ?? 0.8 }
  })
  const answer = createAnswer({
    predict,
    async retrieve({ queries }) {
      looked.push(queries)
      return { sources, bestCosine: world.bestCosine ?? 0.8, found: [], fused: [], dropped: [] }
    },
    findEmbedder: async () => {
      if (world.cannotCheck) throw new AppError('busy', 'Too many wait.')
      return {
        // Texts that share their first letter are alike.
        encode: async ({ texts: given }) => ({
          vectors: given.map((text) => {
            const vector = new Float32Array(128)
            vector[(text.toLowerCase().charCodeAt(0) || 0) % 128] = 1
            return vector
          }),
          tokens: given.map(() => 1),
          truncated: given.map(() => false),
        }),
      }
    },
    contextSizeOf: async () => contextSize,
  })
  return { answer, asked, looked }
}

const messagesOf = ({ prompt }: PredictRequest): readonly ChatMessage[] => (prompt.type === 'chat' ? prompt.messages : [])

const request = (changes: Partial<AnswerRequest> = {}): AnswerRequest => ({
  collection: { id: 'c', ownerId: null, name: 'c', isShared: false, model: 'm', dimensions: 2, nextModel: undefined },
  question: 'When does the museum open?',
  history: [],
  mode: 'hybrid',
  k: 5,
  filter: undefined,
  reranker: undefined,
  threshold: 0.3,
  wantsAnswer: true,
  remember: true,
  maxTokens: 50,
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined },
  stop: [],
  model: undefined,
  provider: undefined,
  ...changes,
})

async function run(world: World, changes: Partial<AnswerRequest> = {}) {
  const made = createWorld(world)
  const events: AnswerEvent[] = []
  const asker = { key: 'someone', authenticated: false, userId: undefined, keyId: undefined }
  for await (const event of made.answer(request(changes), asker, new AbortController().signal)) events.push(event)
  const [found] = events.flatMap((event) => (event.type === 'sources-found' ? [event] : []))
  const [end] = events.flatMap((event) => (event.type === 'answer-end' ? [event] : []))
  const text = events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('')
  return { ...made, events, found, end, text }
}

test('the sources come before the text, and the end says what was written', async () => {
  const { events, text, end } = await run({ writes: ['It opens', ' at ten', ' [1', '].'] })
  expect(events[0]?.type).toBe('sources-found')
  expect(events.at(-1)?.type).toBe('answer-end')
  expect(text).toBe('It opens at ten [1].')
  expect(end).toMatchObject({ text, abstained: false, reason: 'stop' })
  expect(end?.sentences).toMatchObject([{ citations: [{ number: 1, offset: 16 }] }])
})

test('a citation of a source that there is not never reaches the reader', async () => {
  const { text, end } = await run({ writes: ['It opens at ten [', '9]. Sure [1] ', '[2].'] })
  expect(text).toBe('It opens at ten. Sure [1].')
  expect(end?.text).toBe(text)
})

test('a sentence that no source says is marked', async () => {
  const { end } = await run({
    writes: ['The museum opens at ten [1]. Dogs get in free of charge [1]. The museum opens at 9 [1].'],
  })
  expect(end?.sentences.map(({ supported }) => supported)).toEqual([true, false, false])
})

test('a sentence that cites the wrong source is marked', async () => {
  const texts = ['The museum opens at ten.', 'Bread is baked daily.']
  const { end } = await run({ texts, writes: ['The museum opens at ten [2]. Museum opens at ten.'] })
  expect(end?.sentences.map(({ supported, nearest }) => [supported, nearest])).toEqual([
    [false, 2],
    [true, 1],
  ])
})

test('an answer that cannot be checked is given all the same, unchecked', async () => {
  const { end, text } = await run({ cannotCheck: true })
  expect(text).toBe('It opens at ten [1].')
  expect(end?.sentences).toMatchObject([{ supported: undefined, citations: [{ number: 1 }] }])
})

test('where nothing is near enough, the documents do not tell, in the language of the question, and no model is asked', async () => {
  const { text, end, found, asked } = await run({ bestCosine: 0.2 }, { question: '¿Cuándo abre?' })
  expect(text).toBe('Los documentos no lo dicen.')
  expect(end).toMatchObject({ abstained: true, sentences: [], usage: undefined })
  expect(found?.sources).toEqual([])
  expect(asked).toEqual([])
})

test('when the model says that the sources do not tell, so does the answer', async () => {
  expect((await run({ writes: ['The documents', ' do not tell.'] })).end).toMatchObject({ abstained: true, sentences: [] })
})

test('without an answer there are sources, whatever the threshold, and no model is asked', async () => {
  const { found, end, asked } = await run({ bestCosine: 0.1 }, { wantsAnswer: false })
  expect(found?.sources).toHaveLength(1)
  expect(end).toMatchObject({ text: '', abstained: false })
  expect(asked).toEqual([])
})

test('sources that do not fit are left out from the end, and the answer counts only those that were sent', async () => {
  const texts = ['The museum opens at ten.', ...Array.from({ length: 4 }, () => 'word '.repeat(200))]
  const { found, text } = await run({ texts, contextSize: 2500, writes: ['At ten [1] [4].'] })
  expect(found?.sources.map(({ number }) => number)).toEqual([1, 2])
  expect(text).toBe('At ten [1].')
})

test('a question that leaves no room for a source is refused with both numbers', async () => {
  await expect(run({ contextSize: 300 })).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message: expect.stringMatching(/\d+.*300/),
  })
})

const history = [
  { role: 'user', content: 'What does a ticket cost?' },
  { role: 'assistant', content: 'It costs 8 euros [1].' },
] as const

test('a follow-up question is looked for as the model rewrites it, and together with the question before', async () => {
  const { looked, asked } = await run(
    { rewrites: ' What does a ticket cost for children? ' },
    { history, question: 'And for children?' },
  )
  expect(looked).toEqual([['What does a ticket cost for children?', 'What does a ticket cost? And for children?']])
  expect(asked[0]).toMatchObject({ prompt: { type: 'text' }, stop: ['\n'], sampling: { temperature: 0 } })
  expect(asked.flatMap(messagesOf).slice(-3, -1)).toEqual(history)
})

test('a rewriting that is none is not used', async () => {
  const { looked } = await run({ rewrites: '' }, { history, question: 'And for children?' })
  expect(looked).toEqual([['What does a ticket cost? And for children?', 'And for children?']])
})
