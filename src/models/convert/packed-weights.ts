import { AppError } from '../../errors.ts'
import { decodeFloats } from './number-formats.ts'
import type { PackedFormat } from './packed-format.ts'
import type { Checkpoint, TensorInfo } from './safetensors.ts'
import type { WeightSource } from './weight-sources.ts'

// Both formats keep W[output, input] = (q - zero) · scale, with q and zero in 4 bits, and scale and zero shared by the inputs
// of a group. They are packed by eights into 32-bit words:
// - AWQ ("gemm"): qweight [input, output/8], qzeros [group, output/8], scales [group, output]; the nibbles of a word, from the
//   lowest, hold its eight outputs in the order 0 2 4 6 1 3 5 7;
// - GPTQ: qweight [input/8, output], the nibbles in order; qzeros [group, output/8], in order; scales [group, output]; g_idx
//   [input] says the group of each input when they were reordered ("act-order").

const perWord = 8
const inOrder = [0, 1, 2, 3, 4, 5, 6, 7]
const interleaved = [0, 2, 4, 6, 1, 3, 5, 7]
/** Where in a word the output is that has this place among its eight. */
const awqShifts = inOrder.map((place) => 4 * interleaved.indexOf(place))
/** Values made at once. */
const pieceValues = 1 << 22

const parts = ['qweight', 'qzeros', 'scales', 'g_idx'] as const

/** Whether the tensor is a part of a packed matrix. */
export function isPackedPart(name: string): boolean {
  return parts.some((part) => name.endsWith(`.${part}`))
}

/**
 * The packed matrices of a checkpoint, as sources of plain ones by their usual names (`….weight`). Throws `invalid` when parts
 * are missing or their shapes do not fit together.
 */
export function listPackedWeights(checkpoint: Checkpoint, format: PackedFormat): ReadonlyMap<string, WeightSource> {
  const stems = [...checkpoint.tensors.keys()]
    .filter((name) => name.endsWith('.qweight'))
    .map((name) => name.slice(0, -'.qweight'.length))
  return new Map(stems.map((stem) => [`${stem}.weight`, toSource(checkpoint, format, stem)]))
}

type Parts = Readonly<{ qweight: TensorInfo; qzeros: TensorInfo; scales: TensorInfo; order: TensorInfo | undefined }>

function toSource(checkpoint: Checkpoint, format: PackedFormat, stem: string): WeightSource {
  const found: Parts = {
    qweight: checkpoint.get(`${stem}.qweight`),
    qzeros: checkpoint.get(`${stem}.qzeros`),
    scales: checkpoint.get(`${stem}.scales`),
    order: format.method === 'gptq' ? checkpoint.tensors.get(`${stem}.g_idx`) : undefined,
  }
  const [rows = 0, columns = 0] = found.qweight.shape
  const [inputs, outputs] = format.method === 'awq' ? [rows, columns * perWord] : [rows * perWord, columns]
  const groups = Math.ceil(inputs / (format.groupSize ?? inputs))
  checkShape(found.qweight, format.method === 'awq' ? [inputs, outputs / perWord] : [inputs / perWord, outputs], ['I32', 'U32'])
  checkShape(found.qzeros, [groups, outputs / perWord], ['I32', 'U32'])
  checkShape(found.scales, [groups, outputs], ['F16', 'BF16', 'F32'])
  if (found.order !== undefined) checkShape(found.order, [inputs], ['I32', 'U32'])
  return {
    name: `${stem}.weight`,
    shape: [outputs, inputs],
    stored: 'packed',
    async *read(rowMultiple) {
      const packed = await readParts(checkpoint, format, found, { inputs, outputs, groups })
      const wanted = Math.max(1, Math.floor(pieceValues / inputs / rowMultiple)) * rowMultiple
      for (let from = 0; from < outputs; from += wanted) yield unpack(packed, from, Math.min(outputs, from + wanted))
    },
  }
}

