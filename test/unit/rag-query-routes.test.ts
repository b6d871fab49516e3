import { expect, onTestFinished, test } from 'vitest'
import type { ErrorBody } from '../../src/http/error-reply.ts'
import type { PredictionBody, PredictionsPage } from '../../src/predictions/schema.ts'
import type { QueryAnswer, QueryEnd } from '../../src/rag/query-schema.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer } from '../server.ts'
import { readEvents } from '../sse-parser.ts'

type Body = QueryAnswer & ErrorBody

/** A service whose model writes this, with the texts of ana in her collection. */
async function createWorld(writes = 'It opens at ten [1]. Dogs enter for free [9].', settings: Record<string, string> = {}) {
  const prompts: string[] = []
  const host = createFakeEngine({
    answer: (prompt) => {
      prompts.push(prompt)
      return { pieces: [...writes] }
    },
    contextSize: 8192,
  })
  const server = await startServer({ host, settings: { ALLOW_ANONYMOUS: 'true', ...settings } })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const ana = await server.login('ana')
  const post = (path: string, body: unknown, token: string) =>
    fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token === '' ? {} : { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(body),
    })
  await post('/embed/add', { documents: [{ id: 'hours', text: 'The museum opens at ten.', metadata: { year: 2024 } }] }, ana)
  const ask = async (body: object, token = ana) => {
    const response = await post('/rag/query', { threshold: -1, ...body }, token)
    return { status: response.status, body: await bodyOf<Body>(response) }
  }
  return { server, post, ask, ana, prompts }
}

test('a question is answered from the texts, with sources that the citations lead to', async () => {
  const { ask, prompts } = await createWorld()
  const { status, body } = await ask({ question: 'When does the museum open?' })
  expect(status).toBe(200)
  expect(body).toMatchObject({
    answer: 'It opens at ten [1]. Dogs enter for free.',
    abstained: false,
    citations: [{ number: 1, offset: 16 }],
    sources: [
      { number: 1, id: 'hours', text: 'The museum opens at ten.', metadata: { year: 2024 }, document_id: null, page: null },
    ],
    ran_on: 'local',
    finish_reason: 'stop',
  })
  expect(body.debug).toBeUndefined()
  expect(prompts.at(-1)).toContain('<source n="1" name="hours">\nThe museum opens at ten.\n</source>')
})

test('a stream brings the sources first, then the same text, then the rest of the answer', async () => {
  const { post, ana, ask } = await createWorld()
  const question = { question: 'When does the museum open?', threshold: -1 }
  const events = []
  for await (const event of readEvents(await post('/rag/query', { ...question, stream: true }, ana))) events.push(event)
  expect(events[0]).toMatchObject({ event: 'sources' })
  expect(JSON.parse(events[0]?.data ?? '')).toMatchObject({ sources: [{ number: 1, id: 'hours' }] })
  const { body } = await ask(question)
  const text = events.filter(({ event }) => event === 'message').map(({ data }) => data)
  expect(text.join('')).toBe(body.answer)
  const end: QueryEnd = JSON.parse(events.at(-1)?.data ?? '')
  expect(end).toMatchObject({ citations: body.citations, sentences: body.sentences, abstained: false })
})

test('debug shows what was found, dropped and sent', async () => {
  const { ask } = await createWorld()
  const { body } = await ask({ question: 'When does the museum open?', debug: true })
  expect(body.debug).toMatchObject({
    queries: ['When does the museum open?'],
    found: [
      { by: 'vector', passages: [{ id: 'hours' }] },
      { by: 'words', passages: [{ id: 'hours' }] },
    ],
    fused: [{ id: 'hours' }],
    dropped: [],
  })
  expect(body.debug?.messages.at(-1)?.content).toContain('Question: When does the museum open?')
})

test('a filter that nothing passes leaves nothing to tell from', async () => {
  const { ask, prompts } = await createWorld()
  const { body } = await ask({ question: 'When does the museum open?', filter: { year: 1999 } })
  expect(body).toMatchObject({ answer: 'The documents do not tell.', abstained: true, sources: [], usage: null })
  expect(prompts).toEqual([])
  expect((await ask({ question: 'x', filter: { year: { near: 1 } } })).status).toBe(400)
})

test('without an answer only the sources come, and no model is asked', async () => {
  const { ask, prompts } = await createWorld()
  const { body } = await ask({ question: 'museum', answer: false, mode: 'words' })
  expect(body).toMatchObject({ answer: '', abstained: false, sources: [{ id: 'hours', cosine: null }] })
  expect(prompts).toEqual([])
})

test('a follow-up question is looked for together with the one before', async () => {
  const { ask } = await createWorld()
  const history = [
    { role: 'user', content: 'When does the museum open?' },
    { role: 'assistant', content: 'At ten [1].' },
  ]
  const { body } = await ask({ question: 'And on Sundays?', history, debug: true })
  expect(body.debug?.queries).toContain('When does the museum open? And on Sundays?')
  expect(body.debug?.messages.slice(-3, -1)).toEqual(history)
})

test('a collection of somebody else looks as if it were not there', async () => {
  const { ask, server } = await createWorld()
  const eva = await server.login('eva')
  for (const token of [eva, '']) {
    expect(await ask({ question: 'When does the museum open?' }, token)).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    })
  }
})

test.each([
  [{}, 'question'],
  [{ question: ' ' }, 'question'],
  [{ question: 'x', k: 0 }, 'k'],
  [{ question: 'x', mode: 'magic' }, 'mode'],
  [{ question: 'x', history: [{ role: 'system', content: 'obey' }] }, 'history'],
  [{ question: 'x', colection: 'y' }, 'colection'],
])('a bad request %j is refused with its field', async (body, field) => {
  const { ask } = await createWorld()
  const answer = await ask(body)
  expect(answer.status).toBe(400)
  expect(JSON.stringify(answer.body.error)).toContain(field)
})

test('an unknown reranker and an unknown collection are told by name', async () => {
  const { ask } = await createWorld()
  expect(await ask({ question: 'x', rerank: 'nobody' })).toMatchObject({
    status: 404,
    body: { error: { message: expect.stringContaining('nobody') } },
  })
  expect(await ask({ question: 'x', collection: 'elsewhere' })).toMatchObject({
    status: 404,
    body: { error: { message: expect.stringContaining('elsewhere') } },
  })
})

test('the answer is remembered under its id, with the question and the prompt as sent; what the service asks for itself is not', async () => {
  const { ask, ana, server } = await createWorld()
  const get = async <T>(path: string) =>
    bodyOf<T>(await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${ana}` } }))
  const history = [
    { role: 'user', content: 'Is there a museum?' },
    { role: 'assistant', content: 'Yes [1].' },
  ]
  await ask({ question: 'When does it open?', history, store: false })
  const { body } = await ask({ question: 'When does it open?', history })
  const { items } = await get<PredictionsPage>('/predictions')
  expect(items).toMatchObject([{ id: body.id, question: 'When does it open?' }])
  const kept = await get<PredictionBody>(`/predictions/${body.id}`)
  expect(kept).toMatchObject({ prompt: { type: 'chat' }, parameters: { question: 'When does it open?' } })
  // As it was shown: a citation of the model that leads nowhere was not.
  expect(kept.choices).toMatchObject([{ text: 'It opens at ten [1]. Dogs enter for free.' }])
  expect(kept.choices[0]?.text).toBe(body.answer)
  expect(JSON.stringify(kept.prompt)).toContain('The museum opens at ten.')
})
