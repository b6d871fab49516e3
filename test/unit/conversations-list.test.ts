import { expect, test } from 'vitest'
import { sweepConversations } from '../../src/conversations/retention.ts'
import { excerptAround, searchWords, toSearchQuery } from '../../src/conversations/search-query.ts'
import { titleOf } from '../../src/conversations/title.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { allOf, codeOf, createBrowser, openConversationsWorld, patient } from '../conversations-world.ts'
import { databaseAt } from '../postgres/database-at.ts'

test('the list has pinned ones first, then those in which something was said last, page by page', async () => {
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  await using world = await openConversationsWorld({ now: () => nowMs })
  const { client } = createBrowser(world.server.url)
  const ids: string[] = []
  for (let count = 0; count < 7; count += 1) {
    // Two of one moment, too.
    nowMs += count === 3 ? 0 : 1000
    ids.push((await client.addConversation({ title: String(count) })).id)
  }
  await client.changeConversation(ids[2] ?? '', { pinned: true, title: 'two' })
  nowMs += 1000
  await client.addMessage(ids[0] ?? '', { parent_id: null, role: 'user', content: 'x' })
  const titles: string[] = []
  let cursor: string | null | undefined
  do {
    const page = await client.conversations({ limit: 2, ...(cursor ? { cursor } : {}) })
    titles.push(...page.items.map(({ title }) => title))
    cursor = page.next_cursor
  } while (cursor !== null)
  expect(titles.slice(0, 5)).toEqual(['two', '0', '6', '5', '4'])
  expect(titles.slice(5).toSorted()).toEqual(['1', '3'])
  const changed = await client.changeConversation(ids[2] ?? '', { pinned: false, settings: { temperature: 0.5 } })
  expect(changed).toMatchObject({ pinned: false, title: 'two', settings: { temperature: 0.5 } })
  expect((await client.conversations()).items.map(({ title }) => title).indexOf('two')).toBeGreaterThan(0)
  expect(await codeOf(client.conversations({ cursor: 'nonsense' }))).toBe('invalid')
})

test('a search finds words of titles and messages, whole or begun, with or without accents, and tells where', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const first = await ana.addConversation({ title: 'Vacaciones en Galicia' })
  const { answer } = await ana.beginAnswer(first.id, { parent_id: null, content: '¿Dónde está el faro más antiguo?' })
  await expect.poll(() => host.answers.length, patient).toBe(1)
  host.answers[0]?.say('La Torre de **Hércules** está en La Coruña.')
  host.answers[0]?.end()
  await allOf(ana.followAnswer(first.id, answer.id))
  await ana.addConversation({ title: 'Recipes' })
  const found = async (search: string) => (await ana.conversations({ search })).items
  expect(await found('galicia')).toMatchObject([{ id: first.id, excerpt: null }])
  expect(await found('hercul')).toMatchObject([{ id: first.id, excerpt: 'La Torre de **Hércules** está en La Coruña.' }])
  expect(await found('coruña torre')).toHaveLength(1)
  expect(await found('coruña recipes')).toEqual([])
  for (const odd of ['"', "' OR 1", 'NEAR(', 'a*b^c:d', '-- ;', '\u0000', '😀', 'ab"cd']) expect(await found(odd)).toEqual([])
  await ana.changeConversation(first.id, { title: 'Norte' })
  expect(await found('galicia')).toEqual([])
  expect(await found('norte')).toHaveLength(1)
  await ana.removeConversation(first.id)
  expect([...(await found('norte')), ...(await found('torre'))]).toEqual([])
})

test('what is looked for is words, and nothing of a text is an operator', () => {
  expect(toSearchQuery(searchWords('café "x" OR y*'))).toBe('"café"* "x"* "OR"* "y"*')
  expect(searchWords(' … ')).toEqual([])
  expect(searchWords('a '.repeat(100))).toHaveLength(16)
})

test('an excerpt is what stands around the first of the words, on one line', () => {
  expect(excerptAround('La\n\nTorre de Hércules', ['hercul'])).toBe('La Torre de Hércules')
  const long = `${'before '.repeat(50)}HÉRCULES ${'after '.repeat(50)}`
  expect(excerptAround(long, ['nothing', 'hercules'])).toMatch(/^…\S* ?(before )+HÉRCULES (after )+\S*…$/)
  expect(excerptAround('😀'.repeat(300), ['x']).isWellFormed()).toBe(true)
})

