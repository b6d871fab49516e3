import { expect, test } from 'vitest'
import { createUsageEstimate } from '../../src/engine/estimate-usage.ts'
import type { ChatPrompt, Prompt } from '../../src/engine/provider.ts'

const asText = (text: string): Prompt => ({ type: 'text', text })
const withImages = (images: readonly string[]): ChatPrompt => ({
  type: 'chat',
  messages: [{ role: 'user', content: 'What is this?', ...(images.length === 0 ? {} : { images }) }],
})
const promptTokens = (prompt: Prompt) => createUsageEstimate(prompt).usage().promptTokens

test('an answer has a token for each piece, or for four bytes where that is more', () => {
  const estimate = createUsageEstimate(asText(''))
  const said = () => estimate.usage().completionTokens
  expect(said()).toBe(0)
  for (const text of ['a', 'b', 'c']) estimate.saw({ type: 'text-delta', index: 0, text })
  expect(said()).toBe(3)
  estimate.saw({ type: 'reasoning-delta', index: 0, text: 'x'.repeat(397) })
  expect(said()).toBe(100)
  estimate.saw({ type: 'tool-call-start', index: 0, call: 0, id: 'a', name: 'x'.repeat(40) })
  estimate.saw({ type: 'tool-call-delta', index: 0, call: 0, text: '中'.repeat(40) })
  estimate.saw({ type: 'choice-end', index: 0, reason: 'stop' })
  expect(said()).toBe(140)
})

test('a prompt has a token for four bytes, its tools included', () => {
  expect(promptTokens(asText('x'.repeat(401)))).toBe(101)
  const tools = { tools: [{ name: 'x'.repeat(4000), parameters: {} }], choice: 'auto', parallel: true } as const
  expect(promptTokens({ ...withImages([]), tools })).toBeGreaterThan(1000)
})

test('an image takes the same, however it is sent', () => {
  const alone = promptTokens(withImages([]))
  for (const images of [['https://example.com/a.png'], [`data:image/png;base64,${'A'.repeat(100_000)}`]])
    expect(promptTokens(withImages(images))).toBe(alone + 1500)
  expect(promptTokens(withImages(['a', 'b', 'c']))).toBe(alone + 4500)
})
