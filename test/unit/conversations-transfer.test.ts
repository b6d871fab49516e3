import { randomInt } from 'node:crypto'
import Value from 'typebox/value'
import { expect, test } from 'vitest'
import { readItems } from '../../src/conversations/import-items.ts'
import { type ExportedConversation, exportedConversation } from '../../src/conversations/schema.ts'
import { allOf, codeOf, openConversationsWorld, patient } from '../conversations-world.ts'

const toFile = (...lines: readonly unknown[]) =>
  new Blob([lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')])

const readLines = async (blob: Blob): Promise<ExportedConversation[]> =>
  (await blob.text())
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

/** With the place of each message instead of its id. */
function withoutIds({ messages, leaf_message_id: leaf, ...rest }: ExportedConversation) {
  const places = new Map(messages.map(({ id }, place) => [id, place]))
  const placeOf = (id: string | null | undefined) => (id === null || id === undefined ? id : places.get(id))
  return {
    ...rest,
    leaf: placeOf(leaf),
    messages: messages.map(({ id: _id, parent_id: parent, corrects_id: corrects, ...message }) => ({
      ...message,
      parent: placeOf(parent),
      ...(corrects === undefined ? {} : { corrects: placeOf(corrects) }),
    })),
  }
}

const anyOf = <const T>(first: T, ...others: readonly T[]): T => [first, ...others][randomInt(others.length + 1)] ?? first

function anyText(): string {
  const letters = ['a', 'ñ', ' ', '\n', '"', '\\', '😀', '\u0000', '`', '<', '{', '[', '}', '\u2028', 'é']
  return Array.from({ length: randomInt(30) }, () => letters[randomInt(letters.length)]).join('')
}

/** A tree of messages of all kinds. */
function anyConversation(): ExportedConversation {
  const messages: ExportedConversation['messages'] = []
  const time = () => new Date(Date.UTC(2026, 0, 1) + randomInt(1e9)).toISOString()
  for (let place = 0; place < randomInt(20); place += 1) {
    const role = anyOf('user', 'assistant', 'tool')
    messages.push({
      id: `m${place}`,
      parent_id: place === 0 ? null : anyOf(null, ...messages.map(({ id }) => id)),
      role,
      content: anyText(),
      created_at: time(),
      state: anyOf('done', 'stopped', 'interrupted', 'failed'),
      ...(randomInt(2) === 0 ? {} : { attachments: [{ name: 'a.txt', text: anyText() }] }),
      ...(role === 'tool' ? { tool_call_id: 'call' } : {}),
      ...(role === 'assistant'
        ? {
            reasoning: anyText(),
            tool_calls: [{ id: 'call', name: 'look', arguments: anyText() }],
            unsupported: [{ offset: 1, length: 2 }],
            usage: { prompt_tokens: 1, completion_tokens: 2 },
            timings: { first_token_ms: 1.5, tokens_per_second: 20 },
            prediction_id: anyText(),
            error: { code: 'busy', message: anyText() },
          }
        : {}),
      ...(place > 0 && randomInt(3) === 0 ? { corrects_id: 'm0' } : {}),
    })
  }
  return {
    format: 'simpleia-conversation',
    version: 1,
    title: `t${anyText()}`.trim(),
    pinned: anyOf(true, false),
    created_at: time(),
    settings: anyOf({}, { system: anyText(), temperature: 0.5, tools: [{ name: 'look', parameters: { type: 'object' } }] }),
    leaf_message_id: anyOf(null, ...messages.map(({ id }) => id)),
    messages,
  }
}

test('what is exported and imported again is the same but for its ids: all branches, settings, times', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const bea = await world.clientOf('bea')
  const given = Array.from({ length: 40 }, anyConversation)
  for (const one of given) expect(Value.Check(exportedConversation, one)).toBe(true)
  const answer = await ana.importConversations(toFile(...given))
  const count = given.reduce((sum, { messages }) => sum + messages.length, 0)
  expect(answer).toEqual({ imported: 40, messages: count, skipped: [] })
  const first = await readLines(await ana.exportConversations())
  expect(first.map(withoutIds)).toEqual(given.map(withoutIds))
  await bea.importConversations(toFile(...first))
  const second = await readLines(await bea.exportConversations())
  expect(second.map(withoutIds)).toEqual(given.map(withoutIds))
  const ids = [...first, ...second].flatMap(({ messages }) => messages.map(({ id }) => id))
  expect(new Set(ids).size).toBe(2 * count)
})

test('one conversation is exported as a line to import, and as markdown of the branch that is shown', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation({ settings: { system: 'Be brief.' } })
  const attachments = [{ name: 'a.txt', text: 'with ``` in it' }]
  const { answer } = await ana.beginAnswer(id, { parent_id: null, content: 'Why?', attachments })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('**Because.**')
  host.answers[0]?.end()
  await allOf(ana.followAnswer(id, answer.id))
  expect(await (await ana.exportConversation(id, 'markdown')).text()).toBe(
    '# Why?\n\n## User\n\nFile "a.txt":\n\n````\nwith ``` in it\n````\n\nWhy?\n\n## Assistant (scripted)\n\n**Because.**\n',
  )
  const line = await ana.exportConversation(id, 'json')
  const [exported] = await readLines(line)
  expect(await ana.importConversations(line)).toMatchObject({ imported: 1, messages: 2 })
  const [newest] = (await ana.conversations()).items.filter((item) => item.id !== id)
  const [again] = await readLines(await ana.exportConversation(newest?.id ?? '', 'json'))
  expect(again && withoutIds(again)).toEqual(exported && withoutIds(exported))
})

