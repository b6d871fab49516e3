import fastCheck from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { createChatTemplateRenderer } from '../../src/engine/chat-template.ts'
import type { ChatMessage } from '../../src/engine/provider.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import { createExampleReader, type TokenRow, targetsOf } from '../../src/engine/train/example-tokens.ts'
import { type templates as allTemplates, templates } from '../chat-templates.ts'
import { createToyTokenizer } from '../toy-tokenizer.ts'

const renderer = createChatTemplateRenderer()
afterAll(() => renderer.close())

const controlTokens = [
  '<bos>',
  '<eos>',
  '<start_of_turn>',
  '<end_of_turn>',
  '<|im_start|>',
  '<|im_end|>',
  '<|eot_id|>',
  '<|end|>',
]
const ends = ['<eos>', '<end_of_turn>', '<|im_end|>', '<|eot_id|>', '<|end|>']
const { tokenizer, decode } = createToyTokenizer(controlTokens, ends)

const user = (content: string): ChatMessage => ({ role: 'user', content })
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content })

function readerOf(chatTemplate: string | undefined, maxLength = 10_000) {
  const model = { chatTemplate, bosToken: '<bos>', eosToken: '<eos>', controlTokens }
  return createExampleReader({ model, tokenizer, renderer, maxLength })
}

async function rowsOf(example: TrainingExample, template?: string): Promise<readonly TokenRow[]> {
  const read = await readerOf(template).read(example)
  if (read.type === 'left-out') throw new Error(read.reason)
  return read.type === 'pair' ? [read.chosen, read.rejected] : read.rows
}

const chat = (...messages: ChatMessage[]): TrainingExample => ({ type: 'chat', messages })
const textOf = ({ tokens }: TokenRow) => decode(tokens)
/** What is learned, with a bar where something in between is not. */
const learned = ({ tokens, places }: TokenRow) =>
  [...places]
    .map((place, index) => `${index > 0 && places[index - 1] !== place - 1 ? '|' : ''}${decode([tokens[place] ?? 0])}`)
    .join('')

const talk = chat(user('Hi'), assistant('Hello.'), user('Bye'), assistant('See you.'))

describe('an example for a model with a chat template', () => {
  test('is one row, of which the answers are learned with the ends of their turns', async () => {
    const [row, ...others] = await rowsOf(talk, templates.gemma)
    expect(others).toEqual([])
    expect(row && textOf(row)).toBe(
      '<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\nSee you.<end_of_turn>',
    )
    expect(row && learned(row)).toBe('Hello.<end_of_turn>|See you.<end_of_turn>')
  })

  test('is a row for each answer where the template writes earlier answers otherwise', async () => {
    const rows = await rowsOf(talk, templates.qwen3)
    expect(rows.map(learned)).toEqual(['<think>\n\n</think>\n\nHello.<|im_end|>', '<think>\n\n</think>\n\nSee you.<|im_end|>'])
    expect(rows[1] && textOf(rows[1])).toContain('<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye')
  })

  test('closes the thoughts that a template opens in the prompt and leaves out of answers', async () => {
    const marked = ['<｜begin▁of▁sentence｜>', '<｜end▁of▁sentence｜>']
    const toy = createToyTokenizer(marked, marked.slice(1))
    const model = { chatTemplate: templates.deepSeekR1, bosToken: '', eosToken: '', controlTokens: marked }
    const reader = createExampleReader({ model, tokenizer: toy.tokenizer, renderer, maxLength: 1000 })
    const thought: ChatMessage = { role: 'assistant', content: 'Hello.', reasoning: 'Be kind.' }
    const read = await reader.read(chat(user('Hi'), thought))
    const row = read.type === 'rows' ? read.rows[0] : undefined
    expect(row && toy.decode(row.tokens)).toMatch(/<｜Assistant｜><think>\nBe kind\.\n<\/think>\n\nHello\.<｜end▁of▁sentence｜>$/)
    expect(row && toy.decode(targetsOf(row).targets)).toBe('Be kind.\n</think>\n\nHello.<｜end▁of▁sentence｜>')
  })

  test('has two answers in a row learned as one', async () => {
    const [row] = await rowsOf(chat(user('Hi'), assistant('One.'), assistant('Two.')), templates.gemma)
    expect(row && learned(row)).toBe('One.\n\nTwo.<end_of_turn>')
  })

  test('learns only the answers that it names, by their places before they are joined', async () => {
    const messages = [user('Hi'), assistant('One.'), assistant('Two.'), user('Bye'), assistant('Three.')]
    const learnedOf = async (places: readonly number[]) =>
      (await rowsOf({ type: 'chat', messages, learned: places }, templates.gemma)).map(learned)
    expect(await learnedOf([4])).toEqual(['Three.<end_of_turn>'])
    expect(await learnedOf([1, 2])).toEqual(['One.\n\nTwo.<end_of_turn>'])
    // Half of an answer that is read as one is not what was to be learned.
    expect(await learnedOf([1, 4])).toEqual(['Three.<end_of_turn>'])
    expect(await readerOf(templates.gemma).read({ type: 'chat', messages, learned: [] })).toEqual({
      type: 'left-out',
      reason: 'empty',
    })
  })

  test('never learns an empty answer, nor what stands before any question', async () => {
    const [row] = await rowsOf(chat(user('Hi'), assistant(' '), user('Well?'), assistant('Yes.')), templates.gemma)
    expect(row && learned(row)).toBe('Yes.<end_of_turn>')
    const [greeted] = await rowsOf(chat(assistant('Welcome.'), user('Hi'), assistant('Yes.')), templates.qwen25)
    expect(greeted && learned(greeted)).toBe('Yes.<|im_end|>')
  })

  test('is told as left out when it is empty, too long or refused by the template', async () => {
    const read = (example: TrainingExample, maxLength?: number) => readerOf(templates.gemma, maxLength).read(example)
    expect(await read(chat(user('Hi'), assistant('')))).toEqual({ type: 'left-out', reason: 'empty' })
    expect(await read(chat(user('Hi'), assistant('Hello.')), 20)).toEqual({ type: 'left-out', reason: 'too-long' })
    expect(await read(chat(assistant('A'), user('Hi'), assistant('B')))).toEqual({ type: 'left-out', reason: 'refused' })
    expect(await read({ type: 'text', text: ' \n' })).toEqual({ type: 'left-out', reason: 'empty' })
  })
})

