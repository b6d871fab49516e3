import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeFloats } from '../../src/engine/gguf/encode-floats.ts'
import { type GgufTensor, type GgufValue, writeGguf } from '../../src/engine/gguf/gguf-writer.ts'
import { AppError } from '../../src/errors.ts'
import { decodeFloats } from '../../src/models/convert/number-formats.ts'
import { openCheckpoint } from '../../src/models/convert/safetensors.ts'
import { readGguf } from '../gguf-reader.ts'
import { encodeSafetensors, type Plain } from '../safetensors-file.ts'

const folder = () => mkdtemp(join(tmpdir(), 'simpleia-convert-'))

async function openBytes(bytes: Uint8Array) {
  const path = await folder()
  await writeFile(join(path, 'model.safetensors'), bytes)
  return openCheckpoint(path)
}

/** A header as it stands in the file, before `dataBytes` bytes of data. */
function withHeader(header: string, dataBytes: number): Uint8Array {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)))
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)])
}

const float16 = fc.integer({ min: 0, max: 0xffff }).map((bits) => new Float16Array(Uint16Array.of(bits).buffer)[0] ?? 0)

describe('a checkpoint file', () => {
  const names = fc.uniqueArray(
    fc.string({ minLength: 1, maxLength: 20 }).filter((name) => name !== '__metadata__'),
    { maxLength: 5 },
  )
  const plain = fc.record({
    type: fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const),
    rows: fc.integer({ min: 0, max: 4 }),
    columns: fc.integer({ min: 0, max: 5 }),
  })

  test('gives the tensors that were put into it', async () => {
    await fc.assert(
      fc.asyncProperty(
        names,
        fc.array(plain, { minLength: 5, maxLength: 5 }),
        fc.array(float16, { minLength: 20, maxLength: 20 }),
        async (keys, shapes, values) => {
          const tensors: Plain[] = keys.map((name, index) => {
            const { type, rows, columns } = shapes[index] ?? { type: 'F32' as const, rows: 1, columns: 1 }
            // What BF16 can hold: the upper bits only.
            const floats = decodeFloats(encodeFloats(Float32Array.from(values.slice(0, rows * columns)), 'BF16').slice(), 'BF16')
            return {
              name,
              type,
              shape: [rows, columns],
              values: type === 'F16' ? Float32Array.from(values.slice(0, rows * columns)) : floats,
            }
          })
          const checkpoint = await openBytes(encodeSafetensors(tensors))
          expect([...checkpoint.tensors.keys()].sort()).toEqual(keys.toSorted())
          for (const { name, shape, values: wanted } of tensors) {
            expect(checkpoint.get(name).shape).toEqual(shape)
            expect([...(await checkpoint.readFloats(checkpoint.get(name)))]).toEqual([...wanted])
          }
          await checkpoint.close()
        },
      ),
      { numRuns: 60 },
    )
  })

  test('of any bytes opens or is refused, and never fails otherwise', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.tuple(fc.json(), fc.nat(20)).map(([json, data]) => withHeader(json, data)),
      fc
        .record({
          dtype: fc.oneof(fc.constant('F32'), fc.jsonValue()),
          shape: fc.oneof(fc.constant([1]), fc.jsonValue()),
          data_offsets: fc.oneof(fc.constant([0, 4]), fc.jsonValue()),
        })
        .map((entry) => withHeader(JSON.stringify({ w: entry }), 4)),
    )
    await fc.assert(
      fc.asyncProperty(bytes, async (content) => {
        const checkpoint = await openBytes(content).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('model.safetensors') })
        })
        await checkpoint?.close()
      }),
      { numRuns: 150 },
    )
  })

  test.each([
    ['nothing at all', Buffer.alloc(0), /0 bytes/],
    ['a header of 2^60 bytes', Buffer.from([0, 0, 0, 0, 0, 0, 0, 16, 123, 125]), /says that it is of 1152921504606846976/],
    ['a header longer than the file', withHeader('{}', 0).subarray(0, 9), /its header/],
    ['a web page', Buffer.from('<!doctype html><title>Not found</title>'), /its header/],
    ['no JSON', withHeader('{"a":', 0), /not JSON/],
    ['a list', withHeader('[]', 0), /not a JSON object/],
    ['bytes that are no text', Buffer.concat([withHeader('', 0), Buffer.from([0xff, 0xfe])]).fill(2, 0, 1), /not UTF-8/],
    ['an unknown type', withHeader('{"w":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}', 4), /one of the types F64.*"F7"/],
    [
      'too few bytes for its shape',
      withHeader('{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4),
      /8 bytes for its shape \[2\], but has 4/,
    ],
    [
      'a shape of 2^80 elements',
      withHeader('{"w":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,4]}}', 4),
      /bytes for its shape/,
    ],
    ['a negative shape', withHeader('{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4), /whole numbers/],
    ['a range backwards', withHeader('{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', 4), /but has -4/],
    ['a range outside the file', withHeader('{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 4), /need \d+ bytes/],
    [
      'overlapping ranges',
      withHeader(
        '{"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}',
        6,
      ),
      /"w" should start at byte 4/,
    ],
    ['a hole', withHeader('{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', 8), /should start at byte 0/],
    [
      'bytes at its end that no tensor has',
      withHeader('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 5),
      /but the file has/,
    ],
  ])('with %s is refused with the reason', async (_what, bytes, reason) => {
    await expect(openBytes(bytes)).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) })
  })
})

describe('a checkpoint in several files', () => {
  const one: Plain = { name: 'one', type: 'F32', shape: [1], values: Float32Array.of(1) }
  const two: Plain = { name: 'two', type: 'F32', shape: [1], values: Float32Array.of(2) }

  async function sharded(weightMap: unknown) {
    const path = await folder()
    await writeFile(join(path, 'a.safetensors'), encodeSafetensors([one]))
    await writeFile(join(path, 'b.safetensors'), encodeSafetensors([two]))
    await writeFile(join(path, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }))
    return path
  }

  test('gives the tensors of all', async () => {
    const checkpoint = await openCheckpoint(await sharded({ one: 'a.safetensors', two: 'b.safetensors' }))
    expect([...(await checkpoint.readFloats(checkpoint.get('two')))]).toEqual([2])
    await checkpoint.close()
  })

  test.each([
    ['names a file outside the folder', { one: '../a.safetensors' }, 'invalid', /of the folder/],
    ['names an absolute path', { one: '/tmp/a.safetensors' }, 'invalid', /of the folder/],
    ['names a tensor that is not there', { one: 'a.safetensors', three: 'b.safetensors' }, 'invalid', /"three" is in b/],
    ['names a file that is not there', { one: 'c.safetensors' }, 'not_found', /c\.safetensors/],
    ['names nothing', {}, 'invalid', /no files/],
    ['is no map', 7, 'invalid', /weight_map/],
  ])('whose index %s is refused', async (_what, weightMap, code, message) => {
    await expect(openCheckpoint(await sharded(weightMap))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
  })

  test('that is missing altogether is not found', async () => {
    await expect(openCheckpoint(await folder())).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('16-bit floats', () => {
  test('are what they were after a round trip, and are rounded to the nearest', () => {
    for (const type of ['F16', 'BF16'] as const) {
      const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
      const back = new Uint16Array(encodeFloats(decodeFloats(new Uint8Array(all.buffer), type), type).slice().buffer)
      const floats = decodeFloats(new Uint8Array(all.buffer), type)
      for (const [bits, got] of back.entries()) if (!Number.isNaN(floats[bits])) expect(got).toBe(bits)
      const rounded = encodeFloats(Float32Array.of(Number.NaN, 1 + 2 ** -20, 3.4e38, -1 - 2 ** -7), type).slice()
      expect([...decodeFloats(rounded, type)]).toEqual([Number.NaN, 1, Number.POSITIVE_INFINITY, -1 - 2 ** -7])
    }
  })
})

describe('a GGUF file', () => {
  const nameArbitrary = fc.string({ minLength: 1, maxLength: 15 })
  const numberIn = (min: number, max: number) => fc.integer({ min, max })
  const scalars = {
    uint8: numberIn(0, 255),
    int8: numberIn(-128, 127),
    uint16: numberIn(0, 65535),
    int16: numberIn(-32768, 32767),
    uint32: numberIn(0, 2 ** 32 - 1),
    int32: numberIn(-(2 ** 31), 2 ** 31 - 1),
    float32: fc.float({ noNaN: true }),
    float64: fc.double({ noNaN: true }),
  } as const
  const values = Object.entries(scalars).map(([type, value]) => fc.record({ type: fc.constant(type), value }))
  const arrays = Object.entries(scalars).map(([of, value]) =>
    fc.record({ type: fc.constant('array'), of: fc.constant(of), values: fc.array(value, { maxLength: 20 }) }),
  )
  const others = [
    fc.record({ type: fc.constant('bool'), value: fc.boolean() }),
    fc.record({ type: fc.constant('string'), value: fc.string({ unit: 'grapheme', maxLength: 50 }) }),
    fc.record({ type: fc.constant('uint64'), value: fc.bigInt(0n, 2n ** 64n - 1n) }),
    fc.record({ type: fc.constant('int64'), value: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n) }),
    fc.record({
      type: fc.constant('array'),
      of: fc.constant('string'),
      values: fc.array(fc.string({ unit: 'grapheme', maxLength: 20 })),
    }),
    fc.record({ type: fc.constant('array'), of: fc.constant('bool'), values: fc.array(fc.boolean()) }),
    fc.record({ type: fc.constant('array'), of: fc.constant('uint64'), values: fc.array(fc.bigInt(0n, 2n ** 64n - 1n)) }),
  ]
  // The generators are made from names of types, which the compiler can't follow.
  const value = fc.oneof(...values, ...arrays, ...others) as fc.Arbitrary<GgufValue>
  const metadata = fc.array(fc.tuple(nameArbitrary, value), { maxLength: 8 }).map((entries) => new Map(entries))
  const tensor = fc.record({
    name: nameArbitrary,
    type: fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const, 'I32' as const),
    shape: fc.array(numberIn(1, 5), { minLength: 1, maxLength: 4 }),
    cuts: fc.array(numberIn(1, 64), { maxLength: 5 }),
  })

  /** A tensor of counted-up bytes that come in pieces of the given sizes. */
  function counting({
    name,
    type,
    shape,
    cuts,
  }: {
    name: string
    type: GgufTensor['type']
    shape: number[]
    cuts: readonly number[]
  }) {
    const size = shape.reduce((product, one) => product * one, type === 'F32' || type === 'I32' ? 4 : 2)
    const bytes = Uint8Array.from({ length: size }, (_, index) => index)
    async function* produce() {
      let at = 0
      for (const cut of cuts) {
        yield bytes.subarray(at, at + cut)
        at += cut
      }
      yield bytes.subarray(at)
    }
    return { bytes, tensor: { name, type, shape, produce } }
  }

  test('holds the metadata and tensors that were written, at multiples of 32', async () => {
    const path = join(await folder(), 'x.gguf')
    await fc.assert(
      fc.asyncProperty(metadata, fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 4 }), async (keys, given) => {
        const made = given.map(counting)
        const events: unknown[] = []
        await writeGguf({ target: path, metadata: keys, tensors: made.map(({ tensor: one }) => one) }, (event) =>
          events.push(event),
        )
        const file = readGguf(await readFile(path))
        expect([...file.metadata]).toEqual(
          [...keys].map(([key, one]) => [key, one.type === 'array' ? [...Array.from<unknown>(one.values)] : one.value]),
        )
        expect(file.tensors.map(({ name, type, shape, bytes }) => ({ name, type, shape, bytes: [...bytes] }))).toEqual(
          made.map(({ tensor: { name, type, shape }, bytes }) => ({ name, type, shape, bytes: [...bytes] })),
        )
        for (const { start } of file.tensors) expect(start % 32).toBe(0)
        expect(events.length).toBe(given.length)
      }),
      { numRuns: 100 },
    )
  })

  const one = (bytes: number, name = 'w'): GgufTensor => ({
    name,
    type: 'F32',
    shape: [2],
    async *produce() {
      yield new Uint8Array(bytes)
    },
  })

  test.each([
    ['with too few bytes', [one(7)], /8 bytes, but gave 7/],
    ['with too many bytes', [one(9)], /8 bytes, but gave 9/],
    ['of the same name as another', [one(8), one(8)], /Two tensors/],
    ['with a name that llama.cpp cannot read', [one(8, 'w'.repeat(64))], /longer than 63/],
    ['without sizes', [{ ...one(8), shape: [] }], /1 to 4 sizes/],
    ['of no elements', [{ ...one(8), shape: [0, 2] }], /1 to 4 sizes/],
  ])('is not written for a tensor %s, and nothing remains', async (_what, tensors, message) => {
    const path = await folder()
    const writing = writeGguf({ target: join(path, 'x.gguf'), metadata: new Map(), tensors }, () => {})
    await expect(writing).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(message) })
    expect(await readdir(path)).toEqual([])
  })

  test('that fails or is stopped while it is written leaves the old one in place', async () => {
    const path = await folder()
    const target = join(path, 'x.gguf')
    await writeFile(target, 'old')
    const stopping = new AbortController()
    const stops: GgufTensor = {
      ...one(8),
      async *produce() {
        yield new Uint8Array(4)
        stopping.abort()
        yield new Uint8Array(4)
      },
    }
    const breaks: GgufTensor = {
      ...one(8),
      // biome-ignore lint/correctness/useYield: it fails before it gives anything
      async *produce() {
        throw new AppError('invalid', 'The source is gone.')
      },
    }
    await expect(writeGguf({ target, metadata: new Map(), tensors: [stops] }, () => {}, stopping.signal)).rejects.toMatchObject({
      code: 'aborted',
    })
    await expect(writeGguf({ target, metadata: new Map(), tensors: [breaks] }, () => {})).rejects.toThrow('The source is gone.')
    expect([await readdir(path), await readFile(target, 'utf8')]).toEqual([['x.gguf'], 'old'])
  })
})
