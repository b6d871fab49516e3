import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '../../src/engine/local/random.ts'
import { convertBert } from '../../src/models/convert/convert-bert.ts'
import { makeDocx, makeEpub, makePdf } from '../document-files.ts'
import { chatModel, ggufBytes } from '../gguf-bytes.ts'
import { writeNoise } from '../lora-file.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { mutate, mutateArchive, type Random } from './mutate.ts'
import { snapshotBytes } from './snapshot-bytes.ts'

/** Kinds of files that strangers hand in, or that are downloaded. */
export const fileKinds = [
  ...(['pdf', 'docx', 'epub', 'html', 'dataset', 'conversations', 'snapshot'] as const),
  ...(['gguf-header', 'gguf', 'adapter', 'safetensors', 'tokenizer', 'config', 'onnx'] as const),
] as const
export type FileKind = (typeof fileKinds)[number]

export type HostileFile = Readonly<{ kind: FileKind; index: number; name: string; bytes: Buffer }>

/** The files that the others are made of: the readers must take them. */
export async function* makeWholeFiles(kind: FileKind): AsyncGenerator<HostileFile> {
  for (const [index, { name, bytes }] of (await readSeeds(kind)).entries()) yield { kind, index, name, bytes: Buffer.from(bytes) }
}

type Seed = Readonly<{ name: string; bytes: Uint8Array }>

const checkpoint = 'test/fixtures/convert/llama3'

/** The same files for the same seed: small whole ones of each kind, changed at random. */
export async function* makeHostileFiles(kind: FileKind, count: number, seed: number): AsyncGenerator<HostileFile> {
  const originals = await readSeeds(kind)
  const random = createRandom(seed + 1000 * fileKinds.indexOf(kind))
  for (let index = 0; index < count; index += 1) {
    const original = originals[index % originals.length]
    if (original !== undefined) yield { kind, index, name: original.name, bytes: change(kind, original.bytes, random) }
  }
}

function change(kind: FileKind, bytes: Uint8Array, random: Random): Buffer {
  if (kind === 'docx' || kind === 'epub') return mutateArchive(bytes, random)
  if (kind === 'snapshot') return changeSnapshot(bytes, random)
  return mutate(bytes, random)
}

/** Its checksum would tell of a change: one who changes it on purpose writes a new one. */
function changeSnapshot(bytes: Uint8Array, random: Random): Buffer {
  const way = random()
  if (way < 0.2) return mutate(bytes, random)
  if (way < 0.6) return snapshotBytes((content) => (random() < 0.3 ? mutate(content, random) : content))
  const changed = mutate(bytes.subarray(0, -32), random)
  return Buffer.concat([changed, createHash('sha256').update(changed).digest()])
}

const lines = (...values: readonly unknown[]) => Buffer.from(`${values.map((value) => JSON.stringify(value)).join('\n')}\n`)

async function readSeeds(kind: FileKind): Promise<readonly Seed[]> {
  switch (kind) {
    case 'pdf': {
      const pages = [
        [{ text: 'Heading', size: 20 }, { text: 'One line of text.' }],
        [{ text: 'The second page.', font: 'F2' as const }],
      ]
      return [
        { name: 'a.pdf', bytes: makePdf(pages, { title: 'A title' }) },
        { name: 'b.pdf', bytes: makePdf(pages, { compressed: true }) },
      ]
    }
    case 'docx': {
      const parts = [
        { heading: 'One', level: 1 },
        { text: 'Some words.' },
        { item: 'an item' },
        {
          rows: [
            ['a', 'b'],
            ['c', 'd'],
          ],
        },
      ]
      return [{ name: 'a.docx', bytes: makeDocx(parts, 'A title') }]
    }
    case 'epub':
      return [{ name: 'a.epub', bytes: makeEpub('A book', [{ file: 'one.xhtml', body: '<h1>One</h1><p>Text.</p>' }]) }]
    case 'html':
      return documentSeeds
    case 'dataset':
      return datasetSeeds
    case 'conversations':
      return conversationSeeds
    case 'snapshot':
      return [{ name: 'a.snapshot', bytes: snapshotBytes() }]
    case 'gguf-header':
      return [{ name: 'a.gguf', bytes: ggufBytes(chatModel) }, ...(await readSeeds('adapter'))]
    default:
      return readModelSeeds(kind)
  }
}

