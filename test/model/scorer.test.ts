import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { findLibrary, type Llama, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaBackend } from '../../src/engine/local/llama-backend.ts'
import { type LlamaScorer, openLlamaScorer, openVocabulary, type Vocabulary } from '../../src/engine/local/llama-scorer.ts'
import { normalize } from '../../src/engine/local/token-scores.ts'
import { reportText } from '../../src/models/report-text.ts'
import { writeAdapter } from '../lora-file.ts'
import { realModelFile } from '../real-host.ts'

let folder: string
let adapterPath: string
const llama = openTestLibrary()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-scorer-'))
  adapterPath = join(folder, 'noise.gguf')
  await writeAdapter(adapterPath, 1)
})
afterAll(() => rm(folder, { recursive: true }))

/** llama.cpp in this process: a test may end with it. */
function openTestLibrary(): Llama {
  const library = findLibrary('cpu')
  if (library === undefined) throw new Error('No llama.cpp library is installed here.')
  return openLibrary(library, () => {})
}

function open(options: Partial<Parameters<typeof openLlamaScorer>[1]> = {}): LlamaScorer {
  const scorer = openLlamaScorer(llama, { path: realModelFile, contextSize: 1024, threads: 2, ...options })
  onTestFinished(scorer.close)
  return scorer
}

function textFor(scorer: LlamaScorer, length: number): number[] {
  const bos = scorer.bos === undefined ? [] : [scorer.bos]
  return [...bos, ...scorer.tokenize([{ text: reportText, special: false }])].slice(0, length)
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

/** Each token from `from` on, as a target. */
function scoreFrom(scorer: LlamaScorer, tokens: readonly number[], from: number): Float32Array {
  const at = range(from - 1, tokens.length - 1)
  return scorer.score(tokens, at, tokens.slice(from))
}

/** By the way on which answers are computed. */
function reference(tokens: readonly number[], from: number, adapted = false): number[] {
  const options = { path: realModelFile, contextSize: 1024, cacheType: 'f16', maxParallel: 32, threads: 2 } as const
  const { backend } = openLlamaBackend(llama, { ...options, speculates: false, device: 'cpu' })
  onTestFinished(backend.close)
  if (adapted) backend.loadAdapter({ name: 'noise', path: adapterPath, identity: 'noise' })
  if (adapted) backend.useAdapter('noise')
  return tokens.slice(0, -1).flatMap((token, position) => {
    backend.evaluate([{ token, position, sequence: 0, output: true }], false)
    if (position < from - 1) return []
    const scores = backend.scores(0)
    return [(scores[tokens[position + 1] ?? 0] ?? 0) - normalize(scores).logSum]
  })
}

const mean = (values: Iterable<number>) => {
  const list = [...values]
  return list.reduce((sum, value) => sum + value, 0) / list.length
}

test.each([false, true])('a text gets the probabilities that answers are drawn from (with an adapter: %s)', (adapted) => {
  const scorer = open(adapted ? { adapterPath } : {})
  const tokens = textFor(scorer, 60)
  const [scored, wanted] = [scoreFrom(scorer, tokens, 10), reference(tokens, 10, adapted)]
  expect(scored).toHaveLength(50)
  expect(Math.abs(mean(scored) / mean(wanted) - 1)).toBeLessThan(0.005)
  for (const [index, value] of scored.entries()) expect(Math.abs(value - (wanted[index] ?? 0))).toBeLessThan(0.6)
})

test('an adapter makes another model', () => {
  const [plain, adapted] = [open(), open({ adapterPath })]
  const tokens = textFor(plain, 60)
  expect(Math.abs(mean(scoreFrom(plain, tokens, 1)) - mean(scoreFrom(adapted, tokens, 1)))).toBeGreaterThan(0.05)
})

test('a long text is scored in pieces, and gets the same scores wherever they end', () => {
  const scorer = open()
  const tokens = textFor(scorer, 700)
  const all = scoreFrom(scorer, tokens, 1)
  expect(all).toHaveLength(699)
  const [few] = [
    scorer.score(
      tokens,
      [5, 200, 201, 698],
      [6, 201, 202, 699].map((index) => tokens[index] ?? 0),
    ),
  ]
  for (const [index, at] of [5, 200, 201, 698].entries()) expect(Math.abs((few[index] ?? 0) - (all[at] ?? 9))).toBeLessThan(0.6)
  expect([...scoreFrom(scorer, tokens, 1)]).toEqual([...all])
})

test('the probabilities after a token add up to one', () => {
  const scorer = open()
  const tokens = textFor(scorer, 5)
  const everything = range(0, scorer.vocabularySize)
  const logprobs = scorer.score(
    tokens,
    everything.map(() => 4),
    everything,
  )
  expect(logprobs.reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1, 3)
})

test('a text that is too long, and tokens that the model does not have, are refused', () => {
  const scorer = open({ contextSize: 256 })
  expect(() => scorer.score(range(0, 257), [0], [1])).toThrow(/257 tokens; at most 256/)
  expect(() => scorer.score([2, 1e7], [0], [1])).toThrow(/but not 10000000/)
  expect(() => scorer.score([2, 3], [0], [-1])).toThrow(/but not -1/)
  expect(() => scorer.score([2, 3, 4], [1, 0], [3, 4])).toThrow(/ascend/)
  expect(scorer.score([2, 3], [], [])).toHaveLength(0)
  expect(() => openLlamaScorer(llama, { path: 'package.json', contextSize: 64, threads: 1 })).toThrow(/not a whole model/)
  expect(() => open({ adapterPath: realModelFile })).toThrow(/no whole LoRA adapter/)
})

test('a vocabulary without weights is that of the whole model', () => {
  const scorer = open()
  const vocabulary = openVocabulary(llama, realModelFile)
  onTestFinished(vocabulary.close)
  const parts = [
    { text: '<start_of_turn>user\n', special: true },
    { text: '¿Qué es <end_of_turn>?', special: false },
  ]
  expect(vocabulary.tokenize(parts)).toEqual(scorer.tokenize(parts))
  const facts = ({ tokenize: _, isEndOfGeneration: __, close: ___, quantization: ____, ...rest }: Vocabulary) => rest
  expect(facts(scorer)).toMatchObject(facts(vocabulary))
  expect([vocabulary.bosToken, vocabulary.eosToken, vocabulary.architecture]).toEqual(['<bos>', '<eos>', 'gemma3'])
  expect([vocabulary.quantization, scorer.quantization]).toEqual(['', 'Q4_K - Medium'])
  const [end = -1] = vocabulary.tokenize([{ text: '<end_of_turn>', special: true }])
  expect([vocabulary.isEndOfGeneration(end), vocabulary.isEndOfGeneration(9)]).toEqual([true, false])
})
