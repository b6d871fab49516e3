import { readFile } from 'node:fs/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'

// What transformers says, made by the Python scripts beside the fixtures.

const fixtures = 'test/fixtures/convert'
export const tinyBert = `${fixtures}/tiny-bert`

const Tiny = Type.Object({
  texts: Type.Array(Type.String()),
  ids: Type.Array(Type.Array(Type.Integer())),
  hidden: Type.Record(Type.String(), Type.String()),
})

/** Texts, their token ids, and the last hidden states of the padded batch: batch × tokens × hidden. */
export async function readTinyReference() {
  const { texts, ids, hidden } = Value.Parse(Tiny, JSON.parse(await readFile(`${tinyBert}/reference.json`, 'utf8')))
  const states = (key: string) => toFloats(Buffer.from(hidden[key] ?? '', 'base64'))
  return { texts, ids, states, length: Math.max(...ids.map((row) => row.length)), width: 32 }
}

/** A hundred sentences in five scripts with their token ids and vectors of all-MiniLM-L6-v2. */
export async function readMiniLmReference() {
  const read = async (name: string) => JSON.parse(await readFile(`${fixtures}/${name}`, 'utf8'))
  const groups = Value.Parse(Type.Record(Type.String(), Type.Array(Type.String())), await read('minilm-sentences.json'))
  const ids = Value.Parse(Type.Array(Type.Array(Type.Integer())), await read('minilm-tokens.json'))
  const all = toFloats(await readFile(`${fixtures}/minilm-reference.bin`))
  const sentences = Object.values(groups).flat()
  const width = all.length / sentences.length
  return { sentences, ids, vectors: sentences.map((_, index) => all.subarray(index * width, (index + 1) * width)) }
}

function toFloats(bytes: Buffer): Float32Array {
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4))
}

export function cosine(one: Float32Array, other: Float32Array): number {
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0)
  return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other))
}
