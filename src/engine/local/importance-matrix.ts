import { AppError } from '../../errors.ts'
import type { Evaluation } from './evaluation.ts'
import type { ImportanceMatrix, Operations, Tensor } from './libllama-quantize.ts'

/** Tokens of one chunk of text. */
export const calibrationChunk = 512
/** Rows at a time. All have scores, else the last layer is computed for the last row alone. */
export const calibrationRows = 64
/** Fewer rows say too little of a chunk; llama.cpp's imatrix tool leaves them out, too. */
const fewestRows = 16
const fewestTokens = 64
/** What comes after the last layer. */
const lastNode = 'result_norm'

export type CalibrationProgress = (chunk: number, chunks: number) => void

/** Sends the text through a model whose graph is watched by an importance collector. Throws `invalid` for a text of less than 64 tokens. */
export function calibrate(model: Evaluation, text: string, report: CalibrationProgress): void {
  const tokens = model.tokenize(text)
  if (tokens.length < fewestTokens)
    throw new AppError('invalid', `The calibration text has ${tokens.length} tokens; at least ${fewestTokens} are needed.`)
  const chunks = Math.ceil(tokens.length / calibrationChunk)
  for (let index = 0; index < chunks; index += 1) {
    const chunk = tokens.slice(index * calibrationChunk, (index + 1) * calibrationChunk)
    const started = model.firstToken === undefined ? chunk : [model.firstToken, ...chunk.slice(1)]
    model.clear()
    for (let from = 0; from < started.length; from += calibrationRows)
      model.evaluate(started.slice(from, from + calibrationRows), from, true)
    report(index + 1, chunks)
  }
}

type Sums = Readonly<{ squares: Float32Array; counts: Float64Array }>

/**
 * Sums up the squares of what each weight matrix is multiplied with, column by column; for experts, those of the tokens sent to each
 * (the method of llama.cpp's tools/imatrix).
 */
export function createImportanceCollector() {
  const sums = new Map<string, Sums>()

  /**
   * The listener of a graph watcher. It asks for what is collected, and for the node after the last layer, where it ends the
   * evaluation: the scores are not needed.
   */
  function watch(operations: Operations, tensor: Tensor, asks: boolean): boolean {
    const { operation } = tensor
    const isRouted = operation === operations.multiplyById
    if (!isRouted && operation !== operations.multiply) return asks && tensor.name === lastNode
    const [weight, input] = [tensor.source(0), tensor.source(1)]
    if (weight === undefined || input === undefined || !input.isFloat32) return !asks
    const name = weightName(weight.name)
    if (!name.startsWith('blk.') || (!isRouted && input.shape[1] < fewestRows)) return !asks
    if (asks) return true
    if (isRouted) addRoutedRows(sumsOf(name, weight, weight.shape[2]), weight, input, tensor.source(2))
    else addRows(sumsOf(name, weight, 1), weight, input)
    return true
  }

  function sumsOf(name: string, { shape }: Tensor, counts: number): Sums {
    const known = sums.get(name) ?? {
      squares: new Float32Array(shape[0] * shape[2] * shape[3]),
      counts: new Float64Array(counts),
    }
    sums.set(name, known)
    return known
  }

  return { watch, matrix: (): ImportanceMatrix => new Map([...sums].map(([name, sum]) => [name, toMeans(sum)])) }
}

/** `CUDA0#blk.0.attn_k.weight#0` is a copy of `blk.0.attn_k.weight`. */
function weightName(name: string): string {
  return name.split('#')[1] ?? name
}

function addRows({ squares, counts }: Sums, weight: Tensor, input: Tensor): void {
  const [columns, rows, matrices, groups] = input.shape
  const [, , weightMatrices, weightGroups] = weight.shape
  const values = input.floats(0, reach(input))
  const [, rowStep = 0, matrixStep = 0, groupStep = 0] = input.strides.map((bytes) => bytes / Float32Array.BYTES_PER_ELEMENT)
  for (let group = 0; group < groups; group += 1) {
    for (let matrix = 0; matrix < matrices; matrix += 1) {
      const target = ((group % weightGroups) * weightMatrices + (matrix % weightMatrices)) * columns
      for (let row = 0; row < rows; row += 1)
        addSquares(squares, target, values, row * rowStep + matrix * matrixStep + group * groupStep, columns)
    }
  }
  counts[0] = (counts[0] ?? 0) + (rows * matrices * groups) / (weightMatrices * weightGroups)
}

/** `choices`: which experts each token was sent to, `[experts of a token, tokens]`. */
function addRoutedRows({ squares, counts }: Sums, weight: Tensor, input: Tensor, choices: Tensor | undefined): void {
  if (choices === undefined) return
  const [columns, inputs, tokens] = input.shape
  const values = input.floats(0, reach(input))
  const experts = choices.ints(0, reach(choices))
  const step = (tensor: Tensor, dimension: 0 | 1 | 2) => tensor.strides[dimension] / Float32Array.BYTES_PER_ELEMENT
  for (let token = 0; token < tokens; token += 1) {
    for (let choice = 0; choice < choices.shape[0]; choice += 1) {
      const expert = experts[token * step(choices, 1) + choice * step(choices, 0)] ?? -1
      if (expert < 0 || expert >= weight.shape[2])
        throw new AppError('internal', `The model chose an expert ${expert} that it does not have.`)
      counts[expert] = (counts[expert] ?? 0) + 1
      addSquares(squares, expert * columns, values, (choice % inputs) * step(input, 1) + token * step(input, 2), columns)
    }
  }
}

/** Numbers of 4 bytes from the first element of a tensor to its last, whatever lies between them. */
function reach({ shape, strides }: Tensor): number {
  const bytes = shape.reduce((sum, size, dimension) => sum + (size - 1) * (strides[dimension] ?? 0), 0)
  return bytes / Float32Array.BYTES_PER_ELEMENT + 1
}

function addSquares(sums: Float32Array, target: number, values: Float32Array, from: number, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const value = values[from + index] ?? 0
    sums[target + index] = (sums[target + index] ?? 0) + value * value
  }
}

/** An expert that no token was sent to counts as one whose columns all matter the same. */
function toMeans({ squares, counts }: Sums): Float32Array {
  const columns = squares.length / counts.length
  return squares.map((sum, index) => {
    const count = counts[Math.floor(index / columns)] ?? 0
    return count === 0 ? 1 : sum / count
  })
}
