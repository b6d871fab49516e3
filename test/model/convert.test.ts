import { mkdtemp, readFile, rm } from 'node:fs/promises'
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

function load(path: string) {
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
  const opened = openLlamaBackend(llama, options)
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

/**
 * The scores here are about -4 to 4. llama.cpp keeps keys and values in F16 (11 bits: 0.0005 of each), and with F16 weights
 * multiplies in F16; over two to four layers that adds up to some thousandths. A wrong permutation, scale or norm is off by more
 * than 0.1.
 */
const tolerance = 0.02

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

describe.each(names)('the checkpoint %s, converted', (name) => {
  test.each(['f32', 'auto'] as const)('to %s, has the tokens and the scores of the reference', async (outputType) => {
    const model = load(await convert(name, outputType))
    for (const { prompt, ids, logits } of await referenceOf(name)) {
      expect(model.backend.tokenize([{ text: prompt, special: false }])).toEqual(ids)
      const scores = scoresAfter(model, ids)
      console.log(name, outputType, ids.length, largestDifference(scores, logits))
      expect(largestDifference(scores, logits)).toBeLessThan(tolerance)
      expect(indexOfLargest(scores)).toBe(indexOfLargest(logits))
    }
    expect(problems).toEqual([])
  })
})
