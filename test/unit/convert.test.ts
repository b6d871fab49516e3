import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { convertCheckpoint } from '../../src/models/convert/convert.ts'
import { runConversion } from '../../src/models/convert/convert-process.ts'
import { interleaveHalves } from '../../src/models/convert/plan-tensors.ts'
import { readGguf } from '../gguf-reader.ts'

const fixtures = 'test/fixtures/convert'

/** A copy of a fixture, in a folder of its own, and a place for what is made of it. */
async function copyOf(name: string) {
  const root = await mkdtemp(join(tmpdir(), 'simpleia-convert-'))
  const folder = join(root, name)
  await cp(join(fixtures, name), folder, { recursive: true })
  const target = join(root, 'made.gguf')
  return { root, folder, target, convert: () => convertCheckpoint({ folder, target, outputType: 'auto' }, () => {}) }
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, 'utf8'))
}

async function change(path: string, changes: Readonly<Record<string, unknown>>): Promise<void> {
  await writeFile(path, JSON.stringify({ ...(await readJson(path)), ...changes }))
}

const linear = { type: 'linear' }
const uneven = ['sliding_attention', 'full_attention', 'full_attention', 'sliding_attention']

describe('a checkpoint is refused with the reason, and nothing is written, when', () => {
  test.each<[string, string, Readonly<Record<string, unknown>>, RegExp]>([
    ['its architecture is not known', 'llama3', { architectures: ['MambaForCausalLM'] }, /"MambaForCausalLM".*LlamaForCausalLM/],
    ['it names no architecture', 'llama3', { architectures: [] }, /architectures/],
    ['a size is missing', 'llama3', { hidden_size: null }, /config.json.*hidden_size/],
    ['a size is no number', 'llama3', { hidden_size: '64' }, /config.json.*hidden_size/],
    ['a size is out of all bounds', 'llama3', { num_hidden_layers: 1e9 }, /num_hidden_layers/],
    ['heads do not fit', 'llama3', { num_key_value_heads: 3 }, /no multiple of num_key_value_heads/],
    ['there are fewer layers than it says', 'llama3', { num_hidden_layers: 3 }, /lacks.*layers\.2\..* and \d+ more/],
    ['there are more layers than it says', 'llama3', { num_hidden_layers: 1 }, /do not have.*layers\.1\./],
    ['tensors have other shapes than it says', 'llama3', { intermediate_size: 40 }, /shape \[40,32\].*has \[48,32\]/],
    ['the output matrix is missing', 'llama3', { tie_word_embeddings: false }, /lacks.*lm_head/],
    ['its activation is another', 'llama3', { hidden_act: 'relu' }, /hidden_act is relu/],
    [
      'its positions are scaled in an unknown way',
      'llama3',
      { rope_parameters: { rope_type: 'dynamic', factor: 2 } },
      /llama3.*"dynamic"/,
    ],
    ['its positions are scaled by nothing', 'mistral', { rope_parameters: null, rope_scaling: linear }, /no "factor"/],
    [
      'its factors for long texts are of another number',
      'phi3',
      { rope_parameters: { type: 'su', long_factor: [1], short_factor: [1] } },
      /16 long_factor.*has 1/,
    ],
    ['it has a window that is not computed', 'qwen2', { use_sliding_window: true, layer_types: null }, /use_sliding_window/],
    ['its windows have no period', 'gemma3', { layer_types: uneven }, /layer_types\[2\] is full_attention/],
    ['its attention has another scale', 'gemma3', { query_pre_attn_scalar: 64 }, /query_pre_attn_scalar is 64/],
    ['other layers than every fourth have no positions', 'smollm3', { no_rope_layers: [1, 0, 1, 0] }, /no_rope_layers/],
    ['its attention is scaled by layer', 'gpt2', { scale_attn_by_inverse_layer_idx: true }, /scale_attn_by_inverse_layer_idx/],
    [
      'it is quantized in an unknown way',
      'awq',
      { quantization_config: { quant_method: 'bitsandbytes' } },
      /"bitsandbytes".*AWQ.*GPTQ/,
    ],
    ['it is packed in 8 bits', 'gptq', { quantization_config: { quant_method: 'gptq', bits: 8 } }, /8 bits/],
    [
      'it is packed in another order',
      'awq',
      { quantization_config: { quant_method: 'awq', bits: 4, version: 'gemv' } },
      /"gemv"/,
    ],
    [
      'its groups are of another size',
      'awq',
      { quantization_config: { quant_method: 'awq', bits: 4, group_size: 16 } },
      /qzeros.*of \[2,8\], but is I32 of \[1,8\]/,
    ],
    ['packed tensors stand there without a word of it', 'awq', { quantization_config: null }, /lacks tensors/],
  ])('%s', async (_what, name, changes, reason) => {
    const { root, folder, convert } = await copyOf(name)
    await change(join(folder, 'config.json'), changes)
    await expect(convert()).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) })
    expect(await readdir(root)).toEqual([name])
  })

  test.each<[string, string, string, RegExp]>([
    ['there is no config.json', 'llama3', 'config.json', /config\.json/],
    ['there are no weights', 'llama3', 'model.safetensors', /model\.safetensors/],
    ['a part of the weights is missing', 'llama', 'model-00002-of-00003.safetensors', /00002/],
    ['there is no tokenizer', 'llama3', 'tokenizer.json', /tokenizer/],
    ['there is no SentencePiece model', 'llama', 'tokenizer.model', /tokenizer/],
  ])('%s', async (_what, name, file, reason) => {
    const { root, folder, convert } = await copyOf(name)
    await rm(join(folder, file))
    await expect(convert()).rejects.toMatchObject({ code: 'not_found', message: expect.stringMatching(reason) })
    expect(await readdir(root)).toEqual([name])
  })

  test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    [
      'its tokenizer splits texts in an unknown way',
      { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true } },
      /splits texts/,
    ],
    ['its tokenizer is no BPE', { model: { type: 'Unigram', vocab: [] } }, /Unigram/],
    ['its tokenizer has no vocabulary', { model: { type: 'BPE', vocab: {}, merges: [] } }, /vocabulary/],
    ['two tokens have one number', { model: { type: 'BPE', vocab: { a: 0, b: 0 }, merges: [] } }, /"b"/],
    ['a merge is no pair', { model: { type: 'BPE', vocab: { a: 0 }, merges: ['a'] } }, /pairs/],
  ])('%s', async (_what, changes, reason) => {
    const { root, folder, convert } = await copyOf('gpt2')
    await change(join(folder, 'tokenizer.json'), changes)
    await expect(convert()).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) })
    expect(await readdir(root)).toEqual(['gpt2'])
  })
})

