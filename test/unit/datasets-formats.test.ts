import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { exportLine } from '../../src/datasets/export-line.ts'
import type { DatasetFormat } from '../../src/datasets/kinds.ts'
import { Refused } from '../../src/datasets/read/refused.ts'
import { toExample } from '../../src/datasets/read/to-example.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'

const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
const system = (content: string) => ({ role: 'system', content })
const chat = (...messages: object[]) => ({ type: 'chat', messages })
const pair = (messages: object[], chosen = 'good', rejected = 'bad') => ({ type: 'preference', messages, chosen, rejected })

function reasonOf(record: unknown, format?: DatasetFormat): string {
  try {
    return `read as ${toExample(record, format).format}`
  } catch (error) {
    if (error instanceof Refused) return error.reason
    throw error
  }
}

describe('a record is read as', () => {
  test.each<[string, object, DatasetFormat, object]>([
    [
      'a conversation',
      { messages: [system('s'), user('q'), assistant('a')] },
      'chat',
      chat(system('s'), user('q'), assistant('a')),
    ],
    [
      'a conversation with parts of text and a developer',
      {
        messages: [{ role: 'developer', content: 's' }, { role: 'user', content: [{ type: 'text', text: 'q' }] }, assistant('a')],
      },
      'chat',
      chat(system('s'), user('q'), assistant('a')),
    ],
    [
      'a conversation of which one answer is learned',
      { messages: [user('q'), { ...assistant('a'), weight: 0 }, user('r'), { ...assistant('b'), weight: 1 }] },
      'chat',
      { ...chat(user('q'), assistant('a'), user('r'), assistant('b')), learned: [3] },
    ],
    [
      'one that weighs more',
      { messages: [user('q'), assistant('a')], weight: 2.5 },
      'chat',
      { ...chat(user('q'), assistant('a')), weight: 2.5 },
    ],
    ['one that weighs as all do', { messages: [user('q'), assistant('a')], weight: 1 }, 'chat', chat(user('q'), assistant('a'))],
    ['a prompt and its completion', { prompt: 'q', completion: ' a' }, 'prompt-completion', chat(user('q'), assistant(' a'))],
    ['a question and its answer', { question: 'q', answer: 'a' }, 'prompt-completion', chat(user('q'), assistant('a'))],
    [
      'a prompt of messages, whose answers are not learned',
      { prompt: [user('q'), assistant('a'), user('r')], completion: [assistant('b')] },
      'prompt-completion',
      { ...chat(user('q'), assistant('a'), user('r'), assistant('b')), learned: [3] },
    ],
    ['an instruction', { instruction: 'i', input: '', output: 'a' }, 'alpaca', chat(user('i'), assistant('a'))],
    [
      'an instruction with all that belongs to it',
      { instruction: 'i', input: 'x', output: 'a', system: 's', history: [['q', 'b']] },
      'alpaca',
      chat(system('s'), user('q'), assistant('b'), user('i\nx'), assistant('a')),
    ],
    [
      'a ShareGPT conversation',
      {
        conversations: [
          { from: 'system', value: 's' },
          { from: 'human', value: 'q' },
          { from: 'gpt', value: 'a' },
        ],
        tools: '[]',
      },
      'sharegpt',
      chat(system('s'), user('q'), assistant('a')),
    ],
    [
      'one under another name',
      {
        conversation: [
          { from: 'Human', value: 'q' },
          { from: 'model', value: 'a' },
        ],
      },
      'sharegpt',
      chat(user('q'), assistant('a')),
    ],
    [
      'an instruction and its response',
      { instruction: 'i', response: 'a', history: '' },
      'alpaca',
      chat(user('i'), assistant('a')),
    ],
    [
      'a system prompt that says nothing',
      { system: ' ', prompt: 'q', response: 'a' },
      'prompt-completion',
      chat(user('q'), assistant('a')),
    ],
    [
      'a system prompt beside another one',
      { system: 't', messages: [system('s'), user('q'), assistant('a')] },
      'chat',
      chat(system('s'), user('q'), assistant('a')),
    ],
    [
      'an answer in parts, one of which refuses',
      { messages: [user('q'), { role: 'assistant', content: ['I ', { text: 'am ' }, { type: 'refusal', refusal: 'sorry' }] }] },
      'chat',
      chat(user('q'), assistant('I am sorry')),
    ],
    [
      'one message as a prompt',
      { prompt: user('q'), completion: assistant('a') },
      'prompt-completion',
      chat(user('q'), assistant('a')),
    ],
    [
      'one with an answer that is not trained on',
      {
        system: 's',
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'gpt', value: 'a', train: false },
          { from: 'gpt', value: 'b' },
        ],
      },
      'sharegpt',
      { ...chat(system('s'), user('q'), assistant('a'), assistant('b')), learned: [3] },
    ],
    ['a text', { text: 't' }, 'text', { type: 'text', text: 't' }],
    [
      "OpenAI's pair",
      { input: { messages: [user('q')] }, preferred_output: [assistant('good')], non_preferred_output: [assistant('bad')] },
      'preference',
      pair([user('q')]),
    ],
    ["TRL's pair of texts", { prompt: 'q', chosen: 'good', rejected: 'bad' }, 'preference', pair([user('q')])],
    [
      "TRL's pair of messages",
      { prompt: [system('s'), user('q')], chosen: [assistant('good')], rejected: [assistant('bad')] },
      'preference',
      pair([system('s'), user('q')]),
    ],
    [
      "TRL's pair with the prompt inside",
      { chosen: [user('q'), assistant('good')], rejected: [user('q'), assistant('bad')] },
      'preference',
      pair([user('q')]),
    ],
    [
      'one with the prompt twice',
      { prompt: 'q', chosen: [user('q'), assistant('good')], rejected: [user('q'), assistant('bad')] },
      'preference',
      pair([user('q')]),
    ],
    [
      'a pair with an instruction',
      { instruction: 'i', input: 'x', chosen: 'good', rejected: 'bad' },
      'preference',
      pair([user('i\nx')]),
    ],
    [
      'a ShareGPT pair',
      {
        conversations: [{ from: 'human', value: 'q' }],
        chosen: { from: 'gpt', value: 'good' },
        rejected: { from: 'gpt', value: 'bad' },
      },
      'preference',
      pair([user('q')]),
    ],
    [
      'a conversation with a worse answer',
      { messages: [user('q'), assistant('good')], rejected_response: 'bad' },
      'preference',
      pair([user('q')]),
    ],
  ])('%s', (_, record, format, example) => {
    expect(toExample(record, undefined)).toMatchObject({ format, ignored: [] })
    expect(toExample(record, format).example).toEqual(example)
  })

  test('what it says besides is named, not dropped in silence', () => {
    const record = {
      id: 3,
      source: 'x',
      messages: [
        { ...user('q'), name: 'Ana' },
        { ...assistant('a'), refusal: null },
      ],
      extra: null,
    }
    expect(toExample(record, undefined).ignored).toEqual(['messages.name', 'id', 'source'])
  })
})

