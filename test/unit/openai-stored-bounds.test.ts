import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nameItems, readConversation } from '../../src/dialects/openai-responses-conversation.ts'
import type { ResolvedItem } from '../../src/dialects/openai-responses-items.ts'
import type { ResponseBody } from '../../src/dialects/openai-responses-schema.ts'
import { createStoredResponses, type StoredResponses } from '../../src/dialects/openai-responses-store.ts'
import { openStorage, type Storage } from '../../src/storage/open-storage.ts'
import { saying } from '../answer-scripts.ts'
import { openaiClient, postV1 } from '../openai-client.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { startServer } from '../server.ts'

let storage: Storage
let folder: string
let made: ResponseBody
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-test-'))
  storage = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) })
  await using server = await startServer({ host: createScriptedHost(() => saying('x')) })
  made = JSON.parse(await (await postV1(server, '/responses', { input: 'x' })).text())
})
afterAll(async () => {
  await storage.close()
  await rm(folder, { recursive: true })
})

const say = (content: string, id: string): ResolvedItem => ({ type: 'message', role: 'user', content, id })

/** A response called `resp_<name>`, whose input is `msg_<name>_i0`. */
function stored(name: string, { content = 'hi', previous = null }: { content?: string; previous?: string | null } = {}) {
  const response = { ...made, id: `resp_${name}`, output: [], previous_response_id: previous && `resp_${previous}` }
  return { input: [say(content, `msg_${name}_i0`)], response }
}

describe('what is kept for an owner', () => {
  const day = 24 * 3600 * 1000

  async function open(bounds: { responses: number; bytes: number }) {
    await storage.db.deleteFrom('responses').execute()
    let now = Date.parse('2026-01-01T00:00:00Z')
    const responses = createStoredResponses({ db: storage.db, now: () => now, bounds })
    const pass = (ms: number) => {
      now += ms
    }
    const ids = async (key: string, ...names: readonly string[]) => {
      const found = await Promise.all(names.map((name) => responses.find({ key, userId: undefined }, `resp_${name}`)))
      return names.filter((_name, place) => found[place] !== undefined)
    }
    const save = (key: string, name: string, content?: string) =>
      responses.save({ key, userId: undefined }, stored(name, content === undefined ? {} : { content }))
    return { responses, pass, ids, save }
  }

  test('is bounded in number: the oldest go, also of one moment, and those of others stay', async () => {
    const { ids, save, pass } = await open({ responses: 3, bytes: 1e9 })
    await save('other', 'z')
    for (const name of ['a', 'b', 'c', 'd']) await save('me', name)
    pass(1)
    await save('me', 'e')
    expect(await ids('me', 'a', 'b', 'c', 'd', 'e')).toEqual(['c', 'd', 'e'])
    expect(await ids('other', 'z')).toEqual(['z'])
  })

  test('is bounded in bytes: the oldest go, and the last one stays whatever its size', async () => {
    const { ids, save } = await open({ responses: 100, bytes: 20_000 })
    for (const name of ['a', 'b', 'c']) await save('me', name, 'ñ'.repeat(3500))
    expect(await ids('me', 'a', 'b', 'c')).toEqual(['b', 'c'])
    await save('me', 'd', 'x'.repeat(50_000))
    expect(await ids('me', 'a', 'b', 'c', 'd')).toEqual(['d'])
  })

  test('is not found after thirty days, though nothing was asked since', async () => {
    const { ids, save, pass, responses } = await open({ responses: 100, bytes: 1e9 })
    await save('me', 'a')
    pass(30 * day)
    expect(await ids('me', 'a')).toEqual(['a'])
    pass(1)
    expect(await ids('me', 'a')).toEqual([])
    expect(await responses.remove({ key: 'me', userId: undefined }, 'resp_a')).toBe(false)
  })
})

describe('what one request reads', () => {
  const owner = { key: 'me', userId: undefined }
  const reference = (id: string) => ({ type: 'item_reference' as const, id })

  /** Counts how often each response is read. */
  function counting(...all: ReturnType<typeof stored>[]) {
    const reads: string[] = []
    const find: StoredResponses['find'] = async (_owner, id) => {
      reads.push(id)
      const found = all.find(({ response }) => response.id === id)
      return found && { ...found, characters: JSON.stringify(found).length }
    }
    return { reads, stored: { find } }
  }

  test('is each response once, however many of its items are named', async () => {
    const input = Array.from({ length: 50 }, (_, place) => say(`n${place}`, `msg_a_i${place}`))
    const { reads, stored: responses } = counting({ ...stored('a'), input }, stored('b', { previous: 'a' }))
    const conversation = await readConversation(
      { stored: responses, owner },
      { input: input.map(({ id }) => reference(id ?? '')), previous_response_id: 'resp_b' },
    )
    expect(conversation.input).toEqual(input)
    expect(reads).toEqual(['resp_b', 'resp_a'])
  })

  test('is bounded in responses, and in characters, for chains and references alike', async () => {
    const chain = [stored('a'), stored('b', { previous: 'a' }), stored('c', { previous: 'b' })]
    const { stored: responses } = counting(...chain)
    const whole = chain.reduce((sum, one) => sum + JSON.stringify(one).length, 0)
    const byChain = { input: 'x', previous_response_id: 'resp_c' }
    const byName = { input: ['a', 'b', 'c'].map((name) => reference(`msg_${name}_i0`)) }
    const read = (asked: typeof byChain | typeof byName, bounds: { responses: number; characters: number }) =>
      readConversation({ stored: responses, owner, bounds }, asked)
    for (const [asked, field] of [
      [byChain, 'previous_response_id'],
      [byName, 'input.2.id'],
    ] as const) {
      await read(asked, { responses: 3, characters: whole })
      for (const bounds of [
        { responses: 2, characters: whole },
        { responses: 3, characters: whole - 1 },
      ])
        await expect(read(asked, bounds)).rejects.toMatchObject({ code: 'invalid', details: [{ field }] })
    }
  })

  test('is no item twice', async () => {
    const { stored: responses } = counting(stored('a'))
    const input = [reference('msg_a_i0'), reference('msg_a_i0')]
    const reading = readConversation({ stored: responses, owner }, { input })
    await expect(reading).rejects.toMatchObject({ code: 'invalid', details: [{ field: 'input.1.id' }] })
  })
})

test('what no answer depends on is not kept', () => {
  const logprobs = Array.from({ length: 100 }, () => 'x')
  const items: ResolvedItem[] = [
    {
      type: 'message',
      role: 'assistant',
      phase: logprobs,
      content: [{ type: 'output_text', text: 'Hi', logprobs, parsed: logprobs, annotations: logprobs }],
    },
    { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}', parsed_arguments: logprobs },
    { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi', prompt_cache_breakpoint: logprobs }] },
  ]
  expect(nameItems(items, 'resp_1')).toEqual([
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi', annotations: [] }], id: 'msg_1_i0' },
    { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}', id: 'fc_1_i1' },
    { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi' }], id: 'msg_1_i2' },
  ])
})

test('an item of thought has a bounded number of texts', async () => {
  await using server = await startServer({ host: createScriptedHost(() => saying('x')) })
  const client = openaiClient(server)
  const content = Array.from({ length: 2001 }, () => ({ type: 'reasoning_text' as const, text: 'x' }))
  const asking = client.responses.create({ model: 'scripted', input: [{ type: 'reasoning', id: 'rs_1', summary: [], content }] })
  await expect(asking).rejects.toMatchObject({ status: 400, param: 'input.0.content' })
})
