import { expect, test } from 'vitest'
import type { Prompt } from '../../src/engine/provider.ts'
import { differenceOf } from '../../src/feedback/rated-answer.ts'

const text = (content: string): Prompt => ({ type: 'text', text: content })
const chat = (...contents: string[]) => ({
  type: 'chat' as const,
  messages: contents.map((content) => ({ role: 'user' as const, content })),
})
const withTools = (name: string): Prompt => ({
  ...chat('a'),
  tools: { tools: [{ name, parameters: {} }], choice: 'auto', parallel: true },
})

test.each([
  [text('a'), text('a'), undefined],
  [chat('a', 'b'), chat('a', 'b'), undefined],
  [text('a'), text('b'), 'an answer to another text'],
  [text('a'), chat('a'), 'one to a text, where the other is to a conversation'],
  [chat('a', 'b', 'c'), chat('a', 'x', 'y'), 'one to a conversation whose message 2 is another'],
  [chat('a'), chat('a', 'b'), 'one to a conversation of 2 messages, where the other has 1'],
  [chat('a', 'b'), chat('a'), 'one to a conversation of 1 messages, where the other has 2'],
  [withTools('look'), withTools('find'), 'one with other tools'],
  [{ ...chat('a'), reasoning: 'low' }, { ...chat('a'), reasoning: 'high' }, 'one with another reasoning effort'],
] satisfies ReadonlyArray<readonly [Prompt, Prompt, string | undefined]>)(
  'two answers are told apart by what was asked: %j, %j',
  (one, other, difference) => {
    expect(differenceOf(one, other)).toBe(difference)
  },
)
