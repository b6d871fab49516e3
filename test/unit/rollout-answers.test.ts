import { describe, expect, test } from 'vitest'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { half, models, modelsHost, ninetyTen, type RolloutWorld, startRolloutWorld } from '../rollout-world.ts'
import { bodyOf } from '../server.ts'

type Message = Readonly<{ role: string; content: string }>
type Answer = Readonly<{ model: string; why: string; passed_by?: unknown }>

const letters = Array.from({ length: 24 }, (_, at) => `question ${at}`)

/** Who answers each of the questions, in order. */
async function draw(world: RolloutWorld, more: object = {}): Promise<string[]> {
  const drawn: string[] = []
  for (const prompt of letters) drawn.push(await world.whoAnswers(prompt, more))
  return drawn
}

const ofChat = async (world: RolloutWorld, messages: readonly Message[], more: object = {}) =>
  (await bodyOf<Answer>(await world.send('POST', '/v1/chat/completions', { messages, max_tokens: 1, ...more }))).model

describe('a rollout of the alias default', () => {
  test('answers requests that name no model, or it, by its shares, and leaves all others alone', async () => {
    const world = await startRolloutWorld()
    expect(new Set(await draw(world))).toEqual(new Set(['old']))
    await world.start()
    const drawn = await draw(world)
    expect(new Set(drawn)).toEqual(new Set(['old', 'new']))
    expect(await draw(world, { model: 'default' })).toEqual(drawn)
    expect(await draw(world)).toEqual(drawn)
    expect(new Set(await draw(world, { model: 'third' }))).toEqual(new Set(['third']))
    expect(new Set(await draw(world, { model: 'old' }))).toEqual(new Set(['old']))
    expect(new Set(await draw(world, { provider: 'hf' }))).toEqual(new Set(['old']))
  })

  test('tells why, and counts an answer from the cache for the model that gave it', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start()
    const ask = async (prompt: string) =>
      bodyOf<Answer & { cached: boolean }>(await world.send('POST', '/predict', { prompt, max_length: 1, temperature: 0 }))
    const first = await Promise.all(letters.map(ask))
    const again = await Promise.all(letters.map(ask))
    expect(again.map(({ model, why, cached }) => ({ model, why, cached }))).toEqual(
      first.map(({ model }) => ({ model, why: 'default', cached: true })),
    )
    // The same conversation with the other model is another question.
    await world.call('PATCH', `/rollout/${id}`, {
      arms: [
        { model: 'old', share: 0 },
        { model: 'new', share: 100 },
      ],
    })
    const moved = await Promise.all(letters.map(ask))
    expect(moved.every(({ model }) => model === 'new')).toBe(true)
    expect(moved.map(({ cached }) => cached)).toEqual(first.map(({ model }) => model === 'new'))
  })

  test('keeps a conversation with its model in each dialect, whatever is said later', async () => {
    const world = await startRolloutWorld()
    await world.start()
    const system = { role: 'system', content: 'Be kind.' }
    const found = new Set<string>()
    for (const content of letters.slice(0, 12)) {
      const messages = [system, { role: 'user', content }]
      const later = [...messages, { role: 'assistant', content: 'a' }, { role: 'user', content: 'And then?' }]
      const model = await ofChat(world, messages)
      found.add(model)
      expect(await ofChat(world, later)).toBe(model)
      expect(await ofChat(world, later, { model: 'default' })).toBe(model)
      const anthropic = { max_tokens: 1, model: 'default', system: 'Be kind.', messages: later.slice(1) }
      const message = await bodyOf<Answer>(await world.send('POST', '/v1/messages', anthropic))
      expect(message.model).toBe(model)
      const ollama = { model: 'default', messages: later, stream: false, options: { num_predict: 1 } }
      expect((await world.send('POST', '/api/chat', ollama)).headers.get('x-simpleia-model')).toBe(model)
      const stream = await world.send('POST', '/v1/chat/completions', { messages: later, max_tokens: 1, stream: true })
      expect(stream.headers.get('x-simpleia-model')).toBe(model)
      await stream.text()
      using socket = await world.socket({ headers: { authorization: `Bearer ${world.token}` } })
      socket.send({ prompt: content, max_length: 1 })
      expect((await socket.answer()).at(-1)).toMatchObject({ model: await world.whoAnswers(content) })
    }
    expect(found).toEqual(new Set(['old', 'new']))
  })

  test('keeps the turns of stored responses with their model', async () => {
    const world = await startRolloutWorld()
    await world.start()
    for (const input of letters.slice(0, 8)) {
      const first = await bodyOf<{ id: string; model: string }>(
        await world.send('POST', '/v1/responses', { input, max_output_tokens: 16 }),
      )
      const next = { input: 'And then?', previous_response_id: first.id, max_output_tokens: 16 }
      expect(await bodyOf(await world.send('POST', '/v1/responses', next))).toMatchObject({ model: first.model })
    }
  })

  test('keeps questions to documents with their model, though each turn finds other sources', async () => {
    const world = await startRolloutWorld({ embedders: embeddersOf(createFakeModel()) })
    await world.start()
    const text = letters.join('. ')
    expect((await world.send('POST', '/rag/documents', { name: 'a.txt', text, collection: 'notes' })).status).toBeLessThan(300)
    const ask = async (question: string, history: readonly Message[] = []) => {
      const body = { question, history, collection: 'notes', mode: 'vector', k: 1, threshold: -1 }
      const answer = await world.send('POST', '/rag/query', body)
      expect(answer.status).toBe(200)
      return (await bodyOf<Answer>(answer)).model
    }
    const found = new Set<string>()
    for (const content of letters.slice(0, 10)) {
      const model = await ask(content)
      found.add(model)
      const history = [
        { role: 'user', content },
        { role: 'assistant', content: 'a' },
      ]
      expect(await ask('And question 3?', history)).toBe(model)
    }
    expect(found).toEqual(new Set(['old', 'new']))
  })

  test('has one model write all answers of a request with several prompts', async () => {
    const world = await startRolloutWorld()
    await world.start()
    for (const prompt of [letters.slice(0, 8), letters.slice(8, 16)]) {
      const { served } = await countServed(world, () =>
        world.send('POST', '/v1/completions', { model: 'default', prompt, max_tokens: 1 }),
      )
      expect(served.filter((count) => count > 0)).toEqual([8])
    }
  })

  test('draws for each asker of their own', async () => {
    const world = await startRolloutWorld()
    await world.start()
    const ana = await world.login('ana')
    const drawn: string[] = []
    for (const prompt of letters) {
      const answer = await world.send('POST', '/predict', { prompt, max_length: 1 }, ana)
      drawn.push((await bodyOf<Answer>(answer)).model)
    }
    expect(drawn).not.toEqual(await draw(world))
  })

  test('moves conversations only to the model whose share grows', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({ arms: ninetyTen })
    let before = await draw(world)
    for (const share of [30, 60, 100]) {
      await world.call('PATCH', `/rollout/${id}`, {
        arms: [
          { model: 'new', share },
          { model: 'old', share: 100 - share },
        ],
      })
      const after = await draw(world)
      expect(after.filter((model, at) => model !== before[at] && model !== 'new')).toEqual([])
      before = after
    }
    expect(new Set(before)).toEqual(new Set(['new']))
  })

  test('is told by GET /model', async () => {
    const world = await startRolloutWorld()
    expect(await world.call('GET', '/model')).not.toHaveProperty('rollout')
    const { id } = await world.start({ arms: ninetyTen })
    expect(await world.call('GET', '/model')).toMatchObject({ model_name: 'old', rollout: { id, arms: ninetyTen } })
  })
})

