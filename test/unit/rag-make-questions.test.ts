import { expect, test } from 'vitest'
import { makeQuestion } from '../../src/rag/make-questions.ts'

const never = new AbortController().signal
const material = {
  source: 'guide/tides.md',
  title: 'Tides',
  section: 'Tides > When the water is high',
  text: 'High water comes about every twelve hours and twenty-five minutes. The moon draws it.',
}

/** A model that says this, and remembers what it was asked. */
function make(says: string, given: Partial<typeof material> = {}) {
  const prompts: string[] = []
  const complete = async (prompt: string) => {
    prompts.push(prompt)
    return says
  }
  return { prompts, made: makeQuestion({ ...material, ...given }, { id: 'q1', complete }, never) }
}

test('a question of the model is taken, and the document that it is about is the right one', async () => {
  const { made, prompts } = make(' How often does high water come?\nPassage: and so on')
  expect(await made).toEqual({
    id: 'q1',
    question: 'How often does high water come?',
    relevant: ['guide/tides.md'],
    made_by: 'model',
  })
  expect(prompts[0]).toMatch(/High water comes .* draws it\.\nQuestion of a reader:$/)
})

test.each([
  ['no question', 'High water comes twice a day.'],
  ['too short', 'Water?'],
  ['nothing', ''],
  ['about something else', 'What does a ticket to Paris cost?'],
  ['one of the examples', 'How many books can I take home from the library at once?'],
  ['endless', `${'Why does the water '.repeat(20)}?`],
])('what the model writes is put aside when it is %s; the heading is the question then', async (_, says) => {
  expect(await make(says).made).toMatchObject({ question: 'When the water is high', made_by: 'rule' })
})

test('without a heading that says something, the first sentence is the question', async () => {
  expect(await make('', { section: 'Tides' }).made).toMatchObject({
    question: 'High water comes about every twelve hours and twenty-five minutes.',
    made_by: 'rule',
  })
})

test('a passage without a sentence still gets a question', async () => {
  expect((await make('', { section: 'Tides', text: ' ' }).made).question).toBe('Tides')
})

test('a long passage is cut', async () => {
  const { made, prompts } = make('', { text: 'water '.repeat(5000) })
  await made
  expect(prompts[0]?.length).toBeLessThan(2500)
})