/** Of models: what llama.cpp, ONNX Runtime and the converter read. */
async function readModelSeeds(
  kind: 'gguf' | 'adapter' | 'safetensors' | 'tokenizer' | 'config' | 'onnx',
): Promise<readonly Seed[]> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-seeds-'))
  try {
    switch (kind) {
      case 'gguf':
        return [{ name: 'a.gguf', bytes: await readFile(await writeTinyModel('llama3', folder)) }]
      case 'adapter': {
        const target = join(folder, 'adapter.gguf')
        const tensors = [{ name: 'blk.0.attn_q.weight', shape: [32, 128] }]
        await writeNoise(target, { architecture: 'llama', tensors, seed: 1 })
        return [{ name: 'adapter.gguf', bytes: await readFile(target) }]
      }
      case 'onnx': {
        const onnxTarget = join(folder, 'model.onnx')
        await convertBert({ folder: 'test/fixtures/convert/tiny-bert', onnxTarget, outputType: 'F32', report: () => {} })
        return [{ name: 'model.onnx', bytes: await readFile(onnxTarget) }]
      }
      case 'safetensors':
        return [{ name: 'model.safetensors', bytes: await readFile(join(checkpoint, 'model.safetensors')) }]
      case 'tokenizer':
        return [{ name: 'tokenizer.json', bytes: await readFile(join(checkpoint, 'tokenizer.json')) }]
      case 'config':
        return [{ name: 'config.json', bytes: await readFile(join(checkpoint, 'config.json')) }]
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const documentSeeds: readonly Seed[] = [
  [
    'a.html',
    '<!doctype html><html><head><title>A</title></head><body><h1>One</h1><table><tr><td>a</td></tr></table><p>b</p></body></html>',
  ],
  ['a.md', '# One\n\n- a\n- b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nlet a\n```\n'],
  ['a.csv', 'name;value\n"a ""b""";1\nc;2\n'],
  ['a.txt', 'One paragraph.\n\nAnother one, with ñ and 😀.\n'],
  ['a.ts', 'export function one(): number {\n  return 1\n}\n'],
].map(([name = '', text = '']) => ({ name, bytes: Buffer.from(text) }))

const chat = [
  { role: 'user', content: 'q' },
  { role: 'assistant', content: 'a' },
]
const datasetSeeds: readonly Seed[] = [
  { name: 'a.jsonl', bytes: lines({ messages: chat }, { messages: chat, weight: 2 }) },
  { name: 'b.jsonl', bytes: lines({ prompt: 'p', chosen: 'c', rejected: 'r' }, { prompt: 'q', chosen: 'd', rejected: 's' }) },
  { name: 'c.csv', bytes: Buffer.from('prompt,completion\nq,"a, ""b"""\nr,c\n') },
  { name: 'd.json', bytes: Buffer.from(JSON.stringify([{ text: 'one' }, { text: 'two' }])) },
  { name: 'e.parquet', bytes: Buffer.concat([Buffer.from('PAR1'), Buffer.alloc(200, 7), Buffer.from('PAR1')]) },
]

const time = '2026-01-01T00:00:00.000Z'
const message = { id: 'm1', parent_id: null, role: 'user', content: 'q', state: 'done', created_at: time }
const exported = {
  ...{
    format: 'simpleia-conversation',
    version: 1,
    title: 'A',
    pinned: false,
    created_at: time,
    settings: {},
    leaf_message_id: 'm2',
  },
  messages: [message, { ...message, id: 'm2', parent_id: 'm1', role: 'assistant', content: 'a' }],
}
const chatgpt = {
  title: 'B',
  create_time: 1_700_000_000.5,
  current_node: 'n2',
  mapping: {
    root: { id: 'root', parent: null, children: ['n1'], message: null },
    n1: {
      id: 'n1',
      parent: 'root',
      children: ['n2'],
      message: { author: { role: 'user' }, content: { content_type: 'text', parts: ['q'] } },
    },
    n2: {
      id: 'n2',
      parent: 'n1',
      children: [],
      message: { author: { role: 'assistant' }, content: { content_type: 'text', parts: ['a'] } },
    },
  },
}
const conversationSeeds: readonly Seed[] = [
  { name: 'a.jsonl', bytes: lines(exported, exported) },
  { name: 'conversations.json', bytes: Buffer.from(JSON.stringify([chatgpt, chatgpt])) },
]
