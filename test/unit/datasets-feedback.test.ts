import { expect, test } from 'vitest'
import type { FeedbackChoice } from '../../src/datasets/from-feedback.ts'
import { createFeedbackLines } from '../../src/datasets/from-feedback.ts'
import type { Lesson, LessonFilter } from '../../src/feedback/lessons.ts'

const lesson = (predictionId: string, more: Partial<Lesson> = {}): Lesson => ({
  feedbackId: `of ${predictionId}`,
  predictionId,
  conversation: 'c',
  promptType: 'chat',
  messages: [{ role: 'user', content: 'q' }],
  chosen: `good ${predictionId}`,
  rejected: undefined,
  lacks: [],
  rating: 'up',
  comment: null,
  tags: [],
  model: 'base',
  userId: 'ana',
  createdAt: '2026-01-01T00:00:00.000Z',
  ...more,
})

const turns = [
  { role: 'user', content: 'q' },
  { role: 'assistant', content: 'a' },
  { role: 'user', content: 'r' },
] as const

const all = [
  lesson('corrected'),
  lesson('corrected', { feedbackId: 'edit', rejected: 'bad', tags: ['kind'] }),
  lesson('kept', { feedbackId: 'both', rejected: 'first', messages: turns, tags: ['long', 'kind'] }),
  lesson('kept', { feedbackId: 'both', rejected: 'second', messages: turns, tags: ['long', 'kind'] }),
  lesson('cut', { lacks: ['end'] }),
  lesson('text', { promptType: 'text', tags: ['short'] }),
]

async function chosenBy(choice: FeedbackChoice) {
  const asked: LessonFilter[] = []
  async function* list(filter: LessonFilter) {
    asked.push(filter)
    yield* all.filter(({ tags }) => filter.tag === undefined || tags.includes(filter.tag))
  }
  const countOthers = async () => ({ textOnly: 1, gone: 0, superseded: 2, byOthers: 3 })
  const { lines, report } = createFeedbackLines({ list, countOthers }, choice, new AbortController().signal)
  const found: unknown[] = []
  for await (const line of lines()) found.push(JSON.parse(line))
  const leftOut = report().leftOut.map(({ reason, count }) => `${reason} ${count}`)
  return { found, asked, ...report(), leftOut }
}

const others = ['text-only 1', 'superseded 2', 'by-others 3']

test('of an answer that somebody corrected the correction is learned, and each feedback once, with its last answer alone', async () => {
  expect(await chosenBy({ method: 'sft' })).toMatchObject({
    found: [
      { messages: [{ content: 'q' }, { role: 'assistant', content: 'good corrected' }] },
      { messages: [turns[0], { ...turns[1], weight: 0 }, turns[2], { role: 'assistant', content: 'good kept' }] },
      { messages: [{ content: 'q' }, { role: 'assistant', content: 'good text' }] },
    ],
    lessons: 6,
    used: 3,
    textPrompts: 1,
    leftOut: ['corrected 1', 'repeated 1', 'end 1', ...others],
  })
})

test('pairs are made of each better answer and each worse one', async () => {
  const { found, leftOut } = await chosenBy({ method: 'dpo' })
  expect(found).toMatchObject(['bad', 'first', 'second'].map((content) => ({ rejected: [{ content }] })))
  expect(leftOut).toEqual(['no-other-answer 3', ...others])
})

test('one tag is looked for, and of several each feedback with one of them is taken', async () => {
  const one = await chosenBy({ method: 'dpo', tags: ['long'] })
  expect([one.asked, one.used]).toEqual([[{ tag: 'long' }], 2])
  const several = await chosenBy({ method: 'sft', tags: ['short', 'long'], model: 'base' })
  expect([several.asked, several.used, several.lessons]).toEqual([[{ model: 'base' }, { model: 'base' }], 2, 3])
})
