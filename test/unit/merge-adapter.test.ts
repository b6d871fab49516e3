import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { readGgufHeader } from '../../src/engine/gguf/gguf-header.ts'
import { createGgufOutput } from '../../src/engine/gguf/gguf-output.ts'
import { type GgufTensor, type GgufValue, type RawMetadata, writeGguf } from '../../src/engine/gguf/gguf-writer.ts'
import { openDequantize } from '../../src/engine/local/libggml-floats.ts'
import { findLibrary } from '../../src/engine/local/libllama.ts'
import { addProduct, mergeAdapter } from '../../src/engine/train/merge-adapter.ts'
import { ggufBytes, type TestTensor } from '../gguf-bytes.ts'
import { readGguf } from '../gguf-reader.ts'

const library = findLibrary('cpu')
if (library === undefined) throw new Error('No llama.cpp library is installed here.')
const dequantize = openDequantize(library)
const folder = await mkdtemp(join(tmpdir(), 'simpleia-merge-'))
afterAll(() => rm(folder, { recursive: true }))

const text = (value: string): GgufValue => ({ type: 'string', value })
const tensor = (name: string, shape: readonly number[], values: readonly number[], type = 'F32'): GgufTensor => ({
  name,
  type,
  shape,
  async *produce() {
    const bytes = type === 'F32' ? Float32Array.from(values) : Float16Array.from(values)
    yield new Uint8Array(bytes.buffer)
  },
})

const keys: ReadonlyArray<readonly [string, GgufValue]> = [
  ['general.architecture', text('llama')],
  ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: ['a', 'ñ'] }],
]
const adapterKeys: typeof keys = [
  ['general.type', text('adapter')],
  ['adapter.type', text('lora')],
  ['general.architecture', text('llama')],
]

type World = Readonly<{ base: typeof keys | RawMetadata; adapter: typeof keys; pair: readonly GgufTensor[] }>

const pair = [tensor('w.weight.lora_a', [1, 2], [1, 10]), tensor('w.weight.lora_b', [3, 1], [1, 2, 3])]

async function merge(given: Partial<World> = {}, outputType: 'F32' | 'F16' | 'BF16' = 'F32') {
  const { base = keys, adapter = adapterKeys, pair: factors = pair } = given
  const [basePath, adapterPath, target] = ['base', 'adapter', 'merged'].map((name) => join(folder, `${name}.gguf`))
  if (basePath === undefined || adapterPath === undefined || target === undefined) throw new Error('Three names are three paths.')
  const weights = [tensor('w.weight', [3, 2], [1, 2, 3, 4, 5, 6]), tensor('w.norm', [4], [1, 2, 3, 4], 'F16')]
  await writeGguf({ target: basePath, metadata: 'bytes' in base ? base : new Map(base), tensors: weights }, () => {})
  await writeGguf({ target: adapterPath, metadata: new Map(adapter), tensors: factors }, () => {})
  await mergeAdapter({ basePath, adapterPath, target, outputType }, { dequantize, report: () => {} })
  const made = readGguf(await readFile(target))
  const values = new Float32Array(Uint8Array.from(made.tensors[0]?.bytes ?? []).buffer)
  return { ...made, values: [...values] }
}

