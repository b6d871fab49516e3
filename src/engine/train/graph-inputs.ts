import { AppError } from '../../errors.ts'
import { checkBatch, chunkTargets, createDropout, createMask, createRotaryTable, type RotaryTable } from './batch-inputs.ts'
import { dropoutStride, names } from './build-graph.ts'
import type { ModelShape } from './model-shape.ts'
import type { Numbers } from './session.ts'
import type { Dropout, TokenBatch } from './trainable.ts'
import { moduleSizes } from './weights.ts'

type Inputs = Record<string, Numbers>

export type GraphInputsOptions = Readonly<{
  shape: ModelShape
  /** That have an adapter. */
  moduleCount: number
  /** Of the angles, from the file. */
  factors: Float32Array | undefined
  /** Whether the graph takes a dropout. */
  drops: boolean
}>

export type GraphInputs = (batch: TokenBatch, weights: Float32Array | undefined, dropout: Dropout | undefined) => Readonly<Inputs>

/** Turns batches into what the graph takes. Throws `internal` for a batch that does not fit the model. */
export function createGraphInputs({ shape, moduleCount, factors, drops }: GraphInputsOptions): GraphInputs {
  const rotaryInputs = createRotaryInputs(shape, factors)
  const widest = Math.max(...Object.values(moduleSizes(shape)).map(({ inputs }) => inputs))

  function dropoutInput(tokens: number, dropout: Dropout | undefined): Inputs {
    if (!drops) {
      if (dropout === undefined) return {}
      throw new AppError('internal', 'The model was opened for training without dropout.')
    }
    const count = tokens * widest + moduleCount * dropoutStride
    const data = dropout === undefined ? new Float32Array(count).fill(1) : createDropout(dropout, count)
    return { [names.dropout]: { data, shape: [count] } }
  }

  return (batch, weights, dropout) => {
    checkBatch(batch, shape.vocabulary)
    const tokens = batch.rows * batch.length
    return {
      [names.tokens]: { data: batch.tokens, shape: [tokens] },
      [names.positions]: { data: batch.positions, shape: [batch.rows, batch.length] },
      ...targetInputs(batch, weights, shape),
      ...rotaryInputs(batch.positions.reduce((most, position) => Math.max(most, position + 1), batch.length)),
      ...maskInputs(batch, shape),
      ...dropoutInput(tokens, dropout),
    }
  }
}

function targetInputs(batch: TokenBatch, given: Float32Array | undefined, { vocabulary }: ModelShape): Inputs {
  const { chunks, chunk, targetAt, targets, weights, targetOf } = chunkTargets(batch, given, vocabulary)
  const size = [chunks, chunk]
  return {
    [names.targetAt]: { data: targetAt, shape: size },
    [names.targets]: { data: targets, shape: size },
    [names.weights]: { data: weights, shape: size },
    [names.targetOf]: { data: targetOf, shape: [batch.rows * batch.length] },
  }
}

function maskInputs(batch: TokenBatch, { window }: ModelShape): Inputs {
  const size = [batch.rows, 1, batch.length, batch.length]
  const mask = createMask(batch, undefined)
  const local = window !== undefined && window < batch.length ? createMask(batch, window) : mask
  return { [names.mask.global]: { data: mask, shape: size }, [names.mask.local]: { data: local, shape: size } }
}

/** The tables of angles are made once, and again when there are more positions. */
function createRotaryInputs(shape: ModelShape, factors: Float32Array | undefined): (positions: number) => Inputs {
  const { global, local } = shape.rotary
  let made = 0
  let inputs: Inputs = {}
  return (positions) => {
    if (positions <= made) return inputs
    made = positions
    inputs = {
      ...tableInputs('global', createRotaryTable(global, shape, positions, factors), shape),
      ...(local === undefined ? {} : tableInputs('local', createRotaryTable(local, shape, positions, undefined), shape)),
    }
    return inputs
  }
}

function tableInputs(kind: 'global' | 'local', { cosine, sine, inverseSine }: RotaryTable, { headSize }: ModelShape): Inputs {
  const size = [cosine.length / (headSize / 2), headSize / 2]
  return {
    [names.rotary[kind].cosine]: { data: cosine, shape: size },
    [names.rotary[kind].sine]: { data: sine, shape: size },
    [names.rotary[kind].inverseSine]: { data: inverseSine, shape: size },
  }
}
