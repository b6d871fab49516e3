import { describe, expect, test } from 'vitest'
import type { ModelKind } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createCatalog } from '../../src/models/catalog.ts'
import type { ModelFacts } from '../../src/models/model-kind.ts'

const facts: ModelFacts = {
  kind: 'chat',
  architecture: 'qwen3',
  name: undefined,
  parameters: 100,
  quantization: 'Q8_0',
  contextLength: 32_768,
  layers: 2,
  embeddingLength: 64,
  feedForwardLength: 128,
  heads: 2,
  headsKv: 2,
  headsKvTotal: 4,
  outputType: undefined,
  keyLength: 32,
  valueLength: 32,
  vocabularySize: 1000,
  slidingWindow: 0,
  experts: 0,
  tensorBytes: 1000,
  fileBytes: 1100,
  files: 1,
  pooling: undefined,
  causal: true,
  hasChatTemplate: true,
  adapter: undefined,
  tensors: [],
}

const kinds: Readonly<Record<string, ModelKind | 'damaged'>> = {
  base: 'chat',
  'c++': 'chat',
  damaged: 'damaged',
  lora: 'adapter',
  'narrow-lora': 'adapter',
  'other-lora': 'adapter',
  'tied-lora': 'adapter',
  vectors: 'embedding',
}

const pairOf = (name: string, columns: number, rows: number) => [
  { name: `${name}.lora_a`, shape: [columns, 2] },
  { name: `${name}.lora_b`, shape: [2, rows] },
]

/** The embeddings of the bases are their output matrix too. */
function tensorsOf(path: string): ModelFacts['tensors'] {
  const query = 'blk.0.attn_q.weight'
  switch (path) {
    case 'narrow-lora':
      return pairOf(query, 4, 8)
    case 'tied-lora':
      return [
        { name: 'token_embd.weight.lora_a', shape: [2, 100] },
        { name: 'token_embd.weight.lora_b', shape: [2, 8] },
      ]
    default:
      return kinds[path] === 'adapter'
        ? pairOf(query, 8, 16)
        : [
            { name: 'token_embd.weight', shape: [8, 100] },
            { name: query, shape: [8, 16] },
          ]
  }
}

function createWorld() {
  const reads: string[] = []
  const versions = new Map<string, number>()
  const catalog = createCatalog({
    registry: {
      list: async () => Object.keys(kinds).sort(),
      describe: () => Promise.reject(new Error('Nobody asks for that here.')),
      async find(name) {
        if (kinds[name] === undefined) throw new AppError('not_found', `No model is called "${name}".`)
        return { name, path: name, identity: `${name} ${versions.get(name) ?? 1}` }
      },
    },
    async readFacts(path) {
      reads.push(path)
      const kind = kinds[path]
      if (kind === undefined || kind === 'damaged') throw new AppError('invalid', 'The file is cut off.')
      return { ...facts, kind, architecture: path === 'other-lora' ? 'llama' : 'qwen3', tensors: tensorsOf(path) }
    },
    aliases: new Map([
      ['gpt-4o', 'base'],
      ['mine', 'base+lora'],
    ]),
    estimateBytes: () => 5000,
  })
  return { catalog, reads, versions }
}

describe('a list of models', () => {
  test('holds each file with what it is, and each adapter on each base that it fits', async () => {
    const { catalog } = createWorld()
    const listed = (await catalog.list()).map(({ name, base, kind, aliases, problem }) => [name, base, kind, aliases, problem])
    expect(listed).toEqual([
      ['base', 'base', 'chat', ['gpt-4o'], undefined],
      ['base+lora', 'base', 'chat', ['mine'], undefined],
      ['c++', 'c++', 'chat', [], undefined],
      ['c+++lora', 'c++', 'chat', [], undefined],
      ['damaged', 'damaged', 'unknown', [], 'The file is cut off.'],
      ['lora', 'lora', 'adapter', [], undefined],
      ['narrow-lora', 'narrow-lora', 'adapter', [], undefined],
      ['other-lora', 'other-lora', 'adapter', [], undefined],
      ['tied-lora', 'tied-lora', 'adapter', [], undefined],
      ['vectors', 'vectors', 'embedding', [], undefined],
    ])
  })

  test('reads a header once, and again when its file has changed or could not be read', async () => {
    const { catalog, reads, versions } = createWorld()
    await catalog.list()
    await catalog.list()
    expect(reads.toSorted()).toEqual([...Object.keys(kinds), 'damaged'].sort())
    versions.set('base', 2)
    await catalog.list()
    expect(reads.filter((path) => path === 'base')).toHaveLength(2)
  })
})

describe('a name', () => {
  test('stands for a file, an alias, or an adapter on a base', async () => {
    const { catalog } = createWorld()
    const lora = { name: 'lora', path: 'lora', identity: 'lora 1' }
    expect(await catalog.find('base')).toEqual({ name: 'base', path: 'base', identity: 'base 1' })
    expect(await catalog.find('gpt-4o')).toMatchObject({ name: 'base' })
    expect(await catalog.find('base+lora')).toEqual({ name: 'base', path: 'base', identity: 'base 1', adapter: lora })
    expect(await catalog.find('mine')).toMatchObject({ name: 'base', adapter: lora })
    expect(await catalog.find('gpt-4o+lora')).toMatchObject({ name: 'base', adapter: lora })
    expect(await catalog.find('c++')).toMatchObject({ name: 'c++' })
    expect(await catalog.find('c+++lora')).toMatchObject({ name: 'c++', adapter: lora })
  })

  test.each([
    ['vectors', 'invalid', /embedding model/],
    ['lora', 'invalid', /needs a base/],
    ['damaged', 'invalid', /cut off/],
    ['nothing', 'not_found', /"nothing"/],
    ['base+nothing', 'not_found', /"nothing"/],
    ['base+vectors', 'invalid', /is no adapter/],
    ['base+other-lora', 'invalid', /made for llama, but "base" is qwen3/],
    ['base+narrow-lora', 'invalid', /"narrow-lora" cannot be used with "base".*attn_q/],
    ['base+tied-lora', 'invalid', /embeddings, which are the output matrix/],
    ['vectors+lora', 'invalid', /answers no prompts/],
    ['+lora', 'not_found', /"\+lora"/],
  ] as const)('%s is refused with the reason', async (name, code, message) => {
    const { catalog } = createWorld()
    const error: unknown = await catalog.find(name).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
  })
})
