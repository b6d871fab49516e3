// Small GGUF files made by hand, also wrong ones (docs/gguf.md in ggml's repository).

export type TestValue = string | number | boolean | readonly string[] | readonly number[]
export type TestTensor = Readonly<{
  name: string
  shape: readonly number[]
  type?: number
  bytes: number
  offset?: number | bigint
}>
export type TestFile = Readonly<{
  metadata?: Readonly<Record<string, TestValue>>
  tensors?: readonly TestTensor[]
  version?: number
  tensorCount?: number | bigint
  keyCount?: number | bigint
}>

const alignment = 32

export function ggufBytes({ metadata = {}, tensors = [], version = 3, tensorCount, keyCount }: TestFile): Buffer {
  const keys = Object.entries(metadata)
  const aligned = (bytes: number) => Math.ceil(bytes / alignment) * alignment
  let end = 0
  const infos = tensors.map(({ name, shape, type = 0, bytes, offset = end }) => {
    end = aligned(end + bytes)
    return Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)])
  })
  const head = [Buffer.from('GGUF'), u32(version), u64(tensorCount ?? tensors.length), u64(keyCount ?? keys.length)]
  const header = Buffer.concat([...head, ...keys.map(([key, value]) => Buffer.concat([text(key), typed(value)])), ...infos])
  return Buffer.concat([header, Buffer.alloc(aligned(header.length) - header.length), Buffer.alloc(end)])
}

function typed(value: TestValue): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), text(value)])
  if (typeof value === 'boolean') return Buffer.concat([u32(7), Buffer.from([Number(value)])])
  if (typeof value === 'number')
    return Number.isInteger(value) ? Buffer.concat([u32(4), u32(value)]) : Buffer.concat([u32(6), f32(value)])
  const texts = value.filter((item) => typeof item === 'string').map(text)
  const numbers = value.filter((item) => typeof item === 'number').map(u32)
  return Buffer.concat([u32(9), u32(texts.length > 0 ? 8 : 4), u64(value.length), ...texts, ...numbers])
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(bytes.length), bytes])
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

/** A llama of two layers whose tensors are empty of sense but whole. */
export const chatModel: TestFile = {
  metadata: {
    'general.architecture': 'llama',
    'general.name': 'Tiny',
    'general.file_type': 7,
    'llama.context_length': 2048,
    'llama.block_count': 2,
    'llama.embedding_length': 64,
    'llama.feed_forward_length': 128,
    'llama.attention.head_count': 4,
    'llama.attention.head_count_kv': 2,
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.tokens': ['a', 'b', 'c'],
    'tokenizer.chat_template': '{{ messages }}',
  },
  tensors: [
    { name: 'token_embd.weight', shape: [64, 3], bytes: 64 * 3 * 4 },
    { name: 'blk.0.attn_q.weight', shape: [64, 64], type: 8, bytes: (64 * 64 * 34) / 32 },
  ],
}