function checkShape({ name, shape, type }: TensorInfo, expected: readonly number[], types: readonly string[]): void {
  const fits = shape.length === expected.length && shape.every((size, index) => size === expected[index]) && types.includes(type)
  if (fits) return
  throw new AppError(
    'invalid',
    `Tensor "${name}" should be ${types.join(' or ')} of [${expected}], but is ${type} of [${shape}].`,
  )
}

type Packed = Readonly<{
  inputs: number
  outputs: number
  /** In the order of the file. */
  words: Uint32Array
  method: PackedFormat['method']
  /** [group, output] */
  zeros: Uint8Array
  scales: Float32Array
  groupOf: Uint32Array
}>

type Shape = Readonly<{ inputs: number; outputs: number; groups: number }>

async function readParts(checkpoint: Checkpoint, format: PackedFormat, found: Parts, shape: Shape): Promise<Packed> {
  const words = async (tensor: TensorInfo) => new Uint32Array((await checkpoint.readBytes(tensor)).buffer)
  const { inputs, outputs, groups } = shape
  const groupSize = format.groupSize ?? inputs
  return {
    inputs,
    outputs,
    method: format.method,
    words: await words(found.qweight),
    zeros: unpackZeros(await words(found.qzeros), format),
    scales: decodeFloats(await checkpoint.readBytes(found.scales), found.scales.type),
    groupOf:
      found.order === undefined
        ? Uint32Array.from({ length: inputs }, (_, input) => Math.floor(input / groupSize))
        : checkOrder(await words(found.order), groups, found.order.name),
  }
}

function checkOrder(order: Uint32Array, groups: number, name: string): Uint32Array {
  if (order.every((group) => group < groups)) return order
  throw new AppError('invalid', `Tensor "${name}" should name groups from 0 to ${groups - 1}, but names others.`)
}

function unpackZeros(words: Uint32Array, { method, zeroOffset }: PackedFormat): Uint8Array {
  const places = method === 'awq' ? interleaved : inOrder
  const zeros = new Uint8Array(words.length * perWord)
  for (const [index, word] of words.entries()) {
    for (const [nibble, place] of places.entries()) {
      // A zero point of 0 was written as -1, which is 15 in four bits.
      zeros[index * perWord + place] = (((word >>> (4 * nibble)) & 15) + zeroOffset) & 15
    }
  }
  return zeros
}

/** The rows of the outputs from `from` to `to`. */
function unpack(packed: Packed, from: number, to: number): Float32Array {
  const values = new Float32Array((to - from) * packed.inputs)
  return packed.method === 'awq' ? unpackAwq(packed, from, to, values) : unpackGptq(packed, from, to, values)
}

// The values go to rows that lie far apart in memory: both loops stay in few rows at a time, for the processor's cache.

function unpackAwq({ inputs, outputs, words, zeros, scales, groupOf }: Packed, from: number, to: number, values: Float32Array) {
  const perRow = outputs / perWord
  for (let block = from; block < to; block += perWord - (block % perWord)) {
    const end = Math.min(to, block + perWord - (block % perWord))
    for (let input = 0; input < inputs; input += 1) {
      const word = words[input * perRow + (block >>> 3)] ?? 0
      const group = (groupOf[input] ?? 0) * outputs
      for (let output = block; output < end; output += 1) {
        const q = (word >>> (awqShifts[output & 7] ?? 0)) & 15
        values[(output - from) * inputs + input] = (q - (zeros[group + output] ?? 0)) * (scales[group + output] ?? 0)
      }
    }
  }
  return values
}

function unpackGptq({ inputs, outputs, words, zeros, scales, groupOf }: Packed, from: number, to: number, values: Float32Array) {
  for (let first = 0; first < inputs; first += perWord) {
    const row = (first >>> 3) * outputs
    for (let output = from; output < to; output += 1) {
      const word = words[row + output] ?? 0
      const start = (output - from) * inputs + first
      for (let nibble = 0; nibble < perWord; nibble += 1) {
        const place = (groupOf[first + nibble] ?? 0) * outputs + output
        values[start + nibble] = (((word >>> (4 * nibble)) & 15) - (zeros[place] ?? 0)) * (scales[place] ?? 0)
      }
    }
  }
  return values
}