test('what cannot be read is told by its line, and the rest is kept', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const good = anyConversation()
  const message = { id: 'a', parent_id: null, role: 'user', content: 'x', created_at: good.created_at, state: 'done' }
  const answer = await ana.importConversations(
    toFile(
      good,
      '{"format":',
      '',
      { ...good, version: 2 },
      { ...good, leaf_message_id: 'nowhere' },
      { ...good, messages: [{ ...message, parent_id: 'a' }], leaf_message_id: null },
      { ...good, messages: [message, message], leaf_message_id: null },
      { ...good, settings: { temprature: 1 } },
      `${'['.repeat(300)}${']'.repeat(300)}`,
      'null',
      '"text"',
      { ...good, messages: [], leaf_message_id: null, extra: 'dropped' },
    ),
  )
  expect(answer.imported).toBe(2)
  expect(answer.skipped.map(({ line }) => line)).toEqual([2, 4, 5, 6, 7, 8, 9, 10, 11])
  expect(answer.skipped[0]?.reason).toBe('it is not valid JSON')
  expect(answer.skipped.every(({ reason }) => reason.length > 5)).toBe(true)
  expect(JSON.stringify(await readLines(await ana.exportConversations()))).not.toContain('dropped')
})

test('a file that is none, and a form that is not ours, are refused', async () => {
  await using world = await openConversationsWorld({ settings: { MAX_DOCUMENT_BYTES: '2000' } })
  const { ana } = world
  expect(await codeOf(ana.importConversations(new Blob([' \n\n'])))).toBe('invalid')
  expect(await codeOf(ana.importConversations(new Blob(['x'.repeat(3000)])))).toBe('too_large')
  const bytes = Uint8Array.from({ length: 1000 }, () => randomInt(256))
  const nonsense = await ana.importConversations(new Blob([bytes]))
  expect(nonsense.imported).toBe(0)
  expect(nonsense.skipped.length).toBeGreaterThan(0)
  const post = (body: FormData | string, headers = {}) =>
    fetch(`${world.server.url}/conversations/import`, { method: 'POST', body, headers })
  expect((await post('{}', { 'content-type': 'application/json' })).status).toBe(400)
  const form = new FormData()
  form.append('name', 'x')
  expect((await post(form)).status).toBe(400)
  const twoFiles = new FormData()
  for (const name of ['a', 'b']) twoFiles.append('file', new Blob(['{}']), name)
  expect(await (await post(twoFiles)).text()).toContain('several files')
  expect(await (await post(new FormData())).text()).toContain('no file')
})