/** Where values stand in an object, two levels deep. */
function pathsOf(whole: object): ReadonlyArray<readonly string[]> {
  return Object.entries(whole).flatMap(([key, one]) => {
    const inner = typeof one === 'object' && one !== null ? Object.keys(one).slice(0, 20) : []
    return [[key], ...inner.map((next) => [key, next])]
  })
}

function replaced(whole: object, [key = '', ...rest]: readonly string[], value: unknown): object {
  return Object.fromEntries(
    Object.entries(whole).map(([name, one]) => [name, name !== key ? one : rest.length > 0 ? replaced(one, rest, value) : value]),
  )
}

test('whatever stands in the settings of a checkpoint, it is converted or refused', async () => {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom(0, -1, 1, 2 ** 53, 1e308, '', null, [], {}))
  for (const [name, file] of [
    ['llama3', 'config.json'],
    ['gemma3', 'config.json'],
    ['phi3', 'config.json'],
    ['awq', 'config.json'],
    ['qwen2', 'tokenizer.json'],
    ['phi3', 'tokenizer_config.json'],
    ['llama', 'model.safetensors.index.json'],
  ] as const) {
    const { folder, convert } = await copyOf(name)
    const whole = await readJson(join(folder, file))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...pathsOf(whole)), value, async (path, other) => {
        await writeFile(join(folder, file), JSON.stringify(replaced(whole, path, other)))
        const error: unknown = await convert().catch((reason: unknown) => reason)
        if (error !== undefined) expect(error).toBeInstanceOf(AppError)
      }),
      { numRuns: 100 },
    )
  }
})

