import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { findLibrary, type Llama, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaBackend } from '../../src/engine/local/llama-backend.ts'
import { convertCheckpoint, type OutputType } from '../../src/models/convert/convert.ts'

const fixtures = 'test/fixtures/convert'
const Reference = Type.Array(
  Type.Object({ prompt: Type.String(), ids: Type.Array(Type.Integer()), logits: Type.Array(Type.Number()) }),
)

const made = await mkdtemp(join(tmpdir(), 'simpleia-converted-'))
afterAll(() => rm(made, { recursive: true }))

const problems: string[] = []
const llama = openTestLibrary()

/** llama.cpp in this process: a test may end with it. */
function openTestLibrary(): Llama {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new Error('No llama.cpp library is installed here.')
  return openLibrary(folder, (level, text) => {
    if (level === 4) problems.push(text)
  })
}

async function referenceOf(name: string): Promise<Type.Static<typeof Reference>> {
  const value: unknown = JSON.parse(await readFile(join(fixtures, name, 'reference.json'), 'utf8'))
  if (Value.Check(Reference, value)) return value
  throw new Error(`${name}: not a reference`)
}

async function convert(name: string, outputType: OutputType, folder = join(fixtures, name)): Promise<string> {
  const target = join(made, `${name}-${outputType}.gguf`)
  await convertCheckpoint({ folder, target, outputType }, () => {})
  return target
}

/** As the engine opens a model, but with keys and values as exact as the weights may be. */
const exactLlama: Llama = {
  ...llama,
  llama_init_from_model: (model, params) =>
    llama.llama_init_from_model(model, { ...params, type_k: 0, type_v: 0, flash_attn_type: 0 }),
}

function load(path: string, library = llama) {
  problems.length = 0
  const options = {
    path,
    contextSize: undefined,
    cacheType: 'f16',
    maxParallel: 1,
    threads: 1,
    speculates: false,
    device: 'cpu',
  } as const
  const opened = openLlamaBackend(library, options)
  onTestFinished(() => opened.backend.close())
  return opened
}

/** The scores after the last of these tokens. */
function scoresAfter({ backend }: ReturnType<typeof load>, ids: readonly number[]): number[] {
  const rows = ids.map((token, position) => ({ token, position, sequence: 0, output: position === ids.length - 1 }))
  backend.truncateSequence(0, 0)
  expect(backend.evaluate(rows, false)).toBe(true)
  return [...backend.scores(ids.length - 1)]
}

function largestDifference(one: readonly number[], other: readonly number[]): number {
  expect(one.length).toBe(other.length)
  return Math.max(...one.map((value, index) => Math.abs(value - (other[index] ?? Number.NaN))))
}

const indexOfLargest = (values: readonly number[]) => values.indexOf(Math.max(...values))

const names = [
  'gpt2',
  'llama',
  'llama3',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma3',
  'phi3',
  'smollm3',
  'awq',
  'gptq',
  'gptq-reordered',
  'gptq-v2',
]

/**
 * Scores here go from about -4 to 4. Computed in 32 bits throughout they differ by 0.00001; but llama.cpp looks GELU up in a
 * table of F16 values (Gemma and GPT-2: 0.001).
 */
const exactTolerance = (name: string) => (name === 'gpt2' || name === 'gemma3' ? 0.002 : 0.0001)

/**
 * With keys and values in F16, and what is multiplied with the weights rounded to their type: 11 bits for F16, 8 for BF16. Over
 * the layers that adds up to 0.013 and 0.08. A wrong permutation, scale or norm is off by more than 0.5.
 */
const usualTolerance = (quantization: string) => (quantization === 'BF16' ? 0.15 : 0.03)

describe.each(names)('the checkpoint %s, converted', (name) => {
  test('in 32 bits has the tokens and exactly the scores of the reference', async () => {
    const model = load(await convert(name, 'f32'), exactLlama)
    for (const { prompt, ids, logits } of await referenceOf(name)) {
      expect(model.backend.tokenize([{ text: prompt, special: false }])).toEqual(ids)
      const scores = scoresAfter(model, ids)
      expect(largestDifference(scores, logits)).toBeLessThan(exactTolerance(name))
      expect(indexOfLargest(scores)).toBe(indexOfLargest(logits))
    }
    expect(problems).toEqual([])
  })

  test('in 16 bits has the scores of the reference but for rounding', async () => {
    const model = load(await convert(name, 'auto'))
    const tolerance = usualTolerance(model.model.quantization)
    for (const { ids, logits } of await referenceOf(name)) {
      const scores = scoresAfter(model, ids)
      expect(largestDifference(scores, logits)).toBeLessThan(tolerance)
      expect(scores[indexOfLargest(logits)]).toBeGreaterThan(Math.max(...scores) - 2 * tolerance)
    }
  })
})

test('the type of the weights is kept, where it has 16 bits', async () => {
  const typeOf = async (name: string) => load(await convert(name, 'auto')).model.quantization
  expect([await typeOf('llama'), await typeOf('qwen2'), await typeOf('awq')]).toEqual(['F16', 'BF16', 'F16'])
})

describe('a converted tokenizer', () => {
  test('knows commands, and takes them only where they are meant', async () => {
    const { backend, model } = load(await convert('qwen2', 'f32'))
    expect(model.controlTokens).toEqual(expect.arrayContaining(['<|endoftext|>', '<|im_start|>', '<|im_end|>']))
    expect(backend.tokenize([{ text: '<|im_start|>', special: true }])).toHaveLength(1)
    expect(backend.tokenize([{ text: '<|im_start|>', special: false }]).length).toBeGreaterThan(5)
    expect(model.eosToken).toBe('<|im_end|>')
  })

  test.each(['mistral', 'gemma3'])('is the same for %s without its SentencePiece file', async (name) => {
    const folder = join(made, `${name}-json`)
    await cp(join(fixtures, name), folder, { recursive: true })
    await rm(join(folder, 'tokenizer.model'))
    const { backend } = load(await convert(`${name}-json`, 'f32', folder))
    for (const { prompt, ids } of await referenceOf(name)) {
      expect(backend.tokenize([{ text: prompt, special: false }])).toEqual(ids)
    }
  })

  test('of Llama 3, Phi-3 and Gemma begins and ends with their tokens', async () => {
    const tokensOf = async (name: string) => {
      const { model } = load(await convert(name, 'f32'))
      return [model.bosToken, model.eosToken]
    }
    expect(await tokensOf('llama3')).toEqual(['<|begin_of_text|>', '<|eot_id|>'])
    expect(await tokensOf('phi3')).toEqual(['<s>', '<|endoftext|>'])
    expect(await tokensOf('gemma3')).toEqual(['<bos>', '<eos>'])
  })

  test('takes the chat template along, from a file of its own or the settings', async () => {
    for (const name of ['llama3', 'qwen2', 'gemma3']) {
      expect(load(await convert(name, 'f32')).model.chatTemplate).toContain('assistant:')
    }
  })
})