test("ChatGPT's conversations are read with their branches, without what is no question and no answer", async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const node = (id: string, parent: string | null, children: readonly string[], message: unknown = null) => ({
    [id]: { id, parent, children, message },
  })
  const says = (role: string, ...parts: readonly unknown[]) => ({
    author: { role },
    create_time: 1_700_000_000.5,
    content: { content_type: 'text', parts },
    metadata: role === 'assistant' ? { model_slug: 'gpt-4' } : {},
  })
  const conversation = {
    title: 'Museums',
    create_time: 1_700_000_000,
    current_node: 'a2',
    mapping: {
      ...node('root', null, ['system']),
      ...node('system', 'root', ['q'], says('system', '')),
      ...node('q', 'system', ['a1', 'a2'], says('user', 'When does it open?')),
      ...node('a1', 'q', [], says('assistant', 'At nine.')),
      ...node('a2', 'q', ['t'], says('assistant', 'At ten.', { asset: 'a picture' })),
      ...node('t', 'a2', ['q2'], says('tool', 'ignored')),
      ...node('q2', 't', [], says('user', 'Thanks')),
    },
  }
  const file = new Blob([
    JSON.stringify([conversation, { mapping: 7 }, { ...conversation, mapping: {} }, { title: '}{"[' }], null, 2),
  ])
  const answer = await ana.importConversations(file)
  expect(answer).toMatchObject({ imported: 1, messages: 4, skipped: [{ line: 2 }, { line: 3 }, { line: 4 }] })
  const [item] = (await ana.conversations()).items
  expect(item).toMatchObject({ title: 'Museums', created_at: '2023-11-14T22:13:20.000Z' })
  const { items } = await ana.messages(item?.id ?? '')
  expect(items.map(({ content }) => content)).toEqual(['When does it open?', 'At ten.'])
  expect(items[1]).toMatchObject({ model: 'gpt-4', version_ids: [expect.any(String), items[1]?.id] })
})

test("of ChatGPT's conversations that tell little, what they tell is kept; what was hidden or is no text is not", async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const before = Date.now()
  const says = (role: string, content?: object, metadata?: object) => ({ message: { author: { role }, content, metadata } })
  const sparse = {
    mapping: {
      q: { ...says('user', { parts: ['Hello', 7] }), children: ['a', 'a', 'nowhere'] },
      a: { ...says('assistant', { content_type: 'text', parts: ['Hi'] }, { model_slug: null }), parent: 'q', children: ['h'] },
      h: { ...says('user', { parts: ['hidden'] }, { is_visually_hidden_from_conversation: true }), parent: 'a', children: ['c'] },
      c: { ...says('assistant', { content_type: 'code', parts: ['1 + 1'] }), parent: 'h', children: ['e'] },
      e: { ...says('assistant'), parent: 'c' },
    },
    create_time: 1e12,
    title: null,
  }
  expect(await ana.importConversations(toFile(sparse))).toEqual({ imported: 1, messages: 2, skipped: [] })
  const [item] = (await ana.conversations()).items
  expect(item?.title).toBe('Hello')
  expect(Date.parse(item?.created_at ?? '')).toBeGreaterThanOrEqual(before)
  const { items } = await ana.messages(item?.id ?? '')
  expect(items.map(({ content }) => content)).toEqual(['Hello', 'Hi'])
  expect(items[1]).not.toHaveProperty('model')
})

test('as markdown a conversation has its files, calls, sources and failures, each on lines of its own', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const created_at = '2026-01-01T00:00:00.000Z'
  const said = { created_at, state: 'done' } as const
  const place = { document_id: null, last_page: null, section: null, source: 'upload', text: 't', score: 1 }
  const sources = [
    { ...place, number: 1, id: '1', document: 'a\n# b.pdf', page: 3 },
    { ...place, number: 2, id: '2', document: 'c.txt', page: null },
  ]
  const calls = [{ id: 'call', name: 'look', arguments: '{"at":1}' }]
  const given = {
    ...{ format: 'simpleia-conversation', version: 1, title: ' ', pinned: false, created_at, settings: {}, leaf_message_id: 'd' },
    messages: [
      { ...said, id: 'a', parent_id: null, role: 'assistant', content: '', tool_calls: calls, model: 'a\nb' },
      // What it corrects is nowhere, and nobody writes it any more.
      {
        ...said,
        id: 'b',
        parent_id: 'a',
        role: 'tool',
        content: 'seen',
        tool_call_id: 'call',
        corrects_id: 'x',
        state: 'writing',
      },
      { ...said, id: 'c', parent_id: 'b', role: 'assistant', content: 'It is. [1][2]', sources },
      {
        ...said,
        id: 'd',
        parent_id: 'c',
        role: 'assistant',
        content: '',
        state: 'failed',
        error: { code: 'busy', message: 'Full.' },
      },
    ],
  }
  expect(await ana.importConversations(toFile(given))).toMatchObject({ imported: 1, messages: 4 })
  const [item] = (await ana.conversations()).items
  const [exported] = await readLines(await ana.exportConversation(item?.id ?? '', 'json'))
  expect(exported?.messages[1]).toMatchObject({ state: 'interrupted' })
  expect(exported?.messages[1]).not.toHaveProperty('corrects_id')
  const markdownOf = async (id: string) => (await ana.exportConversation(id, 'markdown')).text()
  const markdown = await markdownOf(item?.id ?? '')
  expect(markdown.split('\n\n').slice(1)).toEqual([
    '## Assistant (a b)',
    'Calls look:',
    '```\n{"at":1}\n```',
    '## Tool',
    'seen',
    '## Assistant',
    'It is. [1][2]',
    '[1] a # b.pdf, page 3\n[2] c.txt',
    '## Assistant',
    '*It failed: Full.*\n',
  ])
  const { id } = await ana.addConversation()
  expect(await markdownOf(id)).toBe('# Conversation\n')
})

