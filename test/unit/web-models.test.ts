import { describe, expect, test } from 'vitest'
import type { ServedModel } from '../../src/client.ts'
import { hubNameProblem, suggestions } from '../../web/models/hub-name.ts'
import { othersOf, ownOf } from '../../web/models/makings.ts'
import { groupModels, isMoving, memoryUse } from '../../web/models/model-groups.ts'
import { shareOf, stepOf } from '../../web/models/pull-state.ts'
import { quantizationChoices } from '../../web/models/quantization-sizes.ts'
import { gainsOf, verdictOf } from '../../web/models/report-words.ts'

function model(name: string, changes: Partial<ServedModel> = {}): ServedModel {
  return {
    ...{ name, aliases: [], kind: 'chat', selected: false, loaded: false, state: 'unloaded' },
    ...{ memory_bytes: 0, active: 0, queued: 0, requests_served: 0, ...changes },
  }
}

describe('the list of models', () => {
  const models = [
    model('a'),
    model('a+b'),
    model('a+b+lora/mine'),
    model('a+lora/mine'),
    model('broken', { kind: 'unknown' }),
    model('lora/mine', { kind: 'adapter' }),
    model('lora/other', { kind: 'adapter' }),
    model('words', { kind: 'embedding' }),
  ]

  test('shows adapters with each base that they fit; a plus in a name makes no adapter of it', () => {
    const { chat, search, others } = groupModels(models)
    expect(chat.map(({ model: base, adapters }) => [base.name, ...adapters.map(({ variant }) => variant.name)])).toEqual([
      ['a', 'a+lora/mine'],
      ['a+b', 'a+b+lora/mine'],
    ])
    expect(chat[0]?.adapters[0]).toMatchObject({ adapter: 'lora/mine', file: { kind: 'adapter' } })
    expect(search.map(({ name }) => name)).toEqual(['words'])
    expect(others.map(({ name }) => name)).toEqual(['broken', 'lora/other'])
  })

  test('counts the memory of a base once, and what is left', () => {
    const loaded = [model('a', { memory_bytes: 300 }), model('a+m', { memory_bytes: 300 }), model('m', { kind: 'adapter' })]
    const use = memoryUse([...loaded, model('z', { memory_bytes: 500 })], { budget_bytes: 1000, used_bytes: 800 })
    expect(use).toEqual({
      segments: [
        { name: 'z', bytes: 500, share: 0.5 },
        { name: 'a', bytes: 300, share: 0.3 },
      ],
      usedBytes: 800,
      freeBytes: 200,
      budgetBytes: 1000,
    })
    expect(memoryUse(loaded, undefined)).toBeUndefined()
    expect(memoryUse(loaded, { budget_bytes: 0, used_bytes: 0 })).toBeUndefined()
  })

  test('is worth looking at often while something loads or answers', () => {
    expect(isMoving([model('a'), model('b', { state: 'ready' })])).toBe(false)
    expect(isMoving([model('a', { state: 'loading' })])).toBe(true)
    expect(isMoving([model('a', { queued: 1 })])).toBe(true)
  })
})

describe('a name of the hub', () => {
  test.each([
    ['', undefined],
    ['Qwen/Qwen3-0.6B-GGUF', undefined],
    ['Qwen/Qwen3-0.6B-GGUF:Q8_0', undefined],
    ['hf:owner/repository/a.gguf', undefined],
    ['https://huggingface.co/Qwen/Qwen3-0.6B-GGUF', undefined],
    ['Qwen Qwen3', 'spaces'],
    ['qwen3', 'owner'],
    ['/qwen3', 'owner'],
    ['a/b/c', 'manySlashes'],
    ['owner/repository/a.gguf', 'file'],
    ['owner/repository:', 'tag'],
    ['owner/repository:Q4:Q8', 'tag'],
    ['owner/-repository', 'letters'],
    ['../../etc/passwd', 'manySlashes'],
  ])('%j: %s', (name, problem) => {
    expect(hubNameProblem(name)).toBe(problem)
  })

  test('is what each suggestion has', () => {
    expect(suggestions.map(({ name }) => hubNameProblem(name))).toEqual(suggestions.map(() => undefined))
  })
})

test('a pull is told by its last event, and by its bytes where that says nothing', () => {
  const progress = { received_bytes: 50, total_bytes: 200, bytes_per_second: 10, seconds_left: 15 }
  expect(stepOf({ stage: null, progress: null })).toBe('starting')
  expect([stepOf({ stage: null, progress }), shareOf({ stage: null, progress })]).toEqual(['downloading', 0.25])
  expect(stepOf({ stage: { type: 'download-start' }, progress: null })).toBe('downloading')
  expect(stepOf({ stage: { type: 'download-retry', reason: 'x' }, progress })).toBe('retrying')
  const checking = { stage: { type: 'file-check' }, progress }
  expect([stepOf(checking), shareOf(checking)]).toEqual(['checking', undefined])
  const converting = { stage: { type: 'convert-progress', done: 3, total: 4 }, progress }
  expect([stepOf(converting), shareOf(converting)]).toEqual(['converting', 0.75])
})

test('of the models that are made, the one of this page is told apart from those of others, which stay until they are put away', () => {
  const base = { kind: 'quantization', model: 'a', quantization: 'Q8_0', progress: null, made: null, error: null } as const
  const times = { created_at: '2026-01-01T00:00:00Z', ended_at: null }
  const running = (id: string, changes = {}) => ({ ...base, ...times, id, state: 'running' as const, ...changes })
  const ended = (id: string) => ({ ...running(id), state: 'completed' as const })
  const makings = [running('1', { kind: 'merge' }), ended('2'), running('3'), running('4'), ended('5'), ended('6')]
  expect(ownOf(makings, { kind: 'quantize', model: 'a' })).toBe('3')
  expect(ownOf(makings, { kind: 'merge', model: 'b' })).toBeUndefined()
  expect(ownOf(makings, undefined)).toBeUndefined()
  const others = othersOf(makings, { mine: new Set(['3']), seen: new Set(['2', '3', '4', '5']), hidden: new Set(['5']) })
  expect(others.map(({ id }) => id)).toEqual(['1', '2', '4'])
})

test('quantizations are told with what they take, from the largest on', () => {
  const choices = quantizationChoices(8e9)
  expect(choices.find(({ quantization }) => quantization === 'Q8_0')).toMatchObject({ bytes: 8.5e9, needsText: false })
  expect(choices.find(({ quantization }) => quantization === 'IQ2_XS')?.needsText).toBe(true)
  const bits = choices.map((choice) => choice.bits)
  expect(bits[0]).toBe(16)
  expect(Math.min(...bits)).toBe(bits.at(-1))
  expect(quantizationChoices(undefined)[0]?.bytes).toBeUndefined()
})

test('a report is put into words by its divergence, and into gains', () => {
  const row = {
    ...{ model: 'a', quantization: 'F16', size_bytes: 400, bits_per_weight: 16, perplexity: 10, perplexity_error: 1 },
    tokens_per_second: 50,
  }
  const result = { ...row, size_bytes: 100, tokens_per_second: 75, kl_divergence: 0, kl_divergence_error: 0, top_agreement: 1 }
  const verdicts = [0.004, 0.01, 0.05, 0.2].map((distance) => verdictOf({ result: { ...result, kl_divergence: distance } }))
  expect(verdicts).toEqual(['same', 'small', 'noticeable', 'changed'])
  expect(gainsOf({ original: row, result })).toEqual({ smaller: 4, faster: 1.5 })
})
