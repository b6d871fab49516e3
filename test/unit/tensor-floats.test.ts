import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { ggmlTypes } from '../../src/engine/gguf/ggml-types.ts'
import type { GgufTensor } from '../../src/engine/gguf/gguf-header.ts'
import { readFloatPieces, readFloats } from '../../src/engine/gguf/tensor-floats.ts'
import { openDequantize } from '../../src/engine/local/libggml-floats.ts'
import { findLibrary } from '../../src/engine/local/libllama.ts'

const library = findLibrary('cpu')
if (library === undefined) throw new Error('No llama.cpp library is installed here.')
const dequantize = openDequantize(library)

const folder = await mkdtemp(join(tmpdir(), 'simpleia-floats-'))
afterAll(() => rm(folder, { recursive: true }))

/** From the description of the formats, one number at a time: the bytes of a block, and which of its numbers. */
const references: Readonly<Record<string, (block: DataView, index: number) => number>> = {
  F32: (block) => block.getFloat32(0, true),
  F16: (block) => half(block, 0),
  BF16: (block) => {
    const wide = new DataView(new ArrayBuffer(4))
    wide.setUint16(2, block.getUint16(0, true), true)
    return wide.getFloat32(0, true)
  },
  Q8_0: (block, index) => half(block, 0) * block.getInt8(2 + index),
  Q4_0: (block, index) => half(block, 0) * (nibble(block, 2, index, 16) - 8),
  Q4_1: (block, index) => half(block, 0) * nibble(block, 4, index, 16) + half(block, 2),
  Q5_0: (block, index) => half(block, 0) * (nibble(block, 6, index, 16) + 16 * bit(block, 2, index) - 16),
  Q4_K: (block, index) => {
    const [scale, least] = scalesOf(block, Math.floor(index / 32))
    return half(block, 0) * scale * nibble(block, 16 + Math.floor(index / 64) * 32, index % 64, 32) - half(block, 2) * least
  },
  Q5_K: (block, index) => {
    const [scale, least] = scalesOf(block, Math.floor(index / 32))
    const high = (block.getUint8(16 + (index % 32)) >> Math.floor(index / 32)) & 1
    const value = nibble(block, 48 + Math.floor(index / 64) * 32, index % 64, 32) + 16 * high
    return half(block, 0) * scale * value - half(block, 2) * least
  },
  Q6_K: (block, index) => {
    const [part, place] = [Math.floor(index / 128), index % 128]
    const low = (block.getUint8(part * 64 + (place % 64)) >> (place < 64 ? 0 : 4)) & 15
    const high = (block.getUint8(128 + part * 32 + (place % 32)) >> (2 * Math.floor(place / 32))) & 3
    const scale = block.getInt8(192 + part * 8 + Math.floor(place / 16))
    return half(block, 208) * scale * (low + 16 * high - 32)
  },
}

function half(block: DataView, at: number): number {
  const bits = block.getUint16(at, true)
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15)
  return bits >> 15 === 0 ? size : -size
}

/** The lower halves of so many bytes are the first numbers, the upper halves the next ones. */
function nibble(block: DataView, at: number, index: number, bytes: number): number {
  return (block.getUint8(at + (index % bytes)) >> (index < bytes ? 0 : 4)) & 15
}

const bit = (block: DataView, at: number, index: number) => (block.getUint8(at + Math.floor(index / 8)) >> (index % 8)) & 1

/** The 6-bit scale and minimum of a part of 32 numbers: twelve bytes hold eight of each. */
function scalesOf(block: DataView, part: number): readonly [number, number] {
  const byte = (index: number) => block.getUint8(4 + index)
  if (part < 4) return [byte(part) & 63, byte(part + 4) & 63]
  const low = byte(part + 4)
  return [(low & 15) | ((byte(part - 4) >> 6) << 4), (low >> 4) | ((byte(part) >> 6) << 4)]
}

