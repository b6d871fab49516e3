import { expect, test } from 'vitest'
import { createConversations } from '../../src/conversations/conversations.ts'
import { importConversations } from '../../src/conversations/import.ts'
import { createMessages, mostBytes } from '../../src/conversations/messages.ts'
import { createPresets } from '../../src/conversations/presets.ts'
import { sweepConversations } from '../../src/conversations/retention.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { codeOf } from '../conversations-world.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { openFolder } from '../temp-folder.ts'

const visitor = { column: 'visitor', value: 'v' } as const
const never = new AbortController().signal
const startMs = Date.parse('2026-01-01T00:00:00Z')
const dayMs = 24 * 60 * 60 * 1000

async function openWorld() {
  const folder = await openFolder()
  const storage = await openStorage({ url: await databaseAt(`${folder.path}/a.db`) })
  const clock = { nowMs: startMs }
  const parts = { db: storage.db, now: () => clock.nowMs }
  const lines = (...texts: readonly object[]) => texts.map((text) => JSON.stringify(text)).join('\n')
  async function* chunksOf(text: string) {
    yield text
  }
  return {
    ...{ clock, db: storage.db },
    conversations: createConversations(parts),
    messages: createMessages({ ...parts, instanceId: 'one' }),
    presets: createPresets(parts),
    importAll: (...given: readonly object[]) => importConversations(parts, visitor, chunksOf(lines(...given)), never),
    titles: async () =>
      (await storage.db.selectFrom('conversations').select('title').orderBy('title').execute()).map((row) => row.title),
    async [Symbol.asyncDispose]() {
      await storage.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const exportedOf = (title: string, createdAt: string, count = 1) => ({
  ...{ format: 'simpleia-conversation', version: 1, title, pinned: false, created_at: createdAt, settings: {} },
  leaf_message_id: null,
  messages: Array.from({ length: count }, (_, place) => ({
    ...{ id: String(place), parent_id: null, role: 'user', content: `word ${place}`, created_at: createdAt, state: 'done' },
  })),
})

test('what a browser without an account brings in stays, however long ago it was said', async () => {
  await using world = await openWorld()
  await world.importAll(exportedOf('old', '2020-01-01T00:00:00Z'))
  expect(await sweepConversations(world.db, startMs + dayMs)).toBe(0)
  expect(await sweepConversations(world.db, startMs + 401 * dayMs)).toBe(1)
})

test('a conversation that is used now and then stays; one that is not goes with the presets of a browser that has left', async () => {
  await using world = await openWorld()
  const { clock, conversations, messages, presets } = world
  const [said, renamed, left] = await Promise.all(
    ['said', 'renamed', 'left'].map((title) => conversations.create(visitor, { title })),
  )
  const gone = { column: 'visitor', value: 'gone' } as const
  for (const owner of [visitor, gone]) await presets.add(owner, { name: 'Brief', settings: {} })
  clock.nowMs += 300 * dayMs
  await messages.add(visitor, said?.id ?? '', { parent_id: null, role: 'user', content: 'x' })
  await conversations.change(visitor, renamed?.id ?? '', { pinned: true })
  clock.nowMs += 101 * dayMs
  expect(await sweepConversations(world.db, clock.nowMs)).toBe(1)
  expect(await world.titles()).toEqual(['renamed', 'said'])
  expect(await codeOf(conversations.restore(visitor, left?.id ?? ''))).toBe('not_found')
  expect([await presets.list(visitor), await presets.list(gone)]).toMatchObject([[{ name: 'Brief' }], []])
})

test('a time that is none is told of, and the rest of the file is kept', async () => {
  await using world = await openWorld()
  const answer = await world.importAll(exportedOf('leap', '2016-12-31T23:59:60Z'), exportedOf('good', '2020-01-01T00:00:00Z'))
  expect(answer).toMatchObject({ imported: 1, skipped: [{ line: 1, reason: expect.stringContaining('23:59:60') }] })
  expect(await world.titles()).toEqual(['good'])
})

test('what says that it comes from the future does not stand before all others for ever', async () => {
  await using world = await openWorld()
  await world.importAll(exportedOf('later', '2999-01-01T00:00:00Z'))
  const row = await world.db.selectFrom('conversations').select(['createdAt', 'updatedAt']).executeTakeFirstOrThrow()
  expect(row).toEqual({ createdAt: new Date(startMs).toISOString(), updatedAt: new Date(startMs).toISOString() })
})

test('others are answered while a long conversation is brought in', async () => {
  await using world = await openWorld()
  let turns = 0
  const turning = setInterval(() => {
    turns += 1
  }, 0)
  await world.importAll(exportedOf('long', '2020-01-01T00:00:00Z', 4000))
  clearInterval(turning)
  expect(turns).toBeGreaterThan(5)
})

test('a conversation has a bound of text, files included', async () => {
  await using world = await openWorld()
  const { id } = await world.conversations.create(visitor, {})
  const attachments = [{ name: 'a.txt', text: 'x'.repeat(mostBytes / 4) }]
  const question = { parent_id: null, role: 'user', content: 'x', attachments } as const
  for (let count = 0; count < 3; count += 1) await world.messages.add(visitor, id, question)
  expect(await codeOf(world.messages.add(visitor, id, question))).toBe('conflict')
  expect(await codeOf(world.messages.begin(visitor, id, { parent_id: null, content: 'y', attachments }, 'answer'))).toBe(
    'conflict',
  )
  await world.messages.begin(visitor, id, { parent_id: null, content: 'y' }, 'answer')
})

test('an answer that was taken for one that a dead process left is kept whole all the same', async () => {
  await using world = await openWorld()
  const { id } = await world.conversations.create(visitor, {})
  const { answer } = await world.messages.begin(visitor, id, { parent_id: null, content: 'x' }, 'answer')
  expect(await world.messages.interruptOrphans()).toBe(1)
  const { version_ids: _versions, ...kept } = answer
  expect(await world.messages.save({ ...kept, content: 'all of it', state: 'done' })).toBe(true)
  expect(await world.messages.get(visitor, id, 'answer')).toMatchObject({ content: 'all of it', state: 'done' })
})

test('titles and names of presets are texts that come back as they are told', async () => {
  await using world = await openWorld()
  const created = await world.conversations.create(visitor, { title: 'half \ud83d' })
  expect(created.title).toBe((await world.conversations.get(visitor, created.id)).title)
  const preset = await world.presets.add(visitor, { name: 'half \ud83d', settings: {} })
  expect(await world.presets.list(visitor)).toEqual([preset])
})
