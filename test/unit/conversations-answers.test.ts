import { expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import {
  allOf,
  codeOf,
  createBrowser,
  createHeldHost,
  joinedText,
  openConversationsWorld,
  patient,
} from '../conversations-world.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'

const parent_id = null

const messagesOf = (request: GenerateRequest | undefined) =>
  request?.prompt.type === 'chat' ? request.prompt.messages : 'no conversation'

test('what was chosen for a conversation counts, and what was chosen for one answer counts more', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const settings = { temperature: 0, top_k: 1, max_length: 7, seed: 3, reasoning: 'low' } as const
  const { id } = await ana.addConversation({ settings })
  const { question } = await ana.beginAnswer(id, { parent_id, content: 'x' })
  await ana.beginAnswer(id, { parent_id: question.id, settings: { temperature: 1, min_p: 0.1 } })
  await expect.poll(() => host.answers.length, patient).toBe(2)
  expect(host.answers.map(({ request }) => [request.maxTokens, request.sampling])).toMatchObject([
    [7, { temperature: 0, topK: 1, seed: 3, given: ['temperature', 'topK'] }],
    [7, { temperature: 1, topK: 1, minP: 0.1, seed: 3, given: ['temperature', 'topK', 'minP'] }],
  ])
  expect(host.answers[0]?.request.prompt).toMatchObject({ reasoning: 'low' })
})

test('the model reads the branch alone, files before the question in a fence, and questions without an answer together', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation()
  const attachments = [{ name: 'a "file".txt', text: 'with ``` in it' }]
  const first = await ana.addMessage(id, { parent_id, role: 'user', content: 'Read.', attachments })
  const other = await ana.addMessage(id, { parent_id: first.id, role: 'assistant', content: 'not this one' })
  const answer = await ana.addMessage(id, { parent_id: first.id, role: 'assistant', content: 'Done.' })
  const lost = await ana.addMessage(id, { parent_id: answer.id, role: 'user', content: 'And?' })
  const empty = await ana.addMessage(id, { parent_id: lost.id, role: 'assistant', content: '' })
  await ana.beginAnswer(id, { parent_id: empty.id, content: 'Well?' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  expect(messagesOf(host.answers[0]?.request)).toEqual([
    { role: 'user', content: 'File "a \\"file\\".txt":\n````\nwith ``` in it\n````\n\nRead.' },
    { role: 'assistant', content: 'Done.' },
    { role: 'user', content: 'And?\n\nWell?' },
  ])
  expect(other.version_ids).toEqual([other.id])
})

test('calls of tools and thoughts are told and kept, and the answer goes on from their results', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const tools = [{ name: 'look', description: 'Looks.' }]
  const { id } = await ana.addConversation({ settings: { tools } })
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'Look!' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  const index = 0
  const events: GenerateEvent[] = [
    { type: 'reasoning-delta', index, text: 'I should ' },
    { type: 'reasoning-delta', index, text: 'look.' },
    { type: 'tool-call-start', index, call: 0, id: 'c1', name: 'look' },
    { type: 'tool-call-delta', index, call: 0, text: '{"a":' },
    { type: 'tool-call-delta', index, call: 0, text: '1}' },
    { type: 'tool-call-start', index, call: 1, id: 'c2', name: 'look' },
    { type: 'tool-call-delta', index, call: 1, text: '{}' },
  ]
  host.answers[0]?.give(...events)
  host.answers[0]?.end()
  const { end } = joinedText(await allOf(ana.followAnswer(id, answer.id)))
  const calls = [
    { id: 'c1', name: 'look', arguments: '{"a":1}' },
    { id: 'c2', name: 'look', arguments: '{}' },
  ]
  expect(end).toMatchObject({ reasoning: 'I should look.', tool_calls: calls, state: 'done' })
  const result = { role: 'tool', content: 'a tree', tool_call_id: 'c1' } as const
  const { id: resultId } = await ana.addMessage(id, { parent_id: answer.id, ...result })
  const stray = await ana.addMessage(id, { parent_id: resultId, ...result, tool_call_id: 'of no call' })
  await ana.beginAnswer(id, { parent_id: stray.id })
  await expect.poll(() => host.answers.length, patient).toBe(2)
  // A call without a result and a result without a call: no model would take them.
  expect(messagesOf(host.answers[1]?.request)).toEqual([
    { role: 'user', content: 'Look!' },
    { role: 'assistant', content: '', toolCalls: calls.slice(0, 1) },
    { role: 'tool', content: 'a tree', toolCallId: 'c1' },
  ])
  expect(host.answers[1]?.request.prompt).toMatchObject({
    tools: { tools: [{ name: 'look', description: 'Looks.', parameters: { type: 'object' } }], choice: 'auto' },
  })
})

