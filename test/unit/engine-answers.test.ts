import { describe, expect, test } from 'vitest'
import type { GenerationEvent, StartOptions } from '../../src/engine/local/protocol.ts'
import { createScheduler } from '../../src/engine/local/scheduler.ts'
import { createScriptedBackend, type FakeEngineOptions } from '../fake-engine.ts'

const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 }

/** The events of an answer by the scripted model. */
function answer(options: Omit<FakeEngineOptions, 'answer'> & { pieces: readonly string[] }, more: Partial<StartOptions> = {}) {
  const { pieces, ...engine } = options
  const backend = createScriptedBackend({ answer: () => ({ pieces }), ...engine })
  const scheduler = createScheduler(backend, { now: () => 0, speculates: true })
  const prompt = [{ text: 'ab', special: false }]
  const base = { adapter: undefined, maxTokens: 200, choices: 1, repeatable: false, stop: [], dropsFirstSpace: false }
  scheduler.start(1, { ...base, prompt, sampling, grammar: undefined, ...more })
  const events: GenerationEvent[] = []
  for (let step = 0; scheduler.busy() && step < 2000; step += 1) events.push(...scheduler.step())
  return events
}

const textOf = (events: readonly GenerationEvent[], index = 0) =>
  events.map((event) => (event.type === 'text-delta' && event.index === index ? event.text : '')).join('')

const tokensOf = (events: readonly GenerationEvent[], index = 0) =>
  events.flatMap((event) => (event.type === 'text-delta' && event.index === index ? (event.tokens ?? []) : []))

const endOf = (events: readonly GenerationEvent[]) => events.find(({ type }) => type === 'choice-end')

describe('log-probabilities', () => {
  test('come with the text of each choice, where they are asked for', () => {
    const pieces = ['uno', ' dos', ' tres']
    const events = answer({ pieces }, { logprobs: 2, choices: 3 })
    for (const index of [0, 1, 2]) {
      const tokens = tokensOf(events, index)
      expect(tokens.map(({ text }) => text)).toEqual(pieces)
      for (const { text, logprob, top } of tokens) {
        expect(logprob).toBeCloseTo(0, 6)
        expect(top[0]?.text).toBe(text)
        expect(top).toHaveLength(2)
      }
    }
    expect(events.flatMap((event) => ('tokens' in event ? event.tokens : []))).toHaveLength(9)
    expect(tokensOf(answer({ pieces }))).toEqual([])
  })

  test('are those of the tokens that were guessed too, one for each', () => {
    const pieces = Array.from({ length: 120 }, (_, index) => 'abcdef'.charAt(index % 6))
    const backend = { stepCost: () => 10, pieces }
    const events = answer(backend, { logprobs: 0 })
    const deltas = events.filter(({ type }) => type === 'text-delta')
    expect(deltas.length).toBeLessThan(100)
    expect(tokensOf(events).map(({ text }) => text)).toEqual(pieces)
  })

  test('of a token that a bias or a penalty made more or less likely are what the model gave it', () => {
    // Pieces have their numbers from 1 on, in the order in which the script comes to them; all that it does not say have score -100.
    const logitBias = { 1: 1, 2: -100 }
    const forbidden = answer({ pieces: ['x', 'y'] }, { logprobs: 1, sampling: { ...sampling, logitBias } })
    expect(tokensOf(forbidden).map(({ text, logprob }) => [text, Math.round(logprob)])).toEqual([
      ['x', 0],
      ['x', -100],
    ])
  })

  test('of the last tokens come at the end, also where no text does', () => {
    const half = Buffer.from('é').subarray(0, 1)
    const backend = createScriptedBackend({ answer: () => ({ pieces: ['a', half] }) })
    const scheduler = createScheduler(backend, { now: () => 0, speculates: true })
    const base = { adapter: undefined, maxTokens: 9, choices: 1, repeatable: false, stop: [], dropsFirstSpace: false }
    scheduler.start(1, { ...base, prompt: [{ text: 'x', special: false }], sampling, grammar: undefined, logprobs: 0 })
    const events: GenerationEvent[] = []
    while (scheduler.busy()) events.push(...scheduler.step())
    expect(events.filter(({ type }) => type === 'text-delta')).toMatchObject([
      { text: 'a', tokens: [{ text: 'a' }] },
      { text: '', tokens: [{ text: '\\xc3', bytes: [0xc3] }] },
    ])
  })
})

describe('the end of an answer', () => {
  const pieces = ['one', ' two', ' STOP', ' three']

  test('tells which stop text ended it, and none where none did', () => {
    expect(endOf(answer({ pieces }, { stop: ['END', 'STOP'] }))).toMatchObject({ reason: 'stop', stopText: 'STOP' })
    expect(endOf(answer({ pieces }))).toEqual({ type: 'choice-end', id: 1, index: 0, reason: 'stop' })
    expect(endOf(answer({ pieces }, { maxTokens: 2 }))).toEqual({ type: 'choice-end', id: 1, index: 0, reason: 'length' })
  })
})

describe('control tokens', () => {
  const options = { pieces: ['[TOOL_CALLS]', '[{}]', '<eom>', ' x'], controlTokens: ['[TOOL_CALLS]', '<eom>'] }

  test('are no part of the text but where they are to be shown', () => {
    expect(textOf(answer(options))).toBe('[{}] x')
    const events = answer(options, { shownTokens: ['[TOOL_CALLS]', '<unknown>'], logprobs: 0 })
    expect(textOf(events)).toBe('[TOOL_CALLS][{}] x')
    expect(tokensOf(events).map(({ text }) => text)).toEqual(['[TOOL_CALLS]', '[{}]', '', ' x'])
  })

  test('begin a grammar where they are shown', () => {
    const grammar = { grammar: 'root ::= "[{}]"\n', grammarAfter: '[TOOL_CALLS]', shownTokens: ['[TOOL_CALLS]'] }
    expect(textOf(answer({ ...options, keepsToGrammars: true }, grammar))).toBe('[TOOL_CALLS][{}]')
  })
})

describe('a grammar', () => {
  const world = { pieces: ['I', ' think', '</think>', '{', 'x', '}', ' more'], keepsToGrammars: true }
  const grammar = 'root ::= "{" [a-w]* "}"\n'

  test('holds from the start, or from a text on', () => {
    expect(textOf(answer({ ...world, pieces: ['{', 'a', '}', '{'] }, { grammar }))).toBe('{a}')
    // Nothing that the model knows fits behind the brace: the answer ends there.
    expect(textOf(answer(world, { grammar, grammarAfter: '</think>' }))).toBe('I think</think>{')
    const free = answer({ ...world, pieces: ['{', 'x', '</think>', '{', '}', ' more'] }, { grammar, grammarAfter: '</think>' })
    expect(textOf(free)).toBe('{x</think>{}')
  })

  test('may come again and again, with free text between', () => {
    const pieces = ['Let me', '<call>', '{', 'a', '}', ' and', '<call>', '{', '}', '.']
    const options = { grammar, grammarAfter: '<call>', grammarRepeats: true }
    expect(textOf(answer({ ...world, pieces }, options))).toBe(pieces.join(''))
  })

  test('that cannot be read is refused', () => {
    expect(() => answer(world, { grammar: 'root := "x"', grammarAfter: 'x' })).toThrow(/grammar/)
  })
})
