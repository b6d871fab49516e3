import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { allOf, codeOf, createBrowser, joinedText, openConversationsWorld, patient } from '../conversations-world.ts'

const parent_id = null

test('an answer is written and kept whether somebody follows it or not', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const conversation = await ana.addConversation({ settings: { system: 'Be brief.' } })
  expect(conversation).toMatchObject({ title: '', messages: 0, leaf_message_id: null, pinned: false })
  const { question, answer } = await ana.beginAnswer(conversation.id, { parent_id, content: 'What is the capital of France?' })
  expect(question).toMatchObject({ role: 'user', content: 'What is the capital of France?', parent_id: null, state: 'done' })
  expect(answer).toMatchObject({ role: 'assistant', content: '', parent_id: question.id, state: 'writing' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('It is ', 'Paris.')
  host.answers[0]?.end()
  await expect.poll(async () => (await ana.messages(conversation.id)).items.at(-1)?.state, patient).toBe('done')
  const { items, has_more } = await ana.messages(conversation.id)
  expect(has_more).toBe(false)
  expect(items.map(({ content }) => content)).toEqual(['What is the capital of France?', 'It is Paris.'])
  expect(items[1]).toMatchObject({
    model: 'scripted',
    provider: 'hf',
    ran_on: 'local',
    finish_reason: 'stop',
    prediction_id: expect.any(String),
    usage: { prompt_tokens: 7, completion_tokens: 3 },
    version_ids: [answer.id],
  })
  expect(await ana.conversation(conversation.id)).toMatchObject({
    title: 'What is the capital of France?',
    messages: 2,
    leaf_message_id: answer.id,
  })
  expect(host.answers[0]?.request).toMatchObject({
    prompt: {
      type: 'chat',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'What is the capital of France?' },
      ],
    },
    maxTokens: 1024,
    sampling: { temperature: 0.7, topP: 0.95, repeatPenalty: 1.1, given: [] },
  })
})

test('two followers, of whom one comes late, are told the same text and the same end', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation()
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'Count.' })
  const early = ana.followAnswer(id, answer.id)
  const snapshot = await early.next()
  expect([snapshot.value, (await early.next()).value]).toMatchObject([{ type: 'snapshot' }, { type: 'waiting', for: 'queue' }])
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('one ', 'two ')
  const late = ana.followAnswer(id, answer.id)
  const begun = await late.next()
  expect(begun.value).toMatchObject({ type: 'snapshot' })
  host.answers[0]?.say('three')
  host.answers[0]?.end()
  const afterwards = begun.done === true ? [] : [begun.value, ...(await allOf(late))]
  for (const events of [await allOf(early), afterwards, await allOf(ana.followAnswer(id, answer.id))])
    expect(joinedText(events)).toMatchObject({ text: 'one two three', end: { state: 'done', content: 'one two three' } })
})

test('a follower who leaves does not end the answer; whoever stops it does, and keeps what is there', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation()
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'Go on.' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('and on')
  for await (const event of ana.followAnswer(id, answer.id)) if (event.type === 'text' || event.type === 'snapshot') break
  host.answers[0]?.say(' and on')
  const following = allOf(ana.followAnswer(id, answer.id))
  await expect.poll(async () => host.answers[0]?.isLeft()).toBe(false)
  await expect
    .poll(async () => {
      const { value } = await ana.followAnswer(id, answer.id).next()
      return value?.type === 'snapshot' ? value.message.content : ''
    }, patient)
    .toBe('and on and on')
  const stopped = await ana.stopAnswer(id, answer.id)
  expect(stopped).toMatchObject({ state: 'stopped', content: 'and on and on' })
  expect(host.answers[0]?.isLeft()).toBe(true)
  expect(joinedText(await following).end).toMatchObject({ state: 'stopped' })
  expect(await ana.stopAnswer(id, answer.id)).toEqual(stopped)
})

