import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { findLibrary, type Llama, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaBackend } from '../../src/engine/local/llama-backend.ts'
import { type LlamaScorer, openLlamaScorer, openVocabulary, type Vocabulary } from '../../src/engine/local/llama-scorer.ts'
import { normalize } from '../../src/engine/local/token-scores.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import { runScoring, spawnScorer } from '../../src/engine/train/score-process.ts'
import type { ScoreEvent, ScoreJob } from '../../src/engine/train/score-protocol.ts'
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
  const tokens = textFor(scorer, 600)
  const all = scoreFrom(scorer, tokens.slice(0, 200), 1)
  expect(all).toHaveLength(199)
  const places = [5, 130, 131, 598]
  const few = scorer.score(
    tokens,
    places,
    [6, 131, 132, 599].map((index) => tokens[index] ?? 0),
  )
  for (const [index, at] of places.slice(0, 3).entries()) expect(Math.abs((few[index] ?? 0) - (all[at] ?? 9))).toBeLessThan(0.6)
  expect([...scoreFrom(scorer, tokens.slice(0, 200), 1)]).toEqual([...all])
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

/** Scores these examples in the process that does so. */
async function scoreInProcess(
  examples: readonly TrainingExample[],
  job: Partial<ScoreJob> = {},
  signal = new AbortController().signal,
) {
  const examplesFile = join(folder, `${randomUUID()}.jsonl`)
  await writeFile(examplesFile, examples.map((example) => `${JSON.stringify(example)}\n`).join(''))
  const whole = { modelPath: realModelFile, adapterPath: undefined, examplesFile, maxLength: 256, threads: 2, ...job }
  const events: ScoreEvent[] = []
  for await (const event of runScoring(whole, { spawn: () => spawnScorer((text) => void process.stderr.write(text)), signal }))
    events.push(event)
  const scores = events.flatMap((event) => (event.type === 'example-scored' ? [event.score] : []))
  const end = events.at(-1)
  if (end?.type !== 'score-end') throw new Error('It ended without totals.')
  return { scores, totals: end.totals }
}

const asked = [{ role: 'user', content: 'What is the capital of France?' }] as const

test('a process scores conversations, texts and preferences, and tells what it leaves out', async () => {
  const { scores, totals } = await scoreInProcess([
    { type: 'chat', messages: [...asked, { role: 'assistant', content: 'The capital of France is Paris.' }] },
    { type: 'preference', messages: asked, chosen: 'Paris.', rejected: 'Purple elephants dance.' },
    { type: 'text', text: reportText },
    { type: 'chat', messages: asked },
    { type: 'text', text: 'Paris is the capital of France.' },
  ])
  expect(scores).toMatchObject([
    { type: 'text', targets: expect.any(Number) },
    { type: 'preference' },
    { type: 'left-out', reason: 'too-long' },
    { type: 'left-out', reason: 'empty' },
    { type: 'text' },
  ])
  const [chat, pair, , , text] = scores
  if (chat?.type !== 'text' || pair?.type !== 'preference' || text?.type !== 'text') throw new Error('Other kinds of scores.')
  expect(pair.chosen.logprob).toBeGreaterThan(pair.rejected.logprob)
  expect(totals).toMatchObject({ examples: 3, tooLong: 1, empty: 1, preferences: 1, preferred: 1 })
  expect(totals.targets).toBe(chat.targets + pair.chosen.targets + text.targets)
  expect(totals.meanNll).toBeCloseTo(-(chat.logprob + pair.chosen.logprob + text.logprob) / totals.targets, 10)
  expect(totals.tokensPerSecond).toBeGreaterThan(0)

  const scorer = open({ contextSize: 256 })
  const tokens = [
    scorer.bos ?? 0,
    ...scorer.tokenize([{ text: 'Paris is the capital of France.', special: false }]),
    scorer.eos ?? 0,
  ]
  expect(text.targets).toBe(tokens.length - 1)
  expect(text.logprob / mean(scoreFrom(scorer, tokens, 1)) / text.targets).toBeCloseTo(1, 2)
})

test('a process scores with an adapter', async () => {
  const examples = [{ type: 'text', text: 'Paris is the capital of France.' }] as const
  const [plain, adapted] = [await scoreInProcess(examples), await scoreInProcess(examples, { adapterPath })]
  expect(Math.abs((plain.totals.meanNll ?? 0) - (adapted.totals.meanNll ?? 0))).toBeGreaterThan(0.01)
})

test('what cannot be scored is refused with the reason, and a job that is given up ends', async () => {
  await expect(scoreInProcess([], { modelPath: 'package.json' })).rejects.toMatchObject({ code: 'invalid' })
  await expect(scoreInProcess([], { adapterPath: realModelFile })).rejects.toThrow(/no whole LoRA adapter/)
  await expect(scoreInProcess([], { examplesFile: realModelFile })).rejects.toThrow(/Line 1 should be a training example/)
  await expect(scoreInProcess([{ type: 'text', text: 'Hola' }], {}, AbortSignal.abort())).rejects.toMatchObject({
    code: 'aborted',
  })
  expect((await scoreInProcess([])).totals).toMatchObject({ examples: 0, targets: 0, meanNll: undefined })
})