test('what is too long, or too much to be told of, is counted and told; halves of characters become whole ones', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const good = { ...anyConversation(), title: 'half \ud83d of it', messages: [], leaf_message_id: null }
  const many = Array.from({ length: 20_001 }, (_, at) => {
    return { id: `${at}`, parent_id: null, role: 'user', content: 'x', created_at: good.created_at, state: 'done' }
  })
  const file = toFile({ ...good, messages: many }, 'x'.repeat(32 * 1024 * 1024 + 1), good, ...Array(1001).fill('x'))
  const { imported, skipped } = await ana.importConversations(file)
  expect(imported).toBe(1)
  expect(skipped.slice(0, 3)).toEqual([
    { line: 1, reason: 'it has more than 20000 messages' },
    { line: 2, reason: 'it is too long' },
    { line: 4, reason: 'it is not valid JSON' },
  ])
  expect(skipped).toHaveLength(1001)
  expect(skipped.at(-1)).toEqual({ line: 0, reason: 'and 3 more' })
  expect((await ana.conversations()).items[0]?.title).toBe('half \ufffd of it')
})

test('a conversation is as long as it may be when it comes back, and takes no more messages', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const said = { role: 'user', content: 'x', created_at: '2026-01-01T00:00:00.000Z', state: 'done' } as const
  const messages = Array.from({ length: 20_000 }, (_, at) => ({ ...said, id: `${at}`, parent_id: at === 0 ? null : `${at - 1}` }))
  const given = { ...anyConversation(), messages, leaf_message_id: '19999' }
  expect(await ana.importConversations(toFile(given))).toMatchObject({ imported: 1, messages: 20_000 })
  const [item] = (await ana.conversations()).items
  const id = item?.id ?? ''
  expect(await codeOf(ana.addMessage(id, { parent_id: null, role: 'user', content: 'x' }))).toBe('conflict')
  const [exported] = await readLines(await ana.exportConversation(id, 'json'))
  expect(exported && withoutIds(exported).messages).toEqual(withoutIds(given).messages)
  expect((await (await ana.exportConversation(id, 'markdown')).text()).match(/^## User$/gm)).toHaveLength(20_000)
})

test('in a list, too, one that is too long has no text, and one that is cut off is told as it is', async () => {
  async function* chunks() {
    yield `[{"a":"${'x'.repeat(20 * 1024 * 1024)}`
    yield `${'x'.repeat(20 * 1024 * 1024)}"},{"b":`
  }
  expect(await Array.fromAsync(readItems(chunks()))).toEqual([
    { line: 1, text: undefined },
    { line: 2, text: '{"b":' },
  ])
})

test('a file is split the same wherever its pieces end', async () => {
  const list = [{ a: '}]"\\' }, { b: [{ c: '{' }] }, {}]
  for (const text of [JSON.stringify(list), JSON.stringify(list, null, 2), list.map((one) => JSON.stringify(one)).join('\r\n')])
    for (const size of [1, 2, 3, 7, 1000]) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
      async function* chunks() {
        yield* pieces
      }
      const items = await Array.fromAsync(readItems(chunks()))
      expect(items.map((item) => JSON.parse(item.text ?? ''))).toEqual(list)
      expect(items.map(({ line }) => line)).toEqual([1, 2, 3])
    }
})
