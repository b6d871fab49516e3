import { expect, test } from 'vitest'
import { grammarOf } from '../../src/engine/answer-format.ts'
import { createAnswerReader } from '../../src/engine/chat-format-reader.ts'
import { noContextMemory, noWork } from '../../src/engine/engine-work.ts'
import { answerRequest, type RenderedChat } from '../../src/engine/local/answer-request.ts'
import type { Engine } from '../../src/engine/local/engine-process.ts'
import type { GenerationEvent, StartOptions } from '../../src/engine/local/protocol.ts'
import type { FinishReason, GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { createFakeModel } from '../fake-engine.ts'
import { noTimings } from '../scripted-host.ts'

/** An engine that answers with these texts, one list for each choice, in turns. */
function createEngine(choices: ReadonlyArray<readonly string[]>, reason: FinishReason) {
  const started: StartOptions[] = []
  const engine: Engine = {
    model: createFakeModel(),
    report: () => ({ residentBytes: 0, work: noWork, memory: noContextMemory }),
    loadAdapter: async () => {},
    start(options, listener) {
      started.push(options)
      const length = Math.max(...choices.map((texts) => texts.length))
      const deltas = Array.from({ length }, (_, turn) =>
        choices.flatMap((texts, index): GenerationEvent[] => {
          const text = texts[turn]
          return text === undefined ? [] : [{ type: 'text-delta', id: 1, index, text }]
        }),
      )
      for (const event of deltas.flat()) listener(event)
      for (const index of choices.keys()) listener({ type: 'choice-end', id: 1, index, reason })
      const usage = { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0 }
      listener({ type: 'generation-end', id: 1, usage, timings: noTimings })
      return { cancel() {} }
    },
    countTokens: async () => 0,
    close: async () => {},
    ended: new Promise(() => {}),
  }
  return { engine, started }
}

const request: GenerateRequest = {
  model: 'fake',
  prompt: { type: 'chat', messages: [{ role: 'user', content: 'Hi' }] },
  maxTokens: undefined,
  choices: 2,
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 },
  stop: ['END'],
  user: 'somebody',
}

type Given = Readonly<{ rendered: Partial<RenderedChat>; reason?: FinishReason; asked?: Partial<GenerateRequest> }>

async function answer(choices: ReadonlyArray<readonly string[]>, { rendered, reason = 'stop', asked = {} }: Given) {
  const { engine, started } = createEngine(choices, reason)
  const events: GenerateEvent[] = []
  const parts = {
    engine,
    request: { ...request, ...asked },
    adapter: undefined,
    grammar: asked.format === undefined ? undefined : grammarOf(asked.format),
    renderChat: async () => ({ prompt: [], stop: ['\nUser:'], dropsFirstSpace: false, ...rendered }),
    arrivedAt: 0,
    clock: () => 0,
    leave() {},
  }
  for await (const event of answerRequest(parts, new AbortController().signal)) events.push(event)
  return { events: events.filter(({ type }) => type !== 'generation-end'), started }
}

const syntax = { type: 'json', open: '<tool_call>', close: '</tool_call>', isList: false, argumentsKey: 'arguments' } as const
const tools = [{ name: 'now', parameters: {} }]
const createReader = () =>
  createAnswerReader({ calls: { syntax, tools }, reasoning: undefined, startsIn: 'beginning', createId: () => 'id' })

test('each choice is read on its own, and one that calls a function ends so', async () => {
  const call = ['<tool_', 'call>{"name": "now", "argum', 'ents": {}}', '</tool_call>']
  const { events } = await answer([['It ', 'is <', 'late'], call], { rendered: { createReader } })
  expect(events).toEqual([
    { type: 'text-delta', index: 0, text: 'It ' },
    { type: 'text-delta', index: 0, text: 'is ' },
    { type: 'text-delta', index: 0, text: '<late' },
    { type: 'tool-call-start', index: 1, call: 0, id: 'id', name: 'now' },
    { type: 'tool-call-delta', index: 1, call: 0, text: '{}' },
    { type: 'choice-end', index: 0, reason: 'stop' },
    { type: 'choice-end', index: 1, reason: 'tool-calls' },
  ])
})

test('what was held back comes before the end, and an answer that was cut off is said to be', async () => {
  const { events } = await answer([['<tool_call>{"name": "now", "arguments": {}'], ['a <tool']], {
    rendered: { createReader },
    reason: 'length',
  })
  expect(events.slice(-4)).toEqual([
    { type: 'text-delta', index: 1, text: 'a ' },
    { type: 'choice-end', index: 0, reason: 'length' },
    { type: 'text-delta', index: 1, text: '<tool' },
    { type: 'choice-end', index: 1, reason: 'length' },
  ])
})

test('the engine is told what the answer is kept to, and nothing that is no plain data', async () => {
  const kept = { grammar: 'root ::= "a"\n', grammarAfter: '<a>', grammarRepeats: true, shownTokens: ['<a>'] }
  const { started } = await answer([['a']], { rendered: { createReader, ...kept } })
  expect(started).toEqual([structuredClone(started[0])])
  expect(started[0]).toMatchObject({ ...kept, stop: ['END', '\nUser:'] })
})

test('without a grammar of its own a conversation is kept to the format', async () => {
  const { started, events } = await answer([['{}']], { rendered: {}, asked: { format: { type: 'json-object' } } })
  expect(started[0]?.grammar).toContain('root ::=')
  expect(events).toContainEqual({ type: 'text-delta', index: 0, text: '{}' })
})
