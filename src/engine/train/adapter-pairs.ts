import { AppError } from '../../errors.ts'
import type { GgufHeader, GgufTensor } from '../gguf/gguf-header.ts'

/** The two factors of what an adapter adds to a matrix: scale · B · A. Shapes are those of the file, the fastest dimension first. */
export type LowRank = Factors<GgufTensor> & Readonly<{ scale: number }>

type Factors<T> = Readonly<{
  /** [columns, rank] */
  a: T
  /** [rank, rows] */
  b: T
  rank: number
  /** The embeddings of tokens, which are looked up: a is [rank, rows], and b is [rank, columns]. */
  isTransposed: boolean
}>

/** What decides whether an adapter fits a model. */
export type TensorShape = Pick<GgufTensor, 'name' | 'shape'>

/** By the name of the tensor in the base. */
export type AdapterPairs = ReadonlyMap<string, LowRank>

/** An adapter that llama.cpp switches on behind these tokens only. */
const activation = 'adapter.alora.invocation_tokens'

/** What the adapter adds to which tensors of the base. Throws `invalid` where llama.cpp would refuse it, and when it is not always on. */
export function readAdapterPairs(adapter: GgufHeader, base: GgufHeader): AdapterPairs {
  const { metadata } = adapter
  const [type, kind] = [metadata.get('general.type'), metadata.get('adapter.type')]
  if (type !== 'adapter' || kind !== 'lora') throw new AppError('invalid', 'The second file is no LoRA adapter.')
  const [made, wanted] = [adapter, base].map((header) => header.metadata.get('general.architecture'))
  if (made !== wanted) throw new AppError('invalid', `The adapter is made for ${made}, but the model is ${wanted}.`)
  if (metadata.has(activation))
    throw new AppError('invalid', 'The adapter is switched on by certain tokens, so it cannot be merged.')
  const given = metadata.get('adapter.lora.alpha')
  const alpha = typeof given === 'number' ? given : 0
  const pairs = pairFactors(adapter.tensors, base.tensors)
  return new Map([...pairs].map(([name, pair]) => [name, { ...pair, scale: alpha === 0 ? 1 : alpha / pair.rank }]))
}

/**
 * Throws `invalid` for an adapter whose factors do not make the matrices of the base: llama.cpp refuses it, or ends the process in which
 * it answers.
 */
export function refuseMisfit(adapter: readonly TensorShape[], base: readonly TensorShape[]): void {
  pairFactors(adapter, base)
}

/** By the name of the tensor in the base. */
function pairFactors<T extends TensorShape>(
  adapter: readonly T[],
  base: readonly TensorShape[],
): ReadonlyMap<string, Factors<T>> {
  const weights = new Map(base.map((tensor) => [tensor.name, tensor]))
  const pairs = new Map<string, Factors<T>>()
  for (const [name, factors] of groupTensors(adapter)) {
    if (name === embeddings && !weights.has(output)) refuseTied()
    pairs.set(name, toPair(name, weights.get(name), factors))
  }
  if (pairs.size === 0) throw new AppError('invalid', 'The adapter changes no tensor.')
  return pairs
}

const embeddings = 'token_embd.weight'
const output = 'output.weight'

/** llama.cpp would add the adapter where tokens are looked up, and end its process where they are predicted. */
function refuseTied(): never {
  throw new AppError('invalid', 'The adapter changes the embeddings, which are the output matrix of this model too.')
}

type Half<T> = Readonly<{ a?: T; b?: T }>

function groupTensors<T extends TensorShape>(tensors: readonly T[]): ReadonlyMap<string, Half<T>> {
  const groups = new Map<string, Half<T>>()
  for (const tensor of tensors) {
    const [, name, side] = /^(.*)\.lora_([ab])$/.exec(tensor.name) ?? []
    // llama.cpp leaves trained norms out when it serves an adapter.
    if (name === undefined && tensor.name.endsWith('_norm.weight')) continue
    if (name === undefined)
      throw new AppError('invalid', `The adapter has the tensor "${tensor.name}", which is no part of a pair.`)
    groups.set(name, { ...groups.get(name), ...(side === 'a' ? { a: tensor } : { b: tensor }) })
  }
  return groups
}

function toPair<T extends TensorShape>(name: string, weight: TensorShape | undefined, { a, b }: Half<T>): Factors<T> {
  if (a === undefined || b === undefined) throw new AppError('invalid', `The adapter has only one half for the tensor "${name}".`)
  if (weight === undefined)
    throw new AppError('invalid', `The adapter changes the tensor "${name}", which the model does not have.`)
  const isTransposed = name === embeddings
  const rank = b.shape[0] ?? 0
  const [columns, rows, ...matrices] = weight.shape
  const [wantedA, wantedB] = isTransposed
    ? [
        [rank, rows],
        [rank, columns],
      ]
    : [
        [columns, rank],
        [rank, rows],
      ]
  if (!isShape(a, [...wantedA, ...matrices]) || !isShape(b, [...wantedB, ...matrices]))
    throw new AppError(
      'invalid',
      `The adapter's factors for "${name}" are [${a.shape}] and [${b.shape}], which do not make [${weight.shape}].`,
    )
  return { a, b, rank, isTransposed }
}

/** Sizes of 1 at the end do not count. */
function isShape({ shape }: TensorShape, wanted: readonly (number | undefined)[]): boolean {
  const length = Math.max(shape.length, wanted.length)
  return Array.from({ length }, (_, index) => index).every((index) => (shape[index] ?? 1) === (wanted[index] ?? 1))
}