describe('an example for a base model', () => {
  test('is a row for each answer of a plain transcript, which ends with EOS', async () => {
    const rows = await rowsOf(talk)
    expect(rows.map(textOf)).toEqual([
      '<bos>User: Hi\nAssistant: Hello.<eos>',
      '<bos>User: Hi\nAssistant: Hello.\nUser: Bye\nAssistant: See you.<eos>',
    ])
    expect(rows.map(learned)).toEqual([' Hello.<eos>', ' See you.<eos>'])
  })
})

test('a plain text is learned from its first token to the end', async () => {
  const [row] = await rowsOf({ type: 'text', text: 'A <eos> B' })
  expect(row && textOf(row)).toBe('<bos>A <eos> B<eos>')
  expect(row?.places.length).toBe((row?.tokens.length ?? 0) - 1)
  expect([...(row?.tokens ?? [])].filter((token) => token === 1)).toHaveLength(1)
})

test('a preference is two rows that differ in the answer, which alone is learned', async () => {
  const messages = [user('Hi'), assistant('Hello.'), user('Bye')]
  const rows = await rowsOf({ type: 'preference', messages, chosen: 'See you.', rejected: 'Go.' }, templates.qwen25)
  expect(rows.map(learned)).toEqual(['See you.<|im_end|>', 'Go.<|im_end|>'])
  const prompts = rows.map(({ tokens, places }) => decode(tokens.subarray(0, places[0])))
  expect(prompts[0]).toBe(prompts[1])
})

const names: readonly (keyof typeof allTemplates)[] = ['gemma', 'qwen25', 'llama3', 'phi4Mini']
// Words, control tokens that somebody typed, and halves of them.
const piece = fastCheck.constantFrom(
  'one',
  ' two',
  '\nUser: x',
  '<end_of_turn>',
  '<|im_end|>',
  '<eos>',
  '<bos>',
  '<end_of',
  '_turn>',
  'é😀',
)
const said = fastCheck.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => `x${pieces.join('')}y`)

test.each(names)(
  'with the template of %s all that is learned decodes to the answers, and nothing of the user is learned',
  async (name) => {
    const turns = fastCheck.array(fastCheck.tuple(said, said), { minLength: 1, maxLength: 3 })
    const property = fastCheck.asyncProperty(turns, async (pairs) => {
      const messages = pairs.flatMap(([asked, answered]) => [user(`U${asked}`), assistant(`A${answered}`)])
      const rows = await rowsOf(chat(...messages), templates[name])
      const answers = rows.flatMap((row) =>
        learned(row)
          .split('|A')
          .map((text, at) => (at === 0 ? text : `A${text}`)),
      )
      const expected = pairs.map(([, answered]) => `A${answered}`)
      expect(answers.map((text, at) => text.slice(0, expected[at]?.length))).toEqual(expected)
      for (const [at, text] of answers.entries()) expect(ends).toContain(text.slice(expected[at]?.length))
      // A control token that is learned is the end of a turn: those that were typed are letters.
      const controls = rows.flatMap((row) => [...targetsOf(row).targets]).filter((token) => token < controlTokens.length)
      expect(controls).toHaveLength(pairs.length)
      for (const { places } of rows) expect(Math.min(...places)).toBeGreaterThan(0)
    })
    await fastCheck.assert(property, { numRuns: 40 })
  },
)
