import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MessageAnswer, NewMessage } from '../../src/conversations/schema.ts'
import { codeOf, openConversationsWorld } from '../conversations-world.ts'

type Said = Pick<NewMessage, 'role'> & Readonly<{ parent: number | null }>

/** A tree: each message follows one before it, or begins the conversation. */
const trees = fc.array(fc.tuple(fc.nat(), fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 25 }).map((choices) =>
  choices.map(([chosen, isRoot, isUser], place): Said => {
    return { role: isUser ? 'user' : 'assistant', parent: isRoot || place === 0 ? null : chosen % place }
  }),
)

/** The places that lead to one, and it. */
function pathTo(tree: readonly Said[], place: number): number[] {
  const path = [place]
  for (let at = tree[place]?.parent ?? null; at !== null; at = tree[at]?.parent ?? null) path.unshift(at)
  return path
}

const versionsOf = (tree: readonly Said[], place: number) =>
  tree.flatMap(({ parent, role }, other) => (parent === tree[place]?.parent && role === tree[place]?.role ? [other] : []))

/** Of all that is below a message the last one, or itself. */
const newestBelow = (tree: readonly Said[], place: number) =>
  tree.findLastIndex((_, other) => pathTo(tree, other).includes(place))

test('pages of any size, put together, are the branch; with all versions; and what is shown goes on to its newest end', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const property = fc.asyncProperty(trees, fc.nat(), fc.integer({ min: 1, max: 7 }), async (tree, chosen, limit) => {
    const { id } = await ana.addConversation()
    const kept: MessageAnswer[] = []
    for (const [place, { role, parent }] of tree.entries())
      kept.push(await ana.addMessage(id, { role, content: String(place), parent_id: kept[parent ?? -1]?.id ?? null }))
    expect((await ana.conversation(id)).leaf_message_id).toBe(kept.at(-1)?.id)
    const leaf = chosen % tree.length
    const items: MessageAnswer[] = []
    let before: string | undefined
    for (let more = true; more; before = items[0]?.id) {
      const page = await ana.messages(id, { limit, leaf: kept[leaf]?.id ?? '', ...(before === undefined ? {} : { before }) })
      expect(page.items.length).toBeLessThanOrEqual(limit)
      items.unshift(...page.items)
      more = page.has_more
    }
    expect(items.map(({ content }) => Number(content))).toEqual(pathTo(tree, leaf))
    for (const { content, version_ids } of items)
      expect(version_ids).toEqual(versionsOf(tree, Number(content)).map((place) => kept[place]?.id))
    const shown = await ana.changeConversation(id, { shown_message_id: kept[leaf]?.id ?? '' })
    expect(shown.leaf_message_id).toBe(kept[newestBelow(tree, leaf)]?.id)
    const { items: branch } = await ana.messages(id, { limit: 500 })
    expect(branch.map(({ content }) => Number(content))).toEqual(pathTo(tree, newestBelow(tree, leaf)))
  })
  await fc.assert(property, { numRuns: 25 })
})

test('a message of another conversation, also of the same owner, is none of this one', async () => {
  await using world = await openConversationsWorld()
  const { ana } = world
  const [one, other] = [await ana.addConversation(), await ana.addConversation()]
  const { id } = await ana.addMessage(other.id, { parent_id: null, role: 'user', content: 'elsewhere' })
  const answer = await ana.addMessage(other.id, { parent_id: id, role: 'assistant', content: 'there' })
  const codes = [
    ana.addMessage(one.id, { parent_id: id, role: 'assistant', content: 'x' }),
    ana.addMessage(one.id, { parent_id: null, role: 'assistant', content: 'x', corrects_id: answer.id }),
    ana.beginAnswer(one.id, { parent_id: id }),
    ana.beginAnswer(one.id, { parent_id: answer.id, content: 'x' }),
    ana.messages(one.id, { leaf: id }),
    ana.messages(one.id, { before: id }),
    ana.changeConversation(one.id, { shown_message_id: id }),
    ana.stopAnswer(one.id, answer.id),
    ana.followAnswer(one.id, answer.id).next(),
  ].map(codeOf)
  expect(new Set(await Promise.all(codes))).toEqual(new Set(['not_found']))
  expect(await ana.conversation(one.id)).toMatchObject({ messages: 0, leaf_message_id: null })
})

test('a message that makes no sense where it stands is refused', async () => {
  await using world = await openConversationsWorld()
  const { ana, host } = world
  const { id } = await ana.addConversation()
  const parent_id = null
  const question = await ana.addMessage(id, { parent_id, role: 'user', content: 'x' })
  const answer = await ana.addMessage(id, { parent_id: question.id, role: 'assistant', content: 'y' })
  const codes = [
    ana.addMessage(id, { parent_id, role: 'tool', content: 'x' }),
    ana.addMessage(id, { parent_id, role: 'user', content: 'x', tool_call_id: 'call' }),
    ana.addMessage(id, { parent_id, role: 'user', content: 'x', corrects_id: answer.id }),
    ana.addMessage(id, { parent_id, role: 'assistant', content: 'x', corrects_id: question.id }),
    ana.addMessage(id, { parent_id, role: 'assistant', content: 'x', attachments: [{ name: 'a', text: 'b' }] }),
    ana.addMessage(id, { parent_id, role: 'user', content: 'half \ud800' }),
    ana.addMessage(id, { parent_id, role: 'user', content: 'x', attachments: [{ name: 'half \ud800', text: 'b' }] }),
    ana.beginAnswer(id, { parent_id, content: 'x', attachments: [{ name: 'a', text: '\udc00 half' }] }),
    ana.beginAnswer(id, { parent_id }),
    ana.beginAnswer(id, { parent_id: answer.id }),
    ana.beginAnswer(id, { parent_id: question.id, attachments: [{ name: 'a', text: 'b' }] }),
    ana.beginAnswer(id, { parent_id, content: ' \n' }),
  ].map(codeOf)
  expect(new Set(await Promise.all(codes))).toEqual(new Set(['invalid']))
  expect((await ana.conversation(id)).messages).toBe(2)
  const corrected = await ana.addMessage(id, {
    parent_id: question.id,
    role: 'assistant',
    content: 'z',
    corrects_id: answer.id,
  })
  expect(corrected).toMatchObject({ version_ids: [answer.id, corrected.id], corrects_id: answer.id })
  const begun = await ana.beginAnswer(id, { parent_id: question.id })
  expect(await codeOf(ana.beginAnswer(id, { parent_id: begun.answer.id, content: 'and?' }))).toBe('conflict')
  expect(host.answers.length).toBeLessThanOrEqual(1)
})