async function countServed<T>(world: RolloutWorld, work: () => Promise<T>) {
  const read = async () => (await bodyOf<{ models: { requests_served: number }[] }>(await world.send('GET', '/models'))).models
  const before = await read()
  const result = await work()
  const after = await read()
  return { result, served: after.map((model, at) => model.requests_served - (before[at]?.requests_served ?? 0)) }
}

describe('a model that cannot answer', () => {
  test('because it cannot be loaded: the one before answers, and both the answer and the rollout tell', async () => {
    const world = await startRolloutWorld()
    const arms = [
      { model: 'old', share: 50 },
      { model: 'broken', share: 50 },
    ]
    const { id } = await world.start({ arms })
    const answers = []
    for (const prompt of letters)
      answers.push(await bodyOf<Answer>(await world.send('POST', '/predict', { prompt, max_length: 1 })))
    expect(new Set(answers.map(({ model }) => model))).toEqual(new Set(['old']))
    const passed = answers.filter(({ why }) => why === 'fallback')
    expect(passed.length).toBeGreaterThan(0)
    expect(passed[0]?.passed_by).toEqual([{ provider: 'hf', model: 'broken', code: 'invalid' }])
    const { statistics } = await world.detail(id)
    expect(statistics.arms).toMatchObject([{ passed_by: null }, { passed_by: { requests: passed.length, code: 'invalid' } }])
  })

  test('because its file has gone', async () => {
    const removed = new Set<string>()
    const world = await startRolloutWorld({ host: modelsHost(removed) })
    const { id } = await world.start({
      arms: [
        { model: 'old', share: 0 },
        { model: 'new', share: 100 },
      ],
    })
    expect(await world.whoAnswers('Hi')).toBe('new')
    removed.add('new')
    const answer = await bodyOf<Answer>(await world.send('POST', '/predict', { prompt: 'Hi', max_length: 1 }))
    expect(answer).toMatchObject({ model: 'old', why: 'fallback', passed_by: [{ model: 'new', code: 'not_found' }] })
    const { statistics } = await world.detail(id)
    expect(statistics.arms[1]).toMatchObject({
      problem: expect.stringContaining('gone'),
      passed_by: { requests: 1, code: 'not_found' },
    })
  })

  test('because the request is wrong: the error of the one before is told, and nothing is counted', async () => {
    const world = await startRolloutWorld()
    const { id } = await world.start({
      arms: [
        { model: 'old', share: 0 },
        { model: 'new', share: 100 },
      ],
    })
    const wrong = { prompt: 'Hi', json_schema: { type: 'nothing' } }
    expect(await world.call('POST', '/predict', wrong)).toMatchObject({ status: 400 })
    expect((await world.detail(id)).statistics.arms).toMatchObject([{ passed_by: null }, { passed_by: null }])
  })
})