describe('a merge', () => {
  test('adds the product to the weight, and leaves the rest as it is', async () => {
    const { tensors, values, metadata } = await merge()
    expect(values).toEqual([2, 12, 5, 24, 8, 36])
    expect(tensors.map(({ name, type, shape }) => [name, type, shape])).toEqual([
      ['w.weight', 'F32', [3, 2]],
      ['w.norm', 'F16', [4]],
    ])
    expect([...new Float16Array(Uint8Array.from(tensors[1]?.bytes ?? []).buffer)]).toEqual([1, 2, 3, 4])
    expect([...metadata]).toEqual([
      ['general.architecture', 'llama'],
      ['tokenizer.ggml.tokens', ['a', 'ñ']],
      ['general.file_type', 0],
    ])
  })

  test('scales by alpha and rank', async () => {
    const alpha = ['adapter.lora.alpha', { type: 'float32', value: 0.5 }] as const
    expect((await merge({ adapter: [...adapterKeys, alpha] })).values).toEqual([1.5, 7, 4, 14, 6.5, 21])
  })

  test('says in the file what it is in', async () => {
    const base = [...keys.slice(0, 1), ['general.file_type', { type: 'uint32', value: 7 }], ...keys.slice(1)] as const
    const { metadata, tensors } = await merge({ base }, 'BF16')
    expect([...metadata.keys()]).toEqual(base.map(([key]) => key))
    expect([metadata.get('general.file_type'), tensors[0]?.type]).toEqual([32, 'BF16'])
  })

  test('has its tensors at multiples of what the base says', async () => {
    const output = createGgufOutput()
    for (const [key, value] of [...keys, ['general.alignment', { type: 'uint32', value: 64 }] as const]) {
      output.text(key)
      output.value(value)
    }
    const base = { count: 3, bytes: output.written(), alignment: 64 }
    expect((await merge({ base })).metadata.get('general.alignment')).toBe(64)
    const { alignment, tensors } = await readGgufHeader(join(folder, 'merged.gguf'))
    expect([alignment, ...tensors.map(({ offset }) => offset % 64)]).toEqual([64, 0, 0])
  })

  test('of what F16 cannot hold, or of what is no number, is refused', async () => {
    const large = [tensor('w.weight.lora_a', [1, 2], [1, 1]), tensor('w.weight.lora_b', [3, 1], [70_000, 0, 0])]
    await expect(merge({ pair: large }, 'F16')).rejects.toThrow(/too large for F16/)
    expect((await merge({ pair: large }, 'BF16')).tensors).toHaveLength(2)
    const broken = [tensor('w.weight.lora_a', [1, 2], [1, Number.NaN]), tensor('w.weight.lora_b', [3, 1], [1, 0, 0])]
    await expect(merge({ pair: broken })).rejects.toThrow(/no numbers/)
  })

  test.each<readonly [string, Partial<World>, RegExp]>([
    ['a model instead of an adapter', { adapter: keys }, /no LoRA adapter/],
    [
      'one for another architecture',
      { adapter: [...adapterKeys.slice(0, 2), ['general.architecture', text('qwen3')]] },
      /made for qwen3.*llama/,
    ],
    [
      'one that certain tokens switch on',
      { adapter: [...adapterKeys, ['adapter.alora.invocation_tokens', { type: 'array', of: 'uint32', values: [1] }]] },
      /switched on/,
    ],
    ['half a pair', { pair: pair.slice(1) }, /only one half/],
    [
      'a pair for what is not there',
      { pair: pair.map((one) => ({ ...one, name: one.name.replace('w.', 'v.') })) },
      /"v.weight".*does not have/,
    ],
    [
      'a pair of another shape',
      { pair: [tensor('w.weight.lora_a', [1, 3], [1, 1, 1]), ...pair.slice(1)] },
      /do not make \[2,3\]/,
    ],
    ['a tensor that is no part of a pair', { pair: [...pair, tensor('w.bias', [1], [1])] }, /no part of a pair/],
    ['nothing', { pair: [tensor('w_norm.weight', [1], [1])] }, /changes no tensor/],
    ['a base in several files', { base: [...keys, ['split.count', { type: 'uint16', value: 2 }]] }, /split into 2 files/],
  ])('with %s is refused', async (_, given, message) => {
    await expect(merge(given)).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(message) })
  })

  test('that does not fit on the disk is refused before anything is written', async () => {
    const basePath = join(folder, 'huge.gguf')
    const [columns, rows] = [1 << 20, 1 << 20]
    const bytes = columns * rows * 4
    const tensors: TestTensor[] = [{ name: 'w.weight', shape: [columns, rows], bytes: 0 }]
    const head = ggufBytes({ metadata: { 'general.architecture': 'llama' }, tensors })
    await writeFile(basePath, head)
    // A hole: it takes no room.
    await truncate(basePath, head.length + bytes)
    const adapterPath = join(folder, 'huge-adapter.gguf')
    const factors = [
      tensor('w.weight.lora_a', [1, columns], Array(columns).fill(1)),
      tensor('w.weight.lora_b', [rows, 1], Array(rows).fill(1)),
    ]
    await writeGguf({ target: adapterPath, metadata: new Map(adapterKeys), tensors: factors }, () => {})
    const target = join(folder, 'huge-merged.gguf')
    const merging = mergeAdapter({ basePath, adapterPath, target, outputType: 'F32' }, { dequantize, report: () => {} })
    await expect(merging).rejects.toMatchObject({ code: 'storage_full' })
    expect((await readdir(folder)).filter((name) => name.startsWith('huge-merged'))).toEqual([])
  })
})

test('a product is added piece by piece as it is added at once, and as the definition says', () => {
  const size = fc.integer({ min: 1, max: 5 })
  const shapes = fc.record({
    matrices: size,
    rows: size,
    columns: size,
    rank: size,
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  fc.assert(
    fc.property(shapes, fc.infiniteStream(fc.integer({ min: -9, max: 9 })), ({ matrices, rows, columns, rank, cut }, stream) => {
      const take = (count: number) => Float32Array.from(stream.take(count))
      const [down, up, weight] = [take(matrices * rank * columns), take(matrices * rows * rank), take(matrices * rows * columns)]
      const product = { down, up, rank, rows, columns, scale: 2 }
      const got = weight.slice()
      const middle = Math.floor(cut * got.length)
      addProduct(got.subarray(0, middle), 0, product)
      addProduct(got.subarray(middle), middle, product)
      const wanted = weight.map((value, index) => {
        const [matrix, row, column] = [Math.floor(index / (rows * columns)), Math.floor(index / columns), index % columns]
        const steps = Array.from(
          { length: rank },
          (_, step) => (up[row * rank + step] ?? 0) * (down[(matrix * rank + step) * columns + column] ?? 0),
        )
        return value + 2 * steps.reduce((sum, one) => sum + one, 0)
      })
      expect([...got]).toEqual([...wanted])
    }),
  )
})