test('a title is one line of the question, cut at a word', () => {
  expect(titleOf('  What\n is\tthis? ')).toBe('What is this?')
  const long = titleOf(`${'word '.repeat(40)}`)
  expect(long).toMatch(/^(word )+word…$/)
  expect(long.length).toBeLessThanOrEqual(80)
  expect(titleOf('a'.repeat(200))).toBe(`${'a'.repeat(79)}…`)
  expect(titleOf(`${'a'.repeat(78)}😀😀`).isWellFormed()).toBe(true)
})

test('a day after it was deleted a conversation goes for good, with its messages and their words; so do those of a lost browser', async () => {
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  await using world = await openConversationsWorld({ now: () => nowMs })
  const { client } = createBrowser(world.server.url)
  const kept = await client.addConversation({ title: 'kept' })
  const deleted = await client.addConversation({ title: 'deleted' })
  for (const { id } of [kept, deleted]) await client.addMessage(id, { parent_id: null, role: 'user', content: 'words' })
  await client.removeConversation(deleted.id)
  const storage = await openStorage({ url: await databaseAt(`${world.server.dataDir}/simpleia.db`) })
  const { db } = storage
  const titles = async () => (await db.selectFrom('conversations').select('title').execute()).map(({ title }) => title)
  const messages = async () => (await db.selectFrom('messages').select('id').execute()).length
  const day = 24 * 60 * 60 * 1000
  expect(await sweepConversations(db, nowMs + day - 1)).toBe(0)
  expect(await sweepConversations(db, nowMs + day)).toBe(1)
  expect([await titles(), await messages()]).toEqual([['kept'], 1])
  nowMs += day
  expect(await codeOf(client.restoreConversation(deleted.id))).toBe('not_found')
  expect(await sweepConversations(db, nowMs + 400 * day)).toBe(1)
  expect([await titles(), await messages()]).toEqual([[], 0])
  await storage.close()
})

test('with a user go the conversations, messages and presets', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const bea = await world.clientOf('bea')
  const { id } = await bea.addConversation({ title: 'of bea' })
  await bea.addPreset({ name: 'Brief', settings: { system: 'Be brief.' } })
  await bea.beginAnswer(id, { parent_id: null, content: 'x' })
  await expect.poll(() => world.host.answers.length, patient).toBe(1)
  const user = (await ana.listUsers()).items.find(({ username }) => username === 'bea')
  await ana.removeUser(user?.id ?? '')
  const storage = await openStorage({ url: await databaseAt(`${world.server.dataDir}/simpleia.db`) })
  for (const table of ['conversations', 'messages', 'presets'] as const)
    expect(await storage.db.selectFrom(table).select('id').execute()).toEqual([])
  await storage.close()
  world.host.answers[0]?.say('more')
  await expect.poll(() => world.host.answers[0]?.isLeft(), patient).toBe(true)
})

test('presets are kept, changed and removed by their owner alone', async () => {
  await using world = await openConversationsWorld()
  const { client } = createBrowser(world.server.url)
  const stranger = createBrowser(world.server.url).client
  const preset = await client.addPreset({ name: ' Brief ', settings: { system: 'Be brief.' } })
  await client.addPreset({ name: 'angry', settings: {} })
  expect((await client.presets()).items.map(({ name }) => name)).toEqual(['angry', 'Brief'])
  for (const other of [stranger, world.ana]) {
    expect((await other.presets()).items).toEqual([])
    expect(await codeOf(other.changePreset(preset.id, { name: 'mine', settings: {} }))).toBe('not_found')
    expect(await codeOf(other.removePreset(preset.id))).toBe('not_found')
  }
  const changed = await client.changePreset(preset.id, { name: 'Short', settings: { temperature: 0 } })
  expect(changed).toEqual({ ...preset, name: 'Short', settings: { temperature: 0 } })
  await client.removePreset(preset.id)
  expect((await client.presets()).items).toHaveLength(1)
})