/** Where a block has halves that scale it: there stand no infinities. */
const scalesAt: Readonly<Record<string, readonly number[]>> = { F16: [0], Q6_K: [208], Q4_1: [0, 2], Q4_K: [0, 2], Q5_K: [0, 2] }

describe.each(Object.entries(references))('%s', (name, reference) => {
  const type = [...ggmlTypes.values()].find((candidate) => candidate.name === name)
  if (type === undefined) throw new Error(name)
  const { blockSize, blockBytes } = type

  test('gives what its description says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: blockBytes, maxLength: blockBytes }), { minLength: 1, maxLength: 3 }),
        (blocks) => {
          const bytes = new Uint8Array(blocks.length * blockBytes)
          for (const [index, block] of blocks.entries()) bytes.set(block, index * blockBytes)
          const view = new DataView(bytes.buffer)
          for (let start = 0; start < bytes.length; start += blockBytes)
            for (const at of scalesAt[name] ?? [0]) {
              const last = name === 'F32' ? 3 : 1
              const finite = name === 'F32' || name === 'BF16' ? 0x3f : 0x3b
              view.setUint8(start + at + last, view.getUint8(start + at + last) & (0x80 | finite))
            }
          const floats = new Float32Array(blocks.length * blockSize)
          dequantize(name, bytes, floats)
          for (const [index, value] of floats.entries()) {
            const block = new DataView(bytes.buffer, Math.floor(index / blockSize) * blockBytes, blockBytes)
            const expected = reference(block, index % blockSize)
            expect(Math.abs(value - expected)).toBeLessThanOrEqual(
              1e-5 * Math.max(Math.abs(expected), largest(block, reference, blockSize)),
            )
          }
        },
      ),
      { numRuns: 20 },
    )
  })
})

/** Differences of large numbers are rounded as those are. */
function largest(block: DataView, reference: (block: DataView, index: number) => number, count: number): number {
  return Math.max(...Array.from({ length: count }, (_, index) => Math.abs(reference(block, index))))
}

test('every type of floats can be turned, and numbers of other kinds are refused', () => {
  const refused = [...ggmlTypes.values()].filter(({ name, blockSize, blockBytes }) => {
    try {
      dequantize(name, new Uint8Array(blockBytes * 2), new Float32Array(blockSize * 2))
      return false
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid' })
      return true
    }
  })
  expect(refused.map(({ name }) => name)).toEqual(['Q8_1', 'Q8_K', 'I8', 'I16', 'I32', 'I64', 'F64'])
})

describe('a tensor of more than one piece', () => {
  const elements = 2_500_000
  const offset = 96
  const values = Uint16Array.from({ length: elements }, (_, index) => (index * 7919) & 0x3bff)
  const tensor: GgufTensor = { name: 'large', shape: [elements], type: 'F16', elements, bytes: elements * 2, offset }

  async function openFile(bytes: number) {
    const path = join(folder, `${bytes}.bin`)
    await writeFile(path, Buffer.concat([Buffer.alloc(offset), new Uint8Array(values.buffer, 0, bytes)]))
    return open(path)
  }

  test('is read whole and in pieces', async () => {
    await using file = await openFile(elements * 2)
    const whole = await readFloats(file, tensor, dequantize)
    const expected = Float32Array.from(values, (bits) => half(new DataView(Uint16Array.of(bits).buffer), 0))
    expect(Buffer.compare(new Uint8Array(whole.buffer), new Uint8Array(expected.buffer))).toBe(0)
    const joined = new Float32Array(elements)
    for await (const { start, floats } of readFloatPieces(file, tensor, dequantize)) joined.set(floats, start)
    expect(Buffer.compare(new Uint8Array(joined.buffer), new Uint8Array(whole.buffer))).toBe(0)
  })

  test('is refused when the file has become shorter', async () => {
    await using file = await openFile(elements)
    await expect(readFloats(file, tensor, dequantize)).rejects.toMatchObject({ code: 'invalid' })
  })
})
