import { describe, expect, test } from 'vitest'
import type { GenerateRequest } from '../../src/engine/provider.ts'
import { saying } from '../answer-scripts.ts'
import { type OpenaiError, openaiClient, postV1 } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, type StartOptions, startServer } from '../server.ts'

const model = 'scripted'

/** Answers with the number of the request. */
async function open(options: Omit<StartOptions, 'host'> = {}) {
  let count = 0
  const host = createScriptedHost(() => {
    count += 1
    return saying(`answer ${count}`)
  })
  const server = await startServer({ host, ...options })
  return { host, server, client: openaiClient(server), [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

const messagesOf = (request: GenerateRequest | undefined) =>
  request?.prompt.type === 'chat' ? request.prompt.messages.map(({ role, content }) => `${role}: ${content}`) : undefined

describe('a stored response', () => {
  test.each([false, true])('can be asked for again, until it is deleted (stream: %j)', async (stream) => {
    await using world = await open()
    const { responses } = world.client
    const asked = { model, input: 'one', metadata: { a: 'b' } }
    const made = stream ? await responses.stream(asked).finalResponse() : await responses.create(asked)
    const { output_text: text, ...kept } = await responses.retrieve(made.id)
    expect(text).toBe('answer 1')
    expect(made).toMatchObject(JSON.parse(JSON.stringify(kept)))
    await responses.delete(made.id)
    await expect(responses.retrieve(made.id)).rejects.toMatchObject({ status: 404, type: 'invalid_request_error', param: 'id' })
    await expect(responses.delete(made.id)).rejects.toMatchObject({ status: 404 })
    await expect(responses.inputItems.list(made.id)).rejects.toMatchObject({ status: 404 })
  })

  test('is not kept where the request says so', async () => {
    await using world = await open()
    const made = await world.client.responses.create({ model, input: 'one', store: false })
    await expect(world.client.responses.retrieve(made.id)).rejects.toMatchObject({ status: 404 })
  })

  test('cannot be cancelled, as it does not run in the background', async () => {
    await using world = await open()
    const { id } = await world.client.responses.create({ model, input: 'one' })
    await expect(world.client.responses.cancel(id)).rejects.toMatchObject({ status: 400 })
    await expect(world.client.responses.cancel('resp_other')).rejects.toMatchObject({ status: 404 })
  })

  test('goes after thirty days', async () => {
    let now = Date.parse('2026-01-01T00:00:00Z')
    await using world = await open({ now: () => now })
    const { id } = await world.client.responses.create({ model, input: 'one' })
    now += 29 * 24 * 3600 * 1000
    await world.client.responses.create({ model, input: 'two' })
    await world.client.responses.retrieve(id)
    now += 2 * 24 * 3600 * 1000
    await world.client.responses.create({ model, input: 'three' })
    await expect(world.client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
  })
})

describe('what a response was asked with', () => {
  test('is listed, newest first or oldest first, in pages', async () => {
    await using world = await open()
    const words = Array.from({ length: 45 }, (_, index) => `w${index}`)
    const { id } = await world.client.responses.create({
      model,
      input: words.map((content) => ({ role: 'user' as const, content })),
    })
    const read = async (order: 'asc' | 'desc') => {
      const texts: string[] = []
      for await (const item of world.client.responses.inputItems.list(id, { order, limit: 20 }))
        if (item.type === 'message' && item.content[0]?.type === 'input_text') texts.push(item.content[0].text)
      return texts
    }
    expect(await read('asc')).toEqual(words)
    expect(await read('desc')).toEqual(words.toReversed())
  })

  test('has an id for each item, and the full form', async () => {
    await using world = await open()
    const { id } = await world.client.responses.create({ model, input: 'one' })
    const page = await (await fetch(`${world.server.url}/v1/responses/${id}/input_items`)).json()
    const item = { type: 'message', role: 'user', status: 'completed', content: [{ type: 'input_text', text: 'one' }] }
    expect(page).toMatchObject({ object: 'list', has_more: false, data: [item], first_id: expect.stringMatching(/^msg_./) })
    for (const query of ['limit=0', 'limit=101', 'order=up', 'after=x', 'page=2'])
      expect((await fetch(`${world.server.url}/v1/responses/${id}/input_items?${query}`)).status).toBe(400)
  })
})

describe('previous_response_id', () => {
  test('goes on from all responses before, without their instructions', async () => {
    await using world = await open()
    const { responses } = world.client
    const first = await responses.create({ model, input: 'one', instructions: 'Old.' })
    const second = await responses.create({ model, input: 'two', previous_response_id: first.id })
    const third = await responses
      .stream({ model, input: 'three', previous_response_id: second.id, instructions: 'New.' })
      .finalResponse()
    expect(third.previous_response_id).toBe(second.id)
    expect(messagesOf(world.host.asked[2])).toEqual([
      'system: New.',
      'user: one',
      'assistant: answer 1',
      'user: two',
      'assistant: answer 2',
      'user: three',
    ])
    // From an earlier one, the conversation branches.
    await responses.create({ model, input: 'other', previous_response_id: first.id })
    expect(messagesOf(world.host.asked[3])).toEqual(['user: one', 'assistant: answer 1', 'user: other'])
  })

  test('of a response that is not there, or that has lost one before it, is refused', async () => {
    await using world = await open()
    const { responses } = world.client
    const first = await responses.create({ model, input: 'one' })
    const second = await responses.create({ model, input: 'two', previous_response_id: first.id })
    await responses.delete(first.id)
    for (const id of [first.id, second.id, 'resp_other']) {
      const response = await postV1(world.server, '/responses', { input: 'x', previous_response_id: id })
      expect(response.status).toBe(404)
      expect(await bodyOf<OpenaiError>(response)).toMatchObject({ error: { param: 'previous_response_id', code: 'not_found' } })
    }
  })
})

test('an item of an earlier response can be named instead of sent', async () => {
  await using world = await open()
  const { responses } = world.client
  const first = await responses.create({ model, input: 'one' })
  const [asked] = (await responses.inputItems.list(first.id)).data
  const references = [asked?.id, first.output[0]?.id].map((id) => ({ type: 'item_reference' as const, id: String(id) }))
  const second = await responses.create({ model, input: [...references, { role: 'user', content: 'two' }] })
  expect(messagesOf(world.host.asked[1])).toEqual(['user: one', 'assistant: answer 1', 'user: two'])
  // What was meant is kept, not the name: the next response finds it when the first one has gone.
  await responses.delete(first.id)
  await responses.create({ model, input: 'three', previous_response_id: second.id })
  expect(messagesOf(world.host.asked[2])?.slice(0, 2)).toEqual(['user: one', 'assistant: answer 1'])
  const gone = await postV1(world.server, '/responses', { input: [...references, { role: 'user', content: 'x' }] })
  expect(gone.status).toBe(404)
  expect(await bodyOf<OpenaiError>(gone)).toMatchObject({ error: { param: 'input.0.id' } })
})

describe('the responses of others', () => {
  test('are not found by another user, by nobody, or from another address; nor are their items', async () => {
    await using world = await open({ settings: { TRUST_PROXY: '127.0.0.1' } })
    const { server } = world
    const ana = openaiClient(server, { apiKey: await server.login('ana') })
    const bea = { authorization: `Bearer ${await server.login('bea')}` }
    const from = (address: string) => ({ 'x-forwarded-for': address })
    const nobody = await bodyOf<{ id: string }>(await postV1(server, '/responses', { input: 'x' }, from('10.0.0.1')))
    const hers = await ana.responses.create({ model, input: 'mine' })
    const ask = (id: string, headers: Record<string, string>) => fetch(`${server.url}/v1/responses/${id}`, { headers })
    expect((await ask(nobody.id, from('10.0.0.1'))).status).toBe(200)
    expect((await ask(nobody.id, from('10.0.0.2'))).status).toBe(404)
    expect((await ask(nobody.id, { ...bea, ...from('10.0.0.1') })).status).toBe(404)
    expect((await ask(hers.id, bea)).status).toBe(404)
    expect((await ask(hers.id, {})).status).toBe(404)
    const reference = { input: [{ type: 'item_reference', id: hers.output[0]?.id }] }
    expect((await postV1(server, '/responses', reference, bea)).status).toBe(404)
    expect((await postV1(server, '/responses', { input: 'x', previous_response_id: hers.id }, bea)).status).toBe(404)
    expect((await ana.responses.retrieve(hers.id)).id).toBe(hers.id)
  })
})
