import { exchangeAxes, reshape } from './layers.ts'
import type { Tape, Value } from './tape.ts'

export type HeadCounts = Readonly<{ heads: number; keyValueHeads: number; headSize: number }>

/** What attention needs to know of the batch. */
export type AttentionInputs = Readonly<{
  /** Of each token in its text. [rows, length] */
  positions: Value
  /** Rows and length, as a shape. */
  rowShape: Value
  /** [length, headSize / 2] each; the sine also with its sign changed. */
  rotary: Readonly<{ cosine: Value; sine: Value; inverseSine: Value }> | undefined
  /** Added to the scores: 0 where a token may look. [rows, 1, length, length] */
  mask: Value
}>

/** [rows × length, heads × size] as [rows, length, heads × size], each pair of numbers turned by its token's angle (Su et al. 2021). */
export function rotate(tape: Tape, x: Value, width: number, inputs: AttentionInputs): Value {
  const wide = tape.operate('Concat', [inputs.rowShape, tape.integers(width)], { axis: 0 })
  const rows = reshape(tape, x, wide, tape.integers(-1, width))
  if (inputs.rotary === undefined) return rows
  const { cosine, sine, inverseSine } = inputs.rotary
  const turn = (value: Value, by: Value) => tape.operate('RotaryEmbedding', [value, inputs.positions, cosine, by])
  return tape.connect(turn(rows, sine), [rows], (gradient) => tape.accumulate(rows, () => turn(gradient, inverseSine)))
}

/**
 * Attention of grouped heads (Ainslie et al. 2023) over [rows, length, heads × size], to [rows × length, heads × size].
 * The queries of a group lie below each other, so that one product with the keys serves them all.
 */
export function attend(
  tape: Tape,
  { query, key, value }: Readonly<{ query: Value; key: Value; value: Value }>,
  counts: HeadCounts,
  scale: number,
  inputs: AttentionInputs,
): Value {
  const { heads, keyValueHeads, headSize } = counts
  const toHeads = (x: Value, count: number) => {
    const split = reshape(tape, x, tape.integers(0, 0, count, headSize), tape.integers(0, 0, count * headSize))
    return exchangeAxes(tape, split)
  }
  const grouped = tape.integers(0, keyValueHeads, -1, headSize)
  const apart = tape.integers(0, heads, -1, headSize)
  const queries = reshape(tape, toHeads(query, heads), grouped, apart)
  const keys = toHeads(key, keyValueHeads)
  const values = toHeads(value, keyValueHeads)
  const mixed = mix(tape, { queries, keys, values }, counts, scale, inputs)
  const joined = exchangeAxes(tape, reshape(tape, mixed, apart, grouped))
  const wide = tape.operate('Concat', [inputs.rowShape, tape.integers(heads, headSize)], { axis: 0 })
  return reshape(tape, joined, tape.integers(-1, heads * headSize), wide)
}

type Grouped = Readonly<{ queries: Value; keys: Value; values: Value }>

/** softmax(scale·Q·Kᵀ + mask)·V, all of [rows, keyValueHeads, …, headSize]. */
function mix(
  tape: Tape,
  { queries, keys, values }: Grouped,
  { heads, keyValueHeads }: HeadCounts,
  scale: number,
  inputs: AttentionInputs,
): Value {
  const multiply = (a: Value, b: Value, attributes: Readonly<{ transA?: number; transB?: number; scaled?: boolean }> = {}) => {
    const { scaled = false, ...transposed } = attributes
    return tape.operate('FusedMatMul', [a, b], { ...transposed, alpha: { float: scaled ? scale : 1 } })
  }
  const at = (index: number) => tape.operate('Gather', [inputs.rowShape, tape.integers(index)], { axis: 0 })
  const [rows, length] = [at(0), at(1)]
  const square = tape.operate('Concat', [rows, tape.integers(heads), length, length], { axis: 0 })
  const grouped = tape.operate('Concat', [rows, tape.integers(keyValueHeads, -1), length], { axis: 0 })
  const scores = tape.operate('Reshape', [multiply(queries, keys, { transB: 1, scaled: true }), square])
  const masked = tape.operate('Add', [scores, inputs.mask])
  const shares = tape.operate('Reshape', [tape.operate('Softmax', [masked], { axis: -1 }), grouped])
  const mixed = multiply(shares, values)
  return tape.connect(mixed, [queries, keys, values], (gradient) => {
    tape.accumulate(values, () => multiply(shares, gradient, { transA: 1 }))
    if (!tape.hasGradient(queries) && !tape.hasGradient(keys)) return
    // Σ dP·P over a row is Σ dO·O (Dao et al. 2022), which needs no other large matrix.
    const product = tape.operate('Mul', [gradient, mixed])
    const sum = tape.operate('ReduceSum', [product, tape.integers(-1)], { keepdims: 1 })
    const difference = tape.operate('Sub', [multiply(gradient, values, { transB: 1 }), sum])
    const scoreGradient = tape.operate('Mul', [shares, difference])
    tape.accumulate(queries, () => multiply(scoreGradient, keys, { scaled: true }))
    tape.accumulate(keys, () => multiply(scoreGradient, queries, { transA: 1, scaled: true }))
  })
}
