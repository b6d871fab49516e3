import { availableParallelism } from 'node:os'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { jsonSchemaToGrammar } from '../../src/engine/json-grammar.ts'
import { type Engine, openEngine, spawnChild } from '../../src/engine/local/engine-process.ts'
import type { GenerationEvent, StartOptions } from '../../src/engine/local/protocol.ts'
import { realModelFile } from '../real-host.ts'

let engine: Engine

beforeAll(async () => {
  const load = {
    path: realModelFile,
    contextSize: 2048,
    cacheType: 'f16',
    maxParallel: 4,
    speculates: true,
    device: 'cpu',
  } as const
  engine = await openEngine(
    spawnChild(() => {}),
    { ...load, threads: availableParallelism() },
  )
})
afterAll(() => engine.close())

const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 }

async function write(text: string, more: Partial<StartOptions>): Promise<string> {
  const base = { adapter: undefined, maxTokens: 120, choices: 1, repeatable: true, stop: [], dropsFirstSpace: false, sampling }
  const events = await new Promise<readonly GenerationEvent[]>((resolve) => {
    const seen: GenerationEvent[] = []
    engine.start({ ...base, prompt: [{ text, special: false }], grammar: undefined, ...more }, (event) => {
      seen.push(event)
      if (event.type === 'generation-end' || event.type === 'generation-error') resolve(seen)
    })
  })
  expect(events.at(-1)?.type).toBe('generation-end')
  return events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('')
}

const schema = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Madrid', 'Lima'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
}
const isTrip = new Ajv2020().compile(schema)
const grammar = jsonSchemaToGrammar(schema)

const trips = `Question: I want to see France for two days.
Thought: France has its capital on the Seine.
Answer: Paris, for 2 days.

Question: I want to see Spain for five days.
Thought:`

describe('a grammar that begins later', () => {
  test('leaves the thoughts free, and binds what comes after them', async () => {
    const texts = [
      await write(trips, { grammar, grammarAfter: '\nAnswer:' }),
      await write(trips, { grammar, grammarAfter: '\nAnswer:', sampling: { ...sampling, temperature: 1, seed: 7 } }),
      await write(trips, { grammar, grammarAfter: '\nAnswer: ', grammarRequired: true }),
    ]
    for (const text of texts) {
      const [thought = '', answer = ''] = text.split(/\nAnswer: ?/)
      expect(thought).toMatch(/\p{L}{3,}.*\p{L}{3,}/u)
      expect([text, isTrip(JSON.parse(answer))]).toEqual([text, true])
    }
  })

  test('may come again and again', async () => {
    const text = await write(`${trips} Spain is sunny.\nAnswer: Madrid, for 5 days.\n\nQuestion: Peru, for a week.\nThought:`, {
      grammar,
      grammarAfter: '\nAnswer:',
      grammarRepeats: true,
    })
    const answers = [...text.matchAll(/\nAnswer: ?(\{.*?\})/g)].map(([, answer = '']) => answer)
    expect(answers.length).toBeGreaterThan(1)
    for (const answer of answers) expect([answer, isTrip(JSON.parse(answer))]).toEqual([answer, true])
    expect(text).toContain('}\n\nQuestion:')
  })

  test('that cannot be read is an error of the request alone', async () => {
    const failing = { grammar: 'root ::= [', grammarAfter: 'x' }
    await expect(write('Hola', failing)).rejects.toThrow()
    expect(await write('Hola', { maxTokens: 2 })).not.toBe('')
  })
})

test('control tokens are shown where they are to be, and those that end an answer end it', async () => {
  expect(engine.model.controlTokens).toEqual(expect.arrayContaining(['<start_of_turn>', '<end_of_turn>']))
  // Their numbers in Gemma's vocabulary.
  const logitBias = { 105: 200 }
  const options = { maxTokens: 3, sampling: { ...sampling, logitBias } }
  expect(await write('Hola', options)).toBe('')
  expect(await write('Hola', { ...options, shownTokens: ['<start_of_turn>', '<end_of_turn>'] })).toBe('<start_of_turn>'.repeat(3))
  const ending = { ...options, sampling: { ...sampling, logitBias: { 106: 200 } } }
  expect(await write('Hola', { ...ending, shownTokens: ['<end_of_turn>'] })).toBe('')
})