test('feedback on an answer stands with it, the latest, and only for whom it was written', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation()
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'x' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('y')
  host.answers[0]?.end()
  const { end } = joinedText(await allOf(ana.followAnswer(id, answer.id)))
  const prediction_id = end?.prediction_id ?? ''
  for (const rating of ['up', 'down'] as const) await ana.sendFeedback({ prediction_id, rating })
  expect((await ana.messages(id)).items[1]).toMatchObject({ prediction_id, rating: 'down' })
  const bea = await world.clientOf('bea')
  await bea.importConversations(await ana.exportConversation(id, 'json'))
  const [item] = (await bea.conversations()).items
  expect((await bea.messages(item?.id ?? '')).items[1]).not.toHaveProperty('rating')
})

test('with a collection the answer comes from the documents, with its sources', async () => {
  await using world = await openConversationsWorld({ embedders: embeddersOf(createFakeModel()) })
  const { ana, host } = world
  await Array.fromAsync(ana.addDocument({ name: 'hours.txt', text: 'The museum opens at ten.', collection: 'sights' }))
  const { id } = await ana.addConversation({ settings: { collection: 'sights' } })
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'The museum opens at ten?' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('It opens at ten [1]. Dogs are free.')
  host.answers[0]?.end()
  const events = await allOf(ana.followAnswer(id, answer.id))
  const { end } = joinedText(events)
  expect(end).toMatchObject({
    state: 'done',
    content: 'It opens at ten [1]. Dogs are free.',
    sources: [{ number: 1, document: 'hours.txt', text: 'The museum opens at ten.' }],
    prediction_id: expect.any(String),
  })
  expect((await ana.messages(id)).items[1]).toEqual(end)
  const missing = await ana.beginAnswer(id, { parent_id, content: 'x', settings: { collection: 'nowhere' } })
  const failed = joinedText(await allOf(ana.followAnswer(id, missing.answer.id))).end
  expect(failed).toMatchObject({ state: 'failed', error: { code: 'not_found' } })
})

test('sources that are texts of a collection have no document, and a browser without an account finds none of them', async () => {
  await using world = await openConversationsWorld({ embedders: embeddersOf(createFakeModel()) })
  const { ana, host, server } = world
  const settings = { collection: 'sights' }
  const body = JSON.stringify({ ...settings, documents: [{ id: 'hours', text: 'The museum opens at ten.' }] })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${await server.login('ana')}` }
  expect((await fetch(`${server.url}/embed/add`, { method: 'POST', headers, body })).status).toBe(200)
  const { id } = await ana.addConversation({ settings })
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'The museum opens at ten?' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('It opens at ten [1].')
  host.answers[0]?.end()
  expect(joinedText(await allOf(ana.followAnswer(id, answer.id))).end).toMatchObject({
    sources: [{ number: 1, document_id: null, id: 'hours', page: null, section: null, text: 'The museum opens at ten.' }],
  })
  const { client } = createBrowser(server.url)
  const theirs = await client.addConversation({ settings })
  const begun = await client.beginAnswer(theirs.id, { parent_id, content: 'The museum opens at ten?' })
  expect(joinedText(await allOf(client.followAnswer(theirs.id, begun.answer.id))).end).toMatchObject({
    state: 'failed',
    error: { code: 'not_found' },
  })
})

test('a follower is told whether the answer waits for its turn, or for a model that has to be loaded', async () => {
  const held = createHeldHost()
  const elsewhere = createHeldHost()
  const states = new Map<string, 'model' | 'queue'>()
  await using world = await openConversationsWorld({
    host: { ...held, list: async () => (await held.list()).map((model) => ({ ...model, state: 'loading' })) },
    readElsewhere: async () => ({ providers: [{ ...elsewhere, name: 'box' }], routes: new Map() }),
  })
  const { id } = await world.ana.addConversation()
  for (const provider of ['hf', 'box']) {
    const { answer } = await world.ana.beginAnswer(id, { parent_id, content: 'x', settings: { provider, model: 'scripted' } })
    for await (const event of world.ana.followAnswer(id, answer.id)) {
      if (event.type !== 'waiting') continue
      states.set(provider, event.for)
      break
    }
  }
  expect(Object.fromEntries(states)).toEqual({ hf: 'model', box: 'queue' })
})

test('a request over the rate limit is refused before anything is kept', async () => {
  await using world = await openConversationsWorld({ settings: { RATE_LIMIT_REQUESTS: '1' } })
  const { client } = createBrowser(world.server.url)
  const { id } = await client.addConversation()
  await client.beginAnswer(id, { parent_id, content: 'one' })
  expect(await codeOf(client.beginAnswer(id, { parent_id, content: 'two' }))).toBe('rate_limited')
  expect((await client.conversation(id)).messages).toBe(2)
})

test('a follower who does not read holds nothing up', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation()
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'x' })
  const slow = ana.followAnswer(id, answer.id)
  await slow.next()
  await expect.poll(() => host.answers.length, patient).toBe(1)
  const piece = 'word '.repeat(5000)
  for (let count = 0; count < 100; count += 1) host.answers[0]?.say(piece)
  host.answers[0]?.end()
  await expect.poll(async () => (await ana.messages(id)).items[1]?.state, patient).toBe('done')
  const { text, end } = joinedText(await allOf(slow))
  expect(text.length).toBe(100 * piece.length)
  expect(end?.content.length).toBe(100 * piece.length)
})
