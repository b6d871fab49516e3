import type { OnnxValue } from '../onnx/onnx-writer.ts'
import type { Tape, Value } from './tape.ts'

/** Which hidden states are looked at, and what comes there; in chunks, the last filled up with targets that weigh nothing. */
export type HeadInputs = Readonly<{
  /** Rows of the hidden states. int32 [chunks, chunk] */
  targetAt: Value
  /** int32 [chunks, chunk] */
  targets: Value
  /** [chunks, chunk]; only where gradients are wanted. */
  weights: Value | undefined
  /**
   * Where in the chunks each row of the hidden states is looked at; the index of a target that weighs nothing for those that are
   * not. int32 [rows]; only where gradients are wanted.
   */
  targetOf: Value | undefined
}>

export type Head = Readonly<{
  /** [rows, width] */
  hidden: Value
  /** [vocabulary, width] */
  weight: Value
  width: number
}>

/**
 * The logarithms of the targets' probabilities, [chunks, chunk], and the gradient of −Σ weight · logprob. A chunk is gone forward
 * and backward at once: its scores over the whole vocabulary are in memory only that long.
 */
export function predictTargets(tape: Tape, { hidden, weight, width }: Head, inputs: HeadInputs): Value {
  const { targetAt, targets, weights, targetOf } = inputs
  const differentiates = weights !== undefined && targetOf !== undefined
  const chunk = (name: string, type: OnnxValue['type'], ...more: number[]): OnnxValue => ({
    name,
    type,
    shape: ['chunk', ...more],
  })
  const bodyInputs = [
    chunk('chunk at', 'int32'),
    chunk('chunk targets', 'int32'),
    ...(differentiates ? [chunk('chunk weights', 'float32')] : []),
  ]
  const body = tape.body('predict', bodyInputs, () => {
    const rows = tape.operate('Gather', [hidden, 'chunk at'], { axis: 0 })
    const scores = tape.operate('Gemm', [rows, weight], { transB: 1 })
    const shares = tape.operate('Softmax', [scores], { axis: -1 })
    const outputs = [chunk(logprobsOf(tape, scores, shares), 'float32')]
    if (!differentiates) return outputs
    // Σ over the vocabulary of (share − is target)·weight, without another matrix of that size.
    const mean = tape.operate('Gemm', [shares, weight])
    const expected = tape.operate('Gather', [weight, 'chunk targets'], { axis: 0 })
    const factor = tape.operate('Unsqueeze', ['chunk weights', tape.integers(1)])
    const gradient = tape.operate('Mul', [tape.operate('Sub', [mean, expected]), factor])
    return [...outputs, chunk(gradient, 'float32', width)]
  })
  const scanned = [targetAt, targets, ...(differentiates ? [weights] : [])]
  const attributes = { body: { body }, num_scan_inputs: scanned.length }
  const [logprobs = '', gradients = ''] = tape.split('Scan', scanned, body.outputs.length, attributes)
  if (differentiates) {
    tape.accumulate(hidden, () => {
      const flat = tape.operate('Reshape', [gradients, tape.integers(-1, width)])
      // Not added row by row: that would be in no fixed order.
      return tape.operate('Gather', [flat, targetOf], { axis: 0 })
    })
  }
  return logprobs
}

/** log softmax at the targets: score − largest score + log(largest share), which loses nothing where the share is tiny. */
function logprobsOf(tape: Tape, scores: Value, shares: Value): Value {
  const index = tape.operate('Unsqueeze', ['chunk targets', tape.integers(1)])
  const target = tape.operate('GatherElements', [scores, index], { axis: 1 })
  const largest = (value: Value) => tape.operate('ReduceMax', [value, tape.integers(1)], { keepdims: 1 })
  const relative = tape.operate('Sub', [target, largest(scores)])
  const logprobs = tape.operate('Add', [relative, tape.operate('Log', [largest(shares)])])
  return tape.operate('Squeeze', [logprobs, tape.integers(1)])
}