test('weights that F16 cannot hold are refused, and kept in BF16', async () => {
  const { root, folder, target } = await copyOf('llama3')
  const path = join(folder, 'model.safetensors')
  const bytes = await readFile(path)
  // The first weight after the header, in BF16: 2^17.
  bytes.writeUInt16LE(0x4800, 8 + Number(bytes.readBigUInt64LE(0)))
  await writeFile(path, bytes)
  const inF16 = convertCheckpoint({ folder, target, outputType: 'f16' }, () => {})
  await expect(inF16).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(/131072.*too large for F16/) })
  expect(await readdir(root)).toEqual(['llama3'])
  await convertCheckpoint({ folder, target, outputType: 'bf16' }, () => {})
})

test('the two halves of each head are interleaved, row by row', () => {
  const rows = [0, 1, 2, 3, 4, 5, 6, 7]
  const matrix = Float32Array.from(rows.flatMap((row) => [row, row + 0.5]))
  const [even, odd] = [0, 1].map((column) => [...interleaveHalves(matrix, 4, 2)].filter((_, index) => index % 2 === column))
  expect(even).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
  expect(odd).toEqual([0.5, 2.5, 1.5, 3.5, 4.5, 6.5, 5.5, 7.5])
})

describe('a checkpoint whose tensors have other names', () => {
  /** Rewrites the header of a safetensors file; the bytes stay. */
  async function rename(folder: string, nameOf: (name: string) => string): Promise<void> {
    const path = join(folder, 'model.safetensors')
    const bytes = await readFile(path)
    const end = 8 + Number(bytes.readBigUInt64LE(0))
    const header: object = JSON.parse(bytes.toString('utf8', 8, end))
    const renamed = Object.entries(header).map(([name, entry]) => [name === '__metadata__' ? name : nameOf(name), entry])
    const text = Buffer.from(JSON.stringify(Object.fromEntries(renamed)))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    await writeFile(path, Buffer.concat([length, text, bytes.subarray(end)]))
  }

  async function convertedAs(name: string, prepare: (folder: string) => Promise<void>): Promise<Buffer> {
    const { folder, target, convert } = await copyOf(name)
    await prepare(folder)
    await convert()
    return readFile(target)
  }

  test('gives the same file: GPT-2 with and without "transformer."', async () => {
    const plain = await convertedAs('gpt2', async () => {})
    const bare = await convertedAs('gpt2', (folder) => rename(folder, (name) => name.replace(/^transformer\./, '')))
    expect(bare.equals(plain)).toBe(true)
  })

  test('gives the same file: Gemma 3 as a part of a model that sees images', async () => {
    const plain = await convertedAs('gemma3', async () => {})
    for (const prefix of ['language_model.model.', 'model.language_model.']) {
      const part = await convertedAs('gemma3', async (folder) => {
        const path = join(folder, 'config.json')
        const { architectures: _, ...text } = await readJson(path)
        await writeFile(
          path,
          JSON.stringify({ architectures: ['Gemma3ForConditionalGeneration'], text_config: text, vision_config: {} }),
        )
        await rename(folder, (name) => name.replace(/^model\./, prefix))
      })
      expect(part.equals(plain)).toBe(true)
    }
  })
})

describe('what a converted file says of itself', () => {
  async function metadataOf(name: string, changes: Readonly<Record<string, unknown>> = {}) {
    const { folder, target, convert } = await copyOf(name)
    await change(join(folder, 'config.json'), changes)
    await convert()
    return readGguf(await readFile(target)).metadata
  }

  test('are its sizes', async () => {
    const metadata = await metadataOf('qwen3')
    expect(Object.fromEntries(metadata)).toMatchObject({
      'general.architecture': 'qwen3',
      'general.file_type': 32,
      'qwen3.block_count': 2,
      'qwen3.context_length': 128,
      'qwen3.embedding_length': 32,
      'qwen3.attention.head_count': 4,
      'qwen3.attention.head_count_kv': 2,
      'qwen3.attention.key_length': 32,
      'qwen3.rope.freq_base': 1e6,
      'qwen3.rope.scaling.type': 'yarn',
      'qwen3.rope.scaling.factor': 4,
      'qwen3.rope.scaling.original_context_length': 32,
      'tokenizer.ggml.pre': 'qwen2',
      'tokenizer.ggml.add_bos_token': false,
    })
  })

  test('are positions as older checkpoints tell them', async () => {
    const older = { rope_parameters: null, rope_theta: 5000, rope_scaling: { type: 'linear', factor: 2 } }
    const metadata = await metadataOf('mistral', older)
    expect(metadata.get('llama.rope.freq_base')).toBe(5000)
    expect(metadata.get('llama.rope.scaling.factor')).toBe(2)
  })

  test('are windows and their period, from layer_types or from the pattern of older checkpoints', async () => {
    const windows = (metadata: ReadonlyMap<string, unknown>) =>
      ['sliding_window', 'sliding_window_pattern'].map((key) => metadata.get(`gemma3.attention.${key}`))
    expect(windows(await metadataOf('gemma3'))).toEqual([8, 2])
    expect(windows(await metadataOf('gemma3', { layer_types: null, sliding_window_pattern: 3 }))).toEqual([8, 3])
    expect(windows(await metadataOf('gemma3', { layer_types: null }))).toEqual([8, 6])
  })

  test('are several chat templates by their names', async () => {
    const { folder, target, convert } = await copyOf('qwen2')
    const templates = [
      { name: 'default', template: 'A' },
      { name: 'tool_use', template: 'B' },
    ]
    await change(join(folder, 'tokenizer_config.json'), { chat_template: templates })
    await convert()
    const { metadata } = readGguf(await readFile(target))
    expect(metadata.get('tokenizer.chat_template')).toBe('A')
    expect(metadata.get('tokenizer.chat_template.tool_use')).toBe('B')
  })
})

