import { expect, test } from 'vitest'
import { toChatMessages } from '../../src/dialects/anthropic-messages.ts'
import { tellTools } from '../../src/engine/chat-format-generic.ts'
import { toTemplateVariables } from '../../src/engine/chat-template-variables.ts'
import type { ChatMessage } from '../../src/engine/provider.ts'
import { predictBounds } from '../../src/predict/schema.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { startServer } from '../server.ts'

/** How many elements the iterators of arrays are asked for, at most, while something runs. */
function elementsRead(work: () => void): number {
  const original = Array.prototype[Symbol.iterator]
  let elements = 0
  Array.prototype[Symbol.iterator] = function (this: unknown[]) {
    elements += this.length
    return original.call(this)
  }
  try {
    work()
  } finally {
    Array.prototype[Symbol.iterator] = original
  }
  return elements
}

test('messages of one speaker are joined with work that grows like their number', () => {
  const workFor = (length: number) => {
    const messages = Array.from({ length }, (_, place) => ({ role: 'user' as const, content: `m${place}` }))
    let joined: readonly ChatMessage[] = []
    const work = elementsRead(() => {
      joined = toChatMessages(undefined, messages)
    })
    expect(joined).toEqual([{ role: 'user', content: messages.map(({ content }) => content).join('\n') }])
    return work
  }
  expect(workFor(1000)).toBeLessThan(20 * workFor(100))
})

test.each([
  ['in words', (messages: readonly ChatMessage[]) => tellTools(messages, undefined)],
  ['as variables', (messages: readonly ChatMessage[]) => toTemplateVariables({ messages }, { hide: (text) => text, end: '' })],
])('the function that a result is of is looked up, not searched for in all messages: %s', (_name, tell) => {
  const readsFor = (length: number) => {
    let reads = 0
    const messages = Array.from({ length }, (_, place): ChatMessage[] => {
      const toolCalls = [{ id: `c${place}`, name: `f${place}`, arguments: '{}' }]
      return [
        {
          role: 'assistant',
          content: '',
          get toolCalls() {
            reads += 1
            return toolCalls
          },
        },
        { role: 'tool', content: 'done', toolCallId: `c${place}` },
      ]
    }).flat()
    expect(JSON.stringify(tell(messages))).toContain(`f${length - 1}`)
    return reads
  }
  expect(readsFor(200)).toBeLessThan(20 * readsFor(20))
})

const message = { role: 'user', content: 'x' }
const few = { max_tokens: 1, model: 'scripted' }

test.each([
  ['/v1/messages', 'messages', few],
  ['/v1/chat/completions', 'messages', few],
  ['/v1/responses', 'input', { model: 'scripted' }],
  ['/api/chat', 'messages', { model: 'scripted', stream: false }],
] as const)('%s takes as many messages as the others, and not one more', async (path, field, body) => {
  await using server = await startServer({ host: createScriptedHost(() => []) })
  const post = async (count: number) => {
    const messages = Array.from({ length: count }, () => message)
    const headers = { 'content-type': 'application/json' }
    return fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify({ ...body, [field]: messages }) })
  }
  const refused = await post(predictBounds.messages + 1)
  expect(refused.status).toBe(400)
  expect(await refused.text()).toContain(`\\"${field}\\" must`)
  expect((await post(predictBounds.messages)).status).not.toBe(400)
})