describe('another alias', () => {
  test('answers requests that name it, beside default, and is listed', async () => {
    const world = await startRolloutWorld()
    expect(await world.call('POST', '/predict', { prompt: 'Hi', model: 'fast' })).toMatchObject({ status: 404 })
    await world.start({
      arms: [
        { model: 'old', share: 0 },
        { model: 'new', share: 100 },
      ],
    })
    await world.start({
      alias: 'fast',
      arms: [
        { model: 'third', share: 100 },
        { model: 'new', share: 0 },
      ],
    })
    expect(await world.whoAnswers('Hi')).toBe('new')
    expect(await world.whoAnswers('Hi', { model: 'fast' })).toBe('third')
    const { data } = await bodyOf<{ data: { id: string }[] }>(await world.send('GET', '/v1/models'))
    expect(data.map(({ id }) => id)).toEqual([...models.toSorted(), 'fast'])
    expect(await world.call('GET', '/v1/models/fast')).toMatchObject({ status: 200, id: 'fast' })
    const answer = await bodyOf<Answer>(await world.send('POST', '/predict', { prompt: 'Hi', model: 'fast', max_length: 1 }))
    expect(answer.why).toBe('requested')
  })

  test('points to what was promoted or rolled back to, until it is ended', async () => {
    const world = await startRolloutWorld()
    const first = await world.start({ alias: 'fast', arms: half })
    expect(await world.call('POST', `/rollout/${first.id}/promote`)).toMatchObject({ state: 'promoted' })
    expect(await draw(world, { model: 'fast' })).toEqual(letters.map(() => 'new'))
    expect(await world.call('POST', '/rollout/rollback', { alias: 'fast' })).toMatchObject({ state: 'rolled-back' })
    expect(await draw(world, { model: 'fast' })).toEqual(letters.map(() => 'old'))
    const wrong = [
      { model: 'new', share: 50 },
      { model: 'third', share: 50 },
    ]
    expect(await world.call('POST', '/rollout', { alias: 'fast', arms: wrong })).toMatchObject({
      status: 400,
      error: { details: [{ field: 'arms.0.model', expected: expect.stringContaining('"old"') }] },
    })
    const next = await world.start({
      alias: 'fast',
      arms: [
        { model: 'old', share: 0 },
        { model: 'third', share: 100 },
      ],
    })
    expect(await world.whoAnswers('Hi', { model: 'fast' })).toBe('third')
    expect(await world.call('POST', `/rollout/${next.id}/end`)).toMatchObject({ state: 'ended' })
    expect(await world.call('POST', '/predict', { prompt: 'Hi', model: 'fast' })).toMatchObject({ status: 404 })
    expect(await world.call('GET', '/model')).toMatchObject({ model_name: 'old' })
  })
})