describe('a conversion in a process of its own', () => {
  test('tells of each tensor, and leaves the whole file', async () => {
    const { root, folder, target, convert } = await copyOf('llama3')
    const events: unknown[] = []
    await runConversion({ folder, target, outputType: 'auto' }, (event) => events.push(event))
    const made = await readFile(target)
    const { tensors } = readGguf(made)
    expect(events).toHaveLength(tensors.length)
    expect(events.at(-1)).toEqual({ type: 'tensor-written', done: tensors.length, total: tensors.length, bytes: made.length })
    await convert()
    expect(made.equals(await readFile(target))).toBe(true)
    expect((await readdir(root)).sort()).toEqual(['llama3', 'made.gguf'])
  })

  test('fails with what the process found wrong', async () => {
    const { root, folder, target } = await copyOf('llama3')
    await change(join(folder, 'config.json'), { architectures: ['Other'] })
    const converting = runConversion({ folder, target, outputType: 'auto' }, () => {})
    await expect(converting).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('"Other"') })
    expect(await readdir(root)).toEqual(['llama3'])
  })

  /** A process that has written a part of the file and then says nothing, until it is killed or dies. */
  function silentChild(target: string) {
    const exits: Array<(reason: string, output: string) => void> = []
    const end = (reason: string) => exits.forEach((listener) => void listener(reason, 'its last words'))
    return {
      end,
      send: () => void writeFile(`${target}.part`, 'half').then(() => started.resolve()),
      kill: () => end('SIGKILL'),
      onMessage: () => {},
      onExit: (listener: (reason: string, output: string) => void) => void exits.push(listener),
    }
  }
  let started = Promise.withResolvers<void>()

  test('that is stopped is killed, and leaves nothing', async () => {
    started = Promise.withResolvers()
    const { root, folder, target } = await copyOf('gpt2')
    const stopping = new AbortController()
    const child = silentChild(target)
    const converting = runConversion(
      { folder, target, outputType: 'auto' },
      () => {},
      stopping.signal,
      () => child,
    )
    await started.promise
    stopping.abort()
    await expect(converting).rejects.toMatchObject({ code: 'aborted' })
    expect(await readdir(root)).toEqual(['gpt2'])
  })

  test('that dies says so, and leaves nothing', async () => {
    started = Promise.withResolvers()
    const { root, folder, target } = await copyOf('gpt2')
    const child = silentChild(target)
    const converting = runConversion(
      { folder, target, outputType: 'auto' },
      () => {},
      undefined,
      () => child,
    )
    await started.promise
    child.end('SIGSEGV')
    await expect(converting).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('SIGSEGV'),
      cause: { message: 'its last words' },
    })
    expect(await readdir(root)).toEqual(['gpt2'])
  })

  test('that was stopped before it began starts no process', async () => {
    const spawn = () => {
      throw new Error('A process was started.')
    }
    const conversion = { folder: '/nowhere', target: '/nowhere/x.gguf', outputType: 'auto' } as const
    await expect(runConversion(conversion, () => {}, AbortSignal.abort(), spawn)).rejects.toMatchObject({ code: 'aborted' })
  })
})
