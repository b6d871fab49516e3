import { expect, test } from 'vitest'
import { followRow } from '../../src/conversations/follow-row.ts'
import type { MessageAnswer, MessageEvent } from '../../src/conversations/schema.ts'
import { AppError } from '../../src/errors.ts'

const begun: MessageAnswer = {
  ...{ id: 'm', parent_id: null, role: 'assistant', content: '', created_at: '2026-01-01T00:00:00.000Z', state: 'writing' },
  version_ids: ['m'],
}
const source = {
  ...{ number: 1, document_id: null, id: 'p', document: 'a.txt', source: 'upload', text: 't', score: 1 },
  ...{ page: null, last_page: null, section: null },
}
const callOf = (id: string, given: string) => ({ id, name: 'look', arguments: given })

/** What a follower is told of a message that is saved so, one state after the other. */
async function follow(states: ReadonlyArray<Partial<MessageAnswer> | Error>, signal = new AbortController().signal) {
  const left = [...states]
  const read = async () => {
    const next = left.shift()
    if (next === undefined) return expect.unreachable('It is read once too often.')
    if (next instanceof Error) throw next
    return { ...begun, ...next }
  }
  const events: MessageEvent[] = []
  for await (const event of followRow({ read, everyMs: 0 }, signal)) events.push(event)
  return events
}

test('of an answer that another process writes each piece is told once, in the order of its parts', async () => {
  const thought = { reasoning: 'Hm.' }
  const called = { ...thought, content: 'So', tool_calls: [callOf('1', '{')] }
  const more = { ...called, tool_calls: [callOf('1', '{}'), callOf('2', '')], sources: [source] }
  const done = { ...more, content: 'So be it.', state: 'done' } as const
  expect(await follow([{}, {}, thought, called, more, done])).toEqual([
    { type: 'snapshot', message: begun },
    { type: 'waiting', for: 'queue' },
    { type: 'reasoning', text: 'Hm.' },
    { type: 'text', text: 'So' },
    { type: 'tool-call', index: 0, id: '1', name: 'look' },
    { type: 'tool-arguments', index: 0, text: '{' },
    { type: 'sources', sources: [source] },
    { type: 'tool-arguments', index: 0, text: '}' },
    { type: 'tool-call', index: 1, id: '2', name: 'look' },
    { type: 'text', text: ' be it.' },
    { type: 'end', message: { ...begun, ...done } },
  ])
})

test.each([
  ['its text', { content: 'one' }, { content: 'other' }],
  ['its thoughts', { reasoning: 'one' }, { reasoning: 'other' }],
  ['a call', { tool_calls: [callOf('1', '{}')] }, { tool_calls: [callOf('2', '{}')] }],
  ['what a call is given', { tool_calls: [callOf('1', '{}')] }, { tool_calls: [callOf('1', '[')] }],
])('all of it is told again where %s was changed', async (_what, before, after) => {
  const told = await follow([before, { ...after, state: 'stopped' }])
  expect(told.slice(1).map(({ type }) => type)).toEqual(['snapshot', 'end'])
  expect(told[1]).toMatchObject({ message: after })
})

test('a database that cannot be asked for a while is asked again, an answer that was deleted has stopped, all else is told', async () => {
  const away = [new AppError('busy', 'Many wait.'), new AppError('unavailable', 'It is gone.')]
  const back = await follow([{ content: 'a' }, ...away, { content: 'a', state: 'done' }])
  expect(back.map(({ type }) => type)).toEqual(['snapshot', 'end'])
  const deleted = await follow([{ content: 'a' }, new AppError('not_found', 'It is there no more.')])
  expect(deleted.at(-1)).toMatchObject({ type: 'end', message: { content: 'a', state: 'stopped' } })
  for (const error of [new AppError('internal', 'Broken.'), new Error('no such table')])
    await expect(follow([{ content: 'a' }, error])).rejects.toBe(error)
})

test('who leaves is told nothing more', async () => {
  expect(await follow([{ content: 'a' }], AbortSignal.abort())).toMatchObject([{ type: 'snapshot' }])
})
