import { AppError } from '../../errors.ts'
import type { GgufHeader, GgufTensor } from '../gguf/gguf-header.ts'

/** The two factors of what an adapter adds to a matrix: scale · B · A. Shapes are those of the file, the fastest dimension first. */
export type LowRank = Readonly<{
  /** [columns, rank] */
  a: GgufTensor
  /** [rank, rows] */
  b: GgufTensor
  scale: number
  /** The embeddings of tokens, which are looked up: a is [rank, rows], and b is [rank, columns]. */
  isTransposed: boolean
}>

/** By the name of the tensor in the base. */
export type AdapterPairs = ReadonlyMap<string, LowRank>

/** An adapter that llama.cpp switches on behind these tokens only. */
const activation = 'adapter.alora.invocation_tokens'

/** What the adapter adds to which tensors of the base. Throws `invalid` where llama.cpp would refuse it, and when it is not always on. */
export function readAdapterPairs(adapter: GgufHeader, base: GgufHeader): AdapterPairs {
  const { metadata } = adapter
  const [type, kind] = [metadata.get('general.type'), metadata.get('adapter.type')]
  if (type !== 'adapter' || kind !== 'lora') throw new AppError('invalid', 'The second file is no LoRA adapter.')
  const [made, given] = [adapter, base].map((header) => header.metadata.get('general.architecture'))
  if (made !== given) throw new AppError('invalid', `The adapter is made for ${made}, but the model is ${given}.`)
  if (metadata.has(activation))
    throw new AppError('invalid', 'The adapter is switched on by certain tokens, so it cannot be merged.')
  const alpha = metadata.get('adapter.lora.alpha')
  const pairs = new Map<string, LowRank>()
  for (const [name, tensors] of groupTensors(adapter.tensors)) {
    refuseTied(name, base)
    const weight = base.tensors.find((tensor) => tensor.name === name)
    pairs.set(name, toPair(name, weight, tensors, typeof alpha === 'number' ? alpha : 0))
  }
  if (pairs.size === 0) throw new AppError('invalid', 'The adapter changes no tensor.')
  return pairs
}

const embeddings = 'token_embd.weight'

/** llama.cpp would add the adapter where tokens are looked up, and not where they are predicted. */
function refuseTied(name: string, { tensors }: GgufHeader): void {
  if (name !== embeddings || tensors.some((tensor) => tensor.name === 'output.weight')) return
  throw new AppError('invalid', 'The adapter changes the embeddings, which are the output matrix of this model too.')
}

type Factors = Readonly<{ a?: GgufTensor; b?: GgufTensor }>

function groupTensors(tensors: readonly GgufTensor[]): ReadonlyMap<string, Factors> {
  const groups = new Map<string, Factors>()
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

function toPair(name: string, weight: GgufTensor | undefined, { a, b }: Factors, alpha: number): LowRank {
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
  return { a, b, isTransposed, scale: alpha === 0 ? 1 : alpha / rank }
}

/** Sizes of 1 at the end do not count. */
function isShape({ shape }: GgufTensor, wanted: readonly (number | undefined)[]): boolean {
  const length = Math.max(shape.length, wanted.length)
  return Array.from({ length }, (_, index) => index).every((index) => (shape[index] ?? 1) === (wanted[index] ?? 1))
}
