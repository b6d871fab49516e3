import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MessageAnswer, MessageEvent } from '../../src/conversations/schema.ts'
import { AppError } from '../../src/errors.ts'
import { applyEvent } from '../../web/chat/messages/apply-event.ts'
import { untilLoaded, wasHeldUp } from '../../web/chat/messages/deliver.ts'
import { endOf } from '../../web/chat/messages/endings.ts'
import { pretty } from '../../web/chat/messages/tool-arguments.ts'
import { versionBeside, versionOf, versionToCompare } from '../../web/chat/messages/versions.ts'
import { isAtEnd, staysAtEnd } from '../../web/chat/scroll-rules.ts'
import { isPassing, isUnreached, pauseAfter } from '../../web/shell/pauses.ts'
import { placeMarks, withoutMarks } from '../../web/ui/markdown/sentence-marks.ts'

const message = (changes: Partial<MessageAnswer> = {}): MessageAnswer => ({
  id: 'a',
  parent_id: 'q',
  role: 'assistant',
  content: '',
  created_at: '2026-01-01T00:00:00.000Z',
  state: 'writing',
  version_ids: ['a'],
  ...changes,
})

test('versions are turned from the first to the last, and no further', () => {
  const versions = ['a', 'b', 'c']
  const at = (id: string) => ({ id, version_ids: versions })
  expect(versionOf(at('b'))).toEqual({ number: 2, of: 3 })
  expect(versionOf({ id: 'a', version_ids: ['a'] })).toBeUndefined()
  expect([versionBeside(at('b'), -1), versionBeside(at('b'), 1)]).toEqual(['a', 'c'])
  expect(versionBeside(at('a'), -1)).toBeUndefined()
  expect(versionBeside(at('c'), 1)).toBeUndefined()
  expect([versionToCompare(at('a')), versionToCompare(at('c'))]).toEqual(['b', 'b'])
})

test('the events of an answer, one by one, make the message that the snapshot after them tells', () => {
  const events: readonly MessageEvent[] = [
    { type: 'snapshot', message: message() },
    { type: 'waiting', for: 'model' },
    { type: 'reasoning', text: 'hm' },
    { type: 'reasoning', text: 'm' },
    { type: 'text', text: 'yes, ' },
    { type: 'text', text: 'indeed' },
    { type: 'tool-call', index: 0, id: 'c', name: 'clock' },
    { type: 'tool-arguments', index: 0, text: '{"a":' },
    { type: 'tool-arguments', index: 0, text: '1}' },
  ]
  expect(events.reduce(applyEvent, message({ content: 'old' }))).toEqual(
    message({ content: 'yes, indeed', reasoning: 'hmm', tool_calls: [{ id: 'c', name: 'clock', arguments: '{"a":1}' }] }),
  )
  const ended = message({ state: 'done', content: 'all' })
  expect(applyEvent(message(), { type: 'end', message: ended })).toBe(ended)
})

test('pauses grow to a limit; only what passes by itself is asked for again', () => {
  expect([1, 2, 3, 4, 5, 60].map(pauseAfter)).toEqual([500, 1000, 2000, 4000, 8000, 8000])
  expect(isPassing(new AppError('unavailable', 'gone'))).toBe(true)
  expect(isPassing(new AppError('not_found', 'gone'))).toBe(false)
  expect(isPassing(new TypeError('a mistake'))).toBe(false)
  expect(isUnreached(new AppError('unavailable', 'x', { cause: new TypeError('Failed to fetch') }))).toBe(true)
  expect(isUnreached(new AppError('unavailable', 'loading'))).toBe(false)
})

test('an answer is held up where nothing of it was written as no model was there', () => {
  const error = { code: 'unavailable', message: 'loading' }
  expect(wasHeldUp(message({ state: 'failed', error }))).toBe(true)
  expect(wasHeldUp(message({ state: 'failed', error, content: 'half' }))).toBe(false)
  expect(wasHeldUp(message({ state: 'failed', error: { ...error, code: 'busy' } }))).toBe(false)
})

test('a model that is not loading is not waited for', async () => {
  const { signal } = new AbortController()
  expect(await untilLoaded(async () => 'ready', signal)).toBe(false)
  expect(await untilLoaded(async () => 'failed', signal)).toBe(false)
})

test('how an answer ended is said where it did not simply end', () => {
  expect(endOf(message({ state: 'done', finish_reason: 'stop' }))).toBeUndefined()
  expect(endOf(message({ state: 'done', finish_reason: 'length' }))).toBe('tooLong')
  expect(endOf(message({ state: 'interrupted' }))).toBe('interrupted')
})

test('a view stays at the end until its reader scrolls up, and again when they are back', () => {
  const end = { top: 500, height: 1000, viewHeight: 500 }
  expect(isAtEnd(end)).toBe(true)
  // More was written: the view has not moved yet.
  expect(staysAtEnd(true, end, { ...end, height: 1200 })).toBe(true)
  expect(staysAtEnd(true, end, { ...end, top: 400 })).toBe(false)
  // What is shown became shorter, as when a form was closed.
  expect(staysAtEnd(true, { ...end, height: 1200, top: 700 }, { ...end, height: 1100, top: 560 })).toBe(true)
  expect(staysAtEnd(false, { ...end, top: 300 }, { ...end, top: 400 })).toBe(false)
  expect(staysAtEnd(false, { ...end, top: 400 }, end)).toBe(true)
})

test('arguments of tools have a line for each field, and stay as they are where they are none', () => {
  expect(pretty('{"a":[1]}')).toBe('{\n  "a": [\n    1\n  ]\n}')
  expect(pretty('{"a":')).toBe('{"a":')
})

test('marks around sentences change nothing else, and leave what begins a line alone', () => {
  const text = '- One is so. Two is not.\n\n# Three'
  expect(placeMarks(text, [{ offset: 0, length: 12 }])).toBe('- \uE0F0One is so.\uE0F1 Two is not.\n\n# Three')
  expect(placeMarks(text, [{ offset: 13, length: 13 }])).toBe('- One is so. \uE0F0Two is not.\uE0F1\n\n# Three')
  const spans = fc.array(fc.record({ offset: fc.nat(40), length: fc.nat(40) }), { maxLength: 4 })
  fc.assert(
    fc.property(fc.string(), spans, (any, some) => {
      expect(withoutMarks(placeMarks(any, some))).toBe(withoutMarks(any))
    }),
  )
})
