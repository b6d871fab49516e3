import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type GgufTensor, type GgufValue, writeGguf } from '../../src/engine/gguf/gguf-writer.ts'
import { findLibrary, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaBackend } from '../../src/engine/local/llama-backend.ts'
import { createRandom } from '../../src/engine/local/random.ts'

// A model of one layer with random weights, all in Q4_K, also those that its scores come from: all of them are repacked.

const [width, vocabulary, heads] = [512, 512, 2]
const random = createRandom(1)
const folder = await mkdtemp(join(tmpdir(), 'simpleia-groups-'))
const path = join(folder, 'random.gguf')
afterAll(() => rm(folder, { recursive: true }))

function quantized(name: string, rows: number): GgufTensor {
  const blocks = Buffer.alloc(((rows * width) / 256) * 144)
  for (let at = 0; at < blocks.length; at += 1) blocks[at] = random() * 256
  // Each block begins with its scale and its minimum, as halves: 0.01.
  for (let at = 0; at < blocks.length; at += 144) blocks.writeUInt32LE(0x211f_211f, at)
  return { name, type: 'Q4_K', shape: [rows, width], produce: () => pieces(blocks) }
}

function ones(name: string): GgufTensor {
  return { name, type: 'F32', shape: [width], produce: () => pieces(Buffer.from(new Float32Array(width).fill(1).buffer)) }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const count = (value: number): GgufValue => ({ type: 'uint32', value })
const texts = (values: readonly string[]): GgufValue => ({ type: 'array', of: 'string', values })
const tokens = ['<unk>', '<s>', '</s>', ...Array.from({ length: vocabulary - 3 }, (_, token) => `t${token}`)]
const metadata = new Map<string, GgufValue>([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['llama.block_count', count(1)],
  ['llama.context_length', count(256)],
  ['llama.embedding_length', count(width)],
  ['llama.feed_forward_length', count(width)],
  ['llama.attention.head_count', count(heads)],
  ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
  ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
  ['tokenizer.ggml.tokens', texts(tokens)],
  ['tokenizer.ggml.scores', { type: 'array', of: 'float32', values: tokens.map((_, token) => -token) }],
  ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', values: tokens.map((_, token) => (token === 0 ? 2 : 1)) }],
])
const layer = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down']
const tensors = [
  quantized('token_embd.weight', vocabulary),
  ...layer.map((name) => quantized(`blk.0.${name}.weight`, width)),
  ones('blk.0.attn_norm.weight'),
  ones('blk.0.ffn_norm.weight'),
  ones('output_norm.weight'),
  quantized('output.weight', vocabulary),
]

test('a row that must repeat has the same scores in batches of 1 to 21 rows, wherever it stands in them', async () => {
  await writeGguf({ target: path, metadata, tensors }, () => {})
  const library = findLibrary('cpu')
  if (library === undefined) throw new Error('No llama.cpp library is installed here.')
  const llama = openLibrary(library, () => {})
  const options = {
    path,
    contextSize: 256,
    cacheType: 'f16',
    maxParallel: 16,
    threads: 2,
    speculates: false,
    device: 'cpu',
  } as const
  const { backend } = openLlamaBackend(llama, { ...options, outputType: 'Q4_K' })
  const differing: unknown[] = []
  for (let asked = 3; asked < 40; asked += 1) {
    let alone: Float32Array | undefined
    for (let rows = 1; rows <= 21; rows += 4 * (asked % 2) + 1) {
      const place = (asked * 7) % rows
      const batch = Array.from({ length: rows }, (_, row) => {
        const token = row === place ? asked : 3 + ((asked * 31 + row * 17) % 500)
        return { token, position: 0, sequence: row === place ? 0 : row + 1, output: true }
      })
      expect(backend.evaluate(batch, true)).toBe(true)
      const scores = backend.scores(place).slice()
      alone ??= scores
      if (scores.some((score, token) => score !== alone?.[token])) differing.push({ asked, rows, place })
      for (let sequence = 0; sequence < 32; sequence += 1) backend.truncateSequence(sequence, 0)
    }
  }
  backend.close()
  expect(differing).toEqual([])
})
