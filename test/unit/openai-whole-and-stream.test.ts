import fc from 'fast-check'
import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { GenerateEvent } from '../../src/engine/provider.ts'
import { tokenOf } from '../answer-scripts.ts'
import { openaiClient } from '../openai-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { startServer, type TestServer } from '../server.ts'

const model = 'scripted'
const input = 'x'
const messages = [{ role: 'user' as const, content: input }]

let script: readonly GenerateEvent[] = []
let server: TestServer
beforeAll(async () => {
  server = await startServer({ host: createScriptedHost(() => script) })
})
afterAll(() => server[Symbol.asyncDispose]())

/** Line ends, control characters and characters of two units, too. */
const text = fc.oneof(fc.string(), fc.constantFrom('', '\r\n', '\u2028', '😀', 'data: [DONE]\n\n', '"'))
const texts = fc.array(text, { maxLength: 4 })
const calls = fc.array(fc.record({ name: fc.constantFrom('f', 'g'), pieces: texts }), { maxLength: 3 })
const reason = fc.constantFrom('stop', 'length', 'content-filter', 'tool-calls')

/** Thinks, then speaks, then calls: what a choice may hold, each part in any number of pieces. */
const choice = fc.record({ reasoning: texts, said: texts, calls, reason, hasTokens: fc.boolean() })
type Choice = typeof choice extends fc.Arbitrary<infer Value> ? Value : never

function eventsOf(index: number, { reasoning, said, calls: called, reason: ended, hasTokens }: Choice): GenerateEvent[] {
  return [
    ...reasoning.map((piece) => ({ type: 'reasoning-delta', index, text: piece }) as const),
    ...said.map(
      (piece) => ({ type: 'text-delta', index, text: piece, ...(hasTokens ? { tokens: [tokenOf(piece)] } : {}) }) as const,
    ),
    ...called.flatMap(({ name, pieces }, call): GenerateEvent[] => [
      { type: 'tool-call-start', index, call, id: `call_${index}_${call}`, name },
      ...pieces.map((piece) => ({ type: 'tool-call-delta', index, call, text: piece }) as const),
    ]),
    { type: 'choice-end', index, reason: ended },
  ]
}

/** The events of several choices, one of each in turn. */
function interleave(lists: readonly GenerateEvent[][]): GenerateEvent[] {
  const longest = Math.max(...lists.map(({ length }) => length))
  return Array.from({ length: longest }, (_, place) => lists.flatMap((list) => list.slice(place, place + 1))).flat()
}

test('what a chat streams adds up to its whole answer', async () => {
  const client = openaiClient(server)
  const property = fc.asyncProperty(fc.array(choice, { minLength: 1, maxLength: 3 }), async (choices) => {
    script = [...interleave(choices.map((one, index) => eventsOf(index, one))), generationEnd()]
    const asked = { model, messages, n: choices.length, logprobs: choices.some(({ hasTokens }) => hasTokens) }
    const whole = await client.chat.completions.create(asked)
    const gathered = new Map<
      number,
      { content: string | null; reasoning: string; calls: string[]; ended: unknown[]; tokens: unknown[] }
    >()
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
      for (const { index, delta, finish_reason: ended, logprobs } of chunk.choices) {
        const known = gathered.get(index) ?? { content: null, reasoning: '', calls: [], ended: [], tokens: [] }
        gathered.set(index, known)
        if (typeof delta.content === 'string') known.content = (known.content ?? '') + delta.content
        if ('reasoning_content' in delta) known.reasoning += String(delta.reasoning_content)
        for (const call of delta.tool_calls ?? [])
          known.calls[call.index] =
            `${known.calls[call.index] ?? `${call.id} ${call.function?.name} `}${call.function?.arguments}`
        if (ended !== null) known.ended.push(ended)
        known.tokens.push(...(logprobs?.content ?? []))
      }
    }
    for (const { index, message, finish_reason: ended, logprobs } of whole.choices) {
      expect(gathered.get(index)).toEqual({
        content: message.content,
        reasoning: 'reasoning_content' in message ? message.reasoning_content : '',
        calls: (message.tool_calls ?? []).map((call) =>
          call.type === 'function' ? `${call.id} ${call.function.name} ${call.function.arguments}` : '',
        ),
        ended: [ended],
        tokens: logprobs?.content ?? [],
      })
    }
  })
  await fc.assert(property, { numRuns: 60 })
}, 60_000)

/** What the deltas of an item add up to. */
function textOfItem(item: OpenAI.Responses.ResponseOutputItem): string {
  if (item.type === 'function_call') return item.arguments
  const parts = item.type === 'message' || item.type === 'reasoning' ? (item.content ?? []) : []
  return parts.map((part) => ('text' in part ? part.text : '')).join('')
}

test('what a response streams adds up to its whole, and its events come in order', async () => {
  const client = openaiClient(server)
  const property = fc.asyncProperty(choice, async (one) => {
    script = [...eventsOf(0, one), generationEnd()]
    const asked = { model, input, include: one.hasTokens ? ['message.output_text.logprobs' as const] : [] }
    const whole = await client.responses.create(asked)
    const stream = client.responses.stream(asked)
    const numbers: number[] = []
    const open = new Set<string>()
    const done: string[] = []
    const pieces = new Map<string, string>()
    for await (const event of stream) {
      numbers.push(event.sequence_number)
      if (event.type === 'response.output_item.added') open.add(String(event.item.id))
      if ('item_id' in event) expect(open).toContain(event.item_id)
      if ('item_id' in event && 'delta' in event)
        pieces.set(event.item_id, `${pieces.get(event.item_id) ?? ''}${String(event.delta)}`)
      if (event.type === 'response.output_item.done') {
        open.delete(String(event.item.id))
        done[event.output_index] = String(event.item.id)
      }
    }
    expect(numbers).toEqual(numbers.map((_, place) => place))
    expect(open.size).toBe(0)
    const final = await stream.finalResponse()
    expect(final.output.map(({ id }) => id)).toEqual(done)
    for (const item of final.output) expect(pieces.get(String(item.id)) ?? '').toBe(textOfItem(item))
    // Each response has ids of its own, and the helper adds what it has parsed.
    const comparable = (response: { id: string; output: unknown; status?: unknown; output_text: string }) =>
      JSON.parse(
        JSON.stringify([response.output, response.status, response.output_text], (name, value) =>
          name.startsWith('parsed') ? undefined : value,
        ).replaceAll(response.id.slice('resp_'.length), 'ID'),
      )
    expect(comparable(final)).toEqual(comparable(whole))
  })
  await fc.assert(property, { numRuns: 60 })
}, 60_000)
