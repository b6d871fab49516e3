import type { Tape, Value } from './tape.ts'

/** The adapter of a linear layer. */
export type Adapter = Readonly<{
  /** [rank, in] */
  a: Value
  /** [out, rank] */
  b: Value
  /** alpha / rank. */
  scale: number
  /** What the adapter's input is multiplied with: 0 where it is dropped; flat, [rows × in]. */
  mask: Value | undefined
}>

export type Linear = Readonly<{
  /** [out, in] */
  weight: Value
  /** [out] */
  bias: Value | undefined
  adapter: Adapter | undefined
}>

/** x·Wᵀ + bias, with the adapter's x·Aᵀ·Bᵀ·scale. Takes [rows, in], gives [rows, out]. */
export function linear(tape: Tape, x: Value, { weight, bias, adapter }: Linear): Value {
  const base = tape.operate('Gemm', [x, weight, ...(bias === undefined ? [] : [bias])], { transB: 1 })
  if (adapter === undefined) {
    return tape.connect(base, [x], (gradient) => passOn(tape, x, gradient, weight))
  }
  const { a, b, scale, mask } = adapter
  const inner = mask === undefined ? x : tape.operate('Mul', [x, mask])
  const u = tape.operate('Gemm', [inner, a], { transB: 1 })
  const y = tape.operate('Gemm', [u, b, base], { transB: 1, alpha: { float: scale } })
  return tape.connect(y, [x, a, b], (gradient) => {
    const uGradient = tape.operate('Gemm', [gradient, b], { alpha: { float: scale } })
    tape.accumulate(b, () => tape.operate('Gemm', [gradient, u], { transA: 1, alpha: { float: scale } }))
    tape.accumulate(a, () => tape.operate('Gemm', [uGradient, inner], { transA: 1 }))
    passOn(tape, x, gradient, weight)
    if (mask === undefined) passOn(tape, x, uGradient, a)
    else tape.accumulate(x, () => tape.operate('Mul', [tape.operate('Gemm', [uGradient, a]), mask]))
  })
}

/** Of x·Wᵀ to x. */
function passOn(tape: Tape, x: Value, gradient: Value, weight: Value): void {
  tape.accumulateInto(x, (before) => tape.operate('Gemm', [gradient, weight, ...(before === undefined ? [] : [before])]))
}

export type Norm = Readonly<{ weight: Value; epsilon: number }>

/** x / √(mean(x²) + ε) · weight, over the last axis (Zhang and Sennrich 2019). */
export function rmsNorm(tape: Tape, x: Value, { weight, epsilon }: Norm): Value {
  const [y = '', inverse = ''] = tape.split('SimplifiedLayerNormalization', [x, weight], 2, {
    axis: -1,
    epsilon: { float: epsilon },
  })
  return tape.connect(y, [x], (gradient) => {
    // dx = r·(w·dy) − x·r²·mean(dy·y), r being what x was divided by, inverted.
    tape.accumulate(x, () => {
      const scaled = tape.operate('Mul', [tape.operate('Mul', [gradient, weight]), inverse])
      const product = tape.operate('Mul', [gradient, y])
      const mean = tape.operate('ReduceMean', [product, tape.integers(-1)], { keepdims: 1 })
      const factor = tape.operate('Mul', [tape.operate('Mul', [inverse, inverse]), mean])
      return tape.operate('Sub', [scaled, tape.operate('Mul', [x, factor])])
    })
  })
}

export function add(tape: Tape, x: Value, y: Value): Value {
  return tape.connect(tape.operate('Add', [x, y]), [x, y], (gradient) => {
    tape.accumulate(x, () => gradient)
    tape.accumulate(y, () => gradient)
  })
}

/** The same numbers in another shape: `to`, and back in `from`. */
export function reshape(tape: Tape, x: Value, to: Value, from: Value): Value {
  return tape.connect(tape.operate('Reshape', [x, to]), [x], (gradient) =>
    tape.accumulate(x, () => tape.operate('Reshape', [gradient, from])),
  )
}

/** Exchanges the second and the third of four axes. */
export function exchangeAxes(tape: Tape, x: Value): Value {
  const exchange = (value: Value) => tape.operate('Transpose', [value], { perm: [0, 2, 1, 3] })
  return tape.connect(exchange(x), [x], (gradient) => tape.accumulate(x, () => exchange(gradient)))
}

export type Activation = 'silu' | 'gelu'

/** activation(gate) · up. */
export function gated(tape: Tape, gate: Value, up: Value, activation: Activation): Value {
  const active = activation === 'gelu' ? tape.operate('Gelu', [gate], { approximate: 'tanh' }) : silu(tape, gate)
  return tape.connect(tape.operate('Mul', [active, up]), [gate, up], (gradient) => {
    tape.accumulate(up, () => tape.operate('Mul', [gradient, active]))
    tape.accumulate(gate, () => {
      const slope = activation === 'gelu' ? geluSlope(tape, gate, active) : siluSlope(tape, gate, active)
      return tape.operate('Mul', [tape.operate('Mul', [gradient, up]), slope])
    })
  })
}

function silu(tape: Tape, x: Value): Value {
  return tape.operate('QuickGelu', [x], { alpha: { float: 1 } })
}

/** x·σ(x) has the slope s + y·(1 − s), with s = σ(x) and y the value itself. */
function siluSlope(tape: Tape, x: Value, y: Value): Value {
  return slopeFromSigmoid(tape, y, tape.operate('Sigmoid', [x]))
}

const geluFactor = 2 * Math.sqrt(2 / Math.PI)
const geluCubic = 0.044715

/** GELU by tanh is x·σ(z) with z = k·(x + c·x³): its slope is s + y·(1 − s)·z′, with s = σ(z) and y the value itself. */
function geluSlope(tape: Tape, x: Value, y: Value): Value {
  const square = tape.operate('Mul', [x, x])
  const scale = (value: Value, factor: number) => tape.operate('Mul', [value, tape.float(factor)])
  const z = tape.operate('Mul', [x, tape.operate('Add', [scale(square, geluFactor * geluCubic), tape.float(geluFactor)])])
  const zSlope = tape.operate('Add', [scale(square, 3 * geluFactor * geluCubic), tape.float(geluFactor)])
  return slopeFromSigmoid(tape, tape.operate('Mul', [y, zSlope]), tape.operate('Sigmoid', [z]))
}

function slopeFromSigmoid(tape: Tape, product: Value, sigmoid: Value): Value {
  const rest = tape.operate('Sub', [tape.float(1), sigmoid])
  return tape.operate('Add', [sigmoid, tape.operate('Mul', [product, rest])])
}
