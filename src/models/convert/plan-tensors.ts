import { encodeFloats, type FloatType } from '../../engine/gguf/encode-floats.ts'
import type { GgufTensor } from '../../engine/gguf/gguf-writer.ts'
import { AppError } from '../../errors.ts'
import type { Architecture, Change, TensorRule } from './architectures.ts'
import type { ModelConfig } from './model-config.ts'
import type { WeightSource } from './weight-sources.ts'

/** As many names as one message holds. */
const namesAtOnce = 5

/**
 * The tensors to write, with the checkpoint's names, shapes and order of elements turned into llama.cpp's. Throws `invalid`
 * when tensors are missing, too many, or of a shape other than config.json says; nothing but headers was read until then.
 */
export function planTensors(
  config: ModelConfig,
  weights: ReadonlyMap<string, WeightSource>,
  type: FloatType,
): readonly GgufTensor[] {
  const { architecture, layers } = config
  const sources = renameAll(architecture, weights)
  const expected = [...architecture.tensors, ...layerRules(architecture, layers)]
  const rules = expected.filter((rule) => !(config.tied && rule.to === 'output.weight'))
  const missing = rules.filter((rule) => !rule.optional && !sources.has(rule.from)).map(({ from }) => from)
  if (missing.length > 0) throw new AppError('invalid', `The checkpoint lacks tensors of the model: ${enumerate(missing)}.`)
  const known = new Set(expected.map(({ from }) => from))
  const unknown = [...sources].filter(([name]) => !known.has(name)).map(([, source]) => source.name)
  if (unknown.length > 0) {
    throw new AppError(
      'invalid',
      `The checkpoint has tensors that ${architecture.gguf} models do not have: ${enumerate(unknown)}.`,
    )
  }
  const planned = rules.flatMap((rule) => {
    const source = sources.get(rule.from)
    return source === undefined ? [] : [planTensor(config, rule, source, type)]
  })
  return [...planned, ...ropeTensors(config)]
}

/** Sources by the names that the rules have; those of no use are left out. */
function renameAll(
  { prefixes, ignored }: Architecture,
  weights: ReadonlyMap<string, WeightSource>,
): ReadonlyMap<string, WeightSource> {
  const renamed = new Map<string, WeightSource>()
  for (const [name, source] of weights) {
    if (ignored.test(name)) continue
    const [prefix, meaning] = prefixes.find(([one]) => name.startsWith(one)) ?? ['', '']
    renamed.set(meaning + name.slice(prefix.length), source)
  }
  return renamed
}

function layerRules({ layerTensors }: Architecture, layers: number): readonly TensorRule[] {
  return Array.from({ length: layers }, (_, layer) =>
    layerTensors.map((rule) => ({ ...rule, from: `layers.${layer}.${rule.from}`, to: `blk.${layer}.${rule.to}` })),
  ).flat()
}

function planTensor(config: ModelConfig, rule: TensorRule, source: WeightSource, type: FloatType): GgufTensor {
  const stored = rule.shape.map((size) => config.sizes[size])
  if (source.shape.length !== stored.length || source.shape.some((size, index) => size !== stored[index])) {
    throw new AppError(
      'invalid',
      `Tensor "${source.name}" should have the shape [${stored}], as config.json says, but has [${source.shape}].`,
    )
  }
  const target = isAlwaysExact(rule) ? 'F32' : type
  const shape = rule.change === 'transpose' ? stored.toReversed() : stored
  return { name: rule.to, type: target, shape, produce: () => produce(config, rule.change, source, target) }
}

/** llama.cpp wants vectors and positions as 32-bit floats. */
function isAlwaysExact({ to, shape }: TensorRule): boolean {
  return shape.length === 1 || to === 'position_embd.weight'
}

function produce(config: ModelConfig, change: Change, source: WeightSource, type: FloatType): AsyncIterable<Uint8Array> {
  if (change === 'none' && source.stored === type && source.readStored !== undefined) return source.readStored()
  return encode(changed(config, change, source), type, source.name)
}

async function* encode(pieces: AsyncIterable<Float32Array>, type: FloatType, name: string): AsyncIterable<Uint8Array> {
  for await (const piece of pieces) {
    if (type === 'F16') checkRange(piece, name)
    yield encodeFloats(piece, type)
  }
}

/** From here on F16 has only infinity. */
const tooLargeForF16 = 65520

function checkRange(values: Float32Array, name: string): void {
  for (let index = 0; index < values.length; index += 1) {
    const size = Math.abs(values[index] ?? 0)
    if (size < tooLargeForF16 || size === Number.POSITIVE_INFINITY || Number.isNaN(size)) continue
    throw new AppError(
      'invalid',
      `Tensor "${name}" holds ${values[index]}, which is too large for F16. Choose BF16 or F32 as output.`,
    )
  }
}

function changed({ sizes }: ModelConfig, change: Change, source: WeightSource): AsyncIterable<Float32Array> {
  const columns = source.shape.length > 1 ? (source.shape[1] ?? 1) : 1
  switch (change) {
    case 'none':
      return source.read(1)
    case 'add-one':
      return each(source.read(1), (piece) => piece.map((value) => value + 1))
    case 'permute-heads':
      // A vector comes whole, a matrix in whole heads.
      return each(source.read(sizes.head), (piece) => interleaveHalves(piece, sizes.head, columns))
    case 'transpose':
      return transposed(source)
  }
}

async function* each(
  pieces: AsyncIterable<Float32Array>,
  change: (piece: Float32Array) => Float32Array,
): AsyncIterable<Float32Array> {
  for await (const piece of pieces) yield change(piece)
}

/** Rows i and i + head/2 of each head become neighbours: from rotation by halves to rotation by pairs. */
export function interleaveHalves(values: Float32Array, head: number, columns: number): Float32Array {
  const result = new Float32Array(values.length)
  for (let row = 0; row * columns < values.length; row += 1) {
    const place = row % head
    const source = row - place + (place % 2) * (head / 2) + Math.floor(place / 2)
    result.set(values.subarray(source * columns, (source + 1) * columns), row * columns)
  }
  return result
}

async function* transposed(source: WeightSource): AsyncIterable<Float32Array> {
  const [rows = 1, columns = 1] = source.shape
  const result = new Float32Array(rows * columns)
  let row = 0
  for await (const piece of source.read(1)) {
    for (let index = 0; index < piece.length; index += columns, row += 1) {
      for (let column = 0; column < columns; column += 1) result[column * rows + row] = piece[index + column] ?? 0
    }
  }
  yield result
}

function ropeTensors({ rope }: ModelConfig): readonly GgufTensor[] {
  return [...(rope?.tensors ?? [])].map(([name, factors]) => ({
    name,
    type: 'F32',
    shape: [factors.length],
    async *produce() {
      yield encodeFloats(factors, 'F32')
    },
  }))
}

function enumerate(names: readonly string[]): string {
  const shown = names.slice(0, namesAtOnce).join(', ')
  return names.length > namesAtOnce ? `${shown} and ${names.length - namesAtOnce} more` : shown
}