describe('a record is refused', () => {
  test.each<[string, unknown, string]>([
    ['that is no object', 5, 'wrong-shape'],
    ['that is a list', [user('q')], 'wrong-shape'],
    ['with fields of no format', { a: 1 }, 'wrong-shape'],
    ['with messages that are none', { messages: 'q' }, 'wrong-shape'],
    ['with an unknown role', { messages: [{ role: 'narrator', content: 'x' }, assistant('a')] }, 'wrong-shape'],
    ['that begins with an answer', { messages: [assistant('a'), user('q')] }, 'wrong-shape'],
    ['with a weight between 0 and 1 at an answer', { messages: [user('q'), { ...assistant('a'), weight: 0.5 }] }, 'wrong-shape'],
    ['with a weight that is negative', { text: 't', weight: -1 }, 'wrong-shape'],
    ['that weighs nothing', { text: 't', weight: 0 }, 'nothing-to-learn'],
    ['without an answer', { messages: [user('q')] }, 'nothing-to-learn'],
    ['with an empty answer', { messages: [user('q'), assistant(' \n')] }, 'nothing-to-learn'],
    ['of which no answer is learned', { messages: [user('q'), { ...assistant('a'), weight: 0 }] }, 'nothing-to-learn'],
    ['with an empty completion', { prompt: 'q', completion: '' }, 'nothing-to-learn'],
    ['with tools', { messages: [user('q'), assistant('a')], tools: [{ type: 'function' }] }, 'tools'],
    ['with a call', { messages: [user('q'), { role: 'assistant', content: null, tool_calls: [{ id: '1' }] }] }, 'tools'],
    [
      'with the result of a call',
      {
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'observation', value: 'r' },
        ],
      },
      'tools',
    ],
    [
      'with a picture',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }, assistant('a')] },
      'images',
    ],
    ['with half a character', { prompt: 'q', completion: 'half \ud83d' }, 'broken-text'],
    ['with the character NUL', { text: 'a\0b' }, 'broken-text'],
    ['with one answer and a label', { prompt: 'q', completion: 'a', label: false }, 'unpaired'],
    ['with two answers that are the same', { prompt: 'q', chosen: 'a', rejected: 'a' }, 'same-answers'],
    ['with two answers to nothing', { chosen: 'a', rejected: 'b' }, 'wrong-shape'],
    [
      'with answers to different questions',
      { chosen: [user('q'), assistant('a')], rejected: [user('r'), assistant('b')] },
      'wrong-shape',
    ],
    ['with one answer of two', { prompt: 'q', chosen: 'a' }, 'wrong-shape'],
    [
      'with roles that only every object has',
      { messages: [user('q'), { role: 'constructor', content: 'b' }, assistant('a')] },
      'wrong-shape',
    ],
    ['with a sound', { messages: [{ ...user('q'), audio: [{}] }, assistant('a')] }, 'images'],
    ['with a history that is none', { instruction: 'i', output: 'a', history: 'q' }, 'wrong-shape'],
    ['with a history of single texts', { instruction: 'i', output: 'a', history: ['q'] }, 'wrong-shape'],
    ['with a history of more than pairs', { instruction: 'i', output: 'a', history: [['q', 'b', 'c']] }, 'wrong-shape'],
    ['with a question missing in its history', { instruction: 'i', output: 'a', history: [[null, 'b']] }, 'nothing-to-learn'],
    ['with two answers to an answer', { prompt: [user('q'), assistant('b')], chosen: 'a', rejected: 'c' }, 'wrong-shape'],
    [
      'with another prompt than its answers have',
      { prompt: 'r', chosen: [user('q'), assistant('a')], rejected: [user('q'), assistant('b')] },
      'wrong-shape',
    ],
    ['with two answers that no assistant gave', { prompt: 'q', chosen: [user('a')], rejected: [user('b')] }, 'wrong-shape'],
    ['with a worse answer to no conversation', { rejected_response: 'b' }, 'wrong-shape'],
    ["with OpenAI's answers to no object", { input: 'q', preferred_output: [assistant('a')] }, 'wrong-shape'],
    ["with one of OpenAI's two answers", { input: { messages: [user('q')] }, preferred_output: [assistant('a')] }, 'wrong-shape'],
    [
      "with OpenAI's other answer alone",
      { input: { messages: [user('q')] }, non_preferred_output: [assistant('a')] },
      'wrong-shape',
    ],
    [
      "with OpenAI's two answers to nothing",
      { input: {}, preferred_output: [assistant('a')], non_preferred_output: [assistant('b')] },
      'nothing-to-learn',
    ],
    [
      "with tools beside OpenAI's question",
      {
        input: { messages: [user('q')], tools: [{}] },
        preferred_output: [assistant('a')],
        non_preferred_output: [assistant('b')],
      },
      'tools',
    ],
    [
      "with OpenAI's answers of several messages",
      {
        input: { messages: [user('q')] },
        preferred_output: [user('r'), assistant('a')],
        non_preferred_output: [assistant('b')],
      },
      'wrong-shape',
    ],
  ])('%s', (_, record, reason) => {
    expect(reasonOf(record)).toBe(reason)
  })

  test('that has another format than the one that was named', () => {
    expect(reasonOf({ text: 't' }, 'chat')).toBe('wrong-shape')
  })
})

