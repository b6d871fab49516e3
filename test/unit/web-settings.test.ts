import { expect, test } from 'vitest'
import { fromDraft, resetDraft, toDraft, wrongNumbers } from '../../web/chat/settings/draft.ts'
import { parameters, readNumber } from '../../web/chat/settings/parameters.ts'
import { readTools } from '../../web/chat/settings/read-tools.ts'

const all = {
  system: 'Be brief.',
  model: 'gemma',
  temperature: 0.7,
  top_p: 0.9,
  top_k: 20,
  min_p: 0,
  repeat_penalty: 1.1,
  seed: 7,
  max_length: 100,
  reasoning: 'low',
  collection: 'law',
  tools: [{ name: 'add', description: 'Adds.', parameters: { type: 'object' } }],
} as const

test('settings go through a draft unchanged', () => {
  const settings = { ...all, tools: [...all.tools] }
  expect(fromDraft(toDraft(settings))).toEqual(settings)
  expect(fromDraft(toDraft({}))).toEqual({})
})

test('what is emptied is as the service does it; who answers stays', () => {
  expect(fromDraft(resetDraft(toDraft({ ...all, tools: [...all.tools] })))).toEqual({ model: 'gemma' })
})

test('numbers are read with a point or a comma, and only within their bounds', () => {
  const [temperature] = parameters
  if (temperature === undefined) throw new Error('There are parameters.')
  expect(['0,7', '.5', '2', ' 1.5 '].map((typed) => readNumber(typed, temperature))).toEqual([0.7, 0.5, 2, 1.5])
  for (const typed of ['2.01', '-1', '1e1', 'x', '1.000,5', '0x1', '']) expect(readNumber(typed, temperature)).toBeUndefined()
  const topK = parameters.find(({ name }) => name === 'top_k')
  expect(topK && readNumber('2.5', topK)).toBeUndefined()
})

test('a draft with something wrong is no settings, and says what', () => {
  const draft = toDraft({})
  draft.numbers.temperature = '3'
  draft.numbers.seed = 'abc'
  expect(wrongNumbers(draft)).toEqual(['temperature', 'seed'])
  expect(fromDraft(draft)).toBeUndefined()
  expect(fromDraft({ ...toDraft({}), tools: '{' })).toBeUndefined()
})

test("tools are read in our shape and in OpenAI's, alone and in a list", () => {
  const ours = { name: 'add', parameters: { type: 'object' } }
  const openAi = { type: 'function', function: { ...ours, strict: true } }
  for (const value of [ours, [ours], openAi, [openAi], { tools: [openAi] }])
    expect(readTools(JSON.stringify(value))).toEqual({ tools: [ours] })
  expect(readTools(' \n')).toEqual({ tools: undefined })
  expect(readTools('[]')).toEqual({ tools: undefined })
})

test.each([
  ['{', { problem: 'no-json' }],
  ['3', { problem: 'no-list' }],
  ['[3]', { problem: 'no-tool', at: 1 }],
  ['[{"name":"a"},{}]', { problem: 'no-name', at: 2 }],
  ['[{"name":"a b"}]', { problem: 'bad-name', at: 1 }],
  ['[{"name":"a","description":3}]', { problem: 'bad-description', at: 1 }],
  ['[{"name":"a","parameters":[]}]', { problem: 'bad-parameters', at: 1 }],
  ['[{"name":"a"},{"name":"a"}]', { problem: 'same-name', at: 2, name: 'a' }],
])('what is wrong with tools is told: %s', (text, problem) => {
  expect(readTools(text)).toMatchObject(problem)
})