test('what fails before the first piece stands in the answer, and the question is kept', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation({ settings: { model: 'nowhere' } })
  const unknown = await ana.beginAnswer(id, { parent_id, content: 'Hello?' })
  const [unknownEnd] = (await allOf(ana.followAnswer(id, unknown.answer.id))).slice(-1)
  expect(unknownEnd).toMatchObject({ type: 'end', message: { state: 'failed', error: { code: 'not_found' } } })
  const again = await ana.beginAnswer(id, { parent_id: unknown.question.id, settings: { model: 'scripted' } })
  expect(again.question.id).toBe(unknown.question.id)
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.fail(new AppError('busy', 'Too many wait.'))
  const events = await allOf(ana.followAnswer(id, again.answer.id))
  expect(events.at(-1)).toMatchObject({
    type: 'end',
    message: { state: 'failed', error: { code: 'busy', message: 'Too many wait.' } },
  })
  const { items } = await ana.messages(id)
  expect(items.map(({ role }) => role)).toEqual(['user', 'assistant'])
  expect(items[1]?.version_ids).toEqual([unknown.answer.id, again.answer.id])
})

test('others find nothing: neither another user, nor another browser at the same address', async () => {
  await using world = await openConversationsWorld()
  const { server, host } = world
  const one = createBrowser(server.url)
  const other = createBrowser(server.url)
  const { id } = await one.client.addConversation()
  expect(one.given[0]).toMatch(/^simpleia_visitor=[\w-]{43}; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/)
  const { answer } = await one.client.beginAnswer(id, { parent_id, content: 'A secret.' })
  await other.client.addConversation()
  for (const stranger of [other.client, createBrowser(server.url).client, world.ana]) {
    expect(await codeOf(stranger.conversation(id))).toBe('not_found')
    expect(await codeOf(stranger.messages(id))).toBe('not_found')
    expect(await codeOf(stranger.changeConversation(id, { pinned: true }))).toBe('not_found')
    expect(await codeOf(stranger.removeConversation(id))).toBe('not_found')
    expect(await codeOf(stranger.restoreConversation(id))).toBe('not_found')
    expect(await codeOf(stranger.stopAnswer(id, answer.id))).toBe('not_found')
    expect(await codeOf(allOf(stranger.followAnswer(id, answer.id)))).toBe('not_found')
    expect(await codeOf(stranger.beginAnswer(id, { parent_id, content: 'Mine?' }))).toBe('not_found')
    expect(await codeOf(stranger.addMessage(id, { parent_id, role: 'user', content: 'Mine?' }))).toBe('not_found')
    expect((await stranger.conversations()).items.map((item) => item.id)).not.toContain(id)
    expect((await stranger.conversations({ search: 'secret' })).items).toEqual([])
  }
  await expect.poll(() => host.answers.length, patient).toBe(1)
  expect(host.answers[0]?.isLeft()).toBe(false)
  expect((await one.client.conversations({ search: 'secret' })).items).toMatchObject([{ id, excerpt: 'A secret.' }])
})

test('a conversation that was deleted is gone, its answers end, and for a day it can be brought back', async () => {
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  await using world = await openConversationsWorld({ now: () => nowMs })
  const { host } = world
  const { client: ana } = createBrowser(world.server.url)
  const { id } = await ana.addConversation({ title: 'Plans' })
  const { answer } = await ana.beginAnswer(id, { parent_id, content: 'Go on.' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  await ana.removeConversation(id)
  expect(host.answers[0]?.isLeft()).toBe(true)
  expect(await codeOf(ana.conversation(id))).toBe('not_found')
  expect((await ana.conversations({ search: 'plans' })).items).toEqual([])
  nowMs += 23 * 60 * 60 * 1000
  expect(await ana.restoreConversation(id)).toMatchObject({ id, deleted_at: null, leaf_message_id: answer.id })
  expect((await ana.messages(id)).items).toMatchObject([{ content: 'Go on.' }, { state: 'stopped' }])
  await ana.removeConversation(id)
  nowMs += 25 * 60 * 60 * 1000
  expect(await codeOf(ana.restoreConversation(id))).toBe('not_found')
})

test('one owner has so many answers written at a time, and no question is lost when there are more', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation()
  const { question } = await ana.beginAnswer(id, { parent_id, content: 'Compare.' })
  for (let count = 1; count < 4; count += 1) await ana.beginAnswer(id, { parent_id: question.id })
  await expect.poll(() => host.answers.length, patient).toBe(4)
  expect(await codeOf(ana.beginAnswer(id, { parent_id, content: 'Another.' }))).toBe('busy')
  expect((await ana.conversation(id)).messages).toBe(5)
  for (const answer of host.answers) answer.end()
  await expect.poll(() => codeOf(ana.beginAnswer(id, { parent_id, content: 'Another.' })), patient).toBe('no error')
})