const text = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((one) => one.trim() !== '' && !one.includes('\0') && one.isWellFormed())
const weight = fc.option(
  fc.double({ min: 0.001, max: 100, noNaN: true }).filter((one) => one !== 1),
  { nil: undefined },
)
const turns = fc.array(fc.tuple(text, text, fc.boolean()), { minLength: 1, maxLength: 4 })
const weighted = (example: TrainingExample, its: number | undefined): TrainingExample =>
  its === undefined ? example : { ...example, weight: its }
const examples: fc.Arbitrary<TrainingExample> = fc.oneof(
  fc.tuple(text, weight).map(([one, its]) => weighted({ type: 'text', text: one }, its)),
  fc
    .tuple(text, text, text, fc.option(text, { nil: undefined }), weight)
    .filter(([, chosen, rejected]) => chosen !== rejected)
    .map(([question, chosen, rejected, prompt, its]) =>
      weighted(
        {
          type: 'preference',
          messages: [
            ...(prompt === undefined ? [] : [{ role: 'system' as const, content: prompt }]),
            { role: 'user', content: question },
          ],
          chosen,
          rejected,
        },
        its,
      ),
    ),
  fc
    .tuple(turns, weight)
    .filter(([all]) => all.some(([, , isLearned]) => isLearned))
    .map(([all, its]) => {
      const messages = all.flatMap(([question, answer]) => [
        { role: 'user' as const, content: question },
        { role: 'assistant' as const, content: answer },
      ])
      const learned = all.flatMap(([, , isLearned], turn) => (isLearned ? [2 * turn + 1] : []))
      return weighted({ type: 'chat', messages, ...(learned.length === all.length ? {} : { learned }) }, its)
    }),
)

test('what was exported is read as the same example', () => {
  fc.assert(
    fc.property(examples, (example) => {
      const line = exportLine(example)
      expect(line).not.toContain('\n')
      const read = toExample(JSON.parse(line), undefined)
      expect(read).toMatchObject({ example, ignored: [] })
      expect(exportLine(read.example)).toBe(line)
    }),
  )
})

test('whatever JSON a record is, it is read or refused', () => {
  const names = [
    'messages',
    'conversations',
    'prompt',
    'completion',
    'chosen',
    'rejected',
    'input',
    'text',
    'instruction',
    'output',
    'weight',
    'history',
    'system',
    'preferred_output',
  ]
  const message = fc.record(
    { role: fc.constantFrom('user', 'assistant', 'system', 'tool', 'x'), content: fc.jsonValue() },
    { requiredKeys: [] },
  )
  const value = fc.oneof(fc.jsonValue(), fc.string(), fc.array(message, { maxLength: 4 }), message)
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 5 }), (record) => {
      expect(reasonOf(record)).toEqual(expect.any(String))
    }),
    { numRuns: 500 },
  )
})
