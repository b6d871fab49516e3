import { AppError } from '../../errors.ts'
import type {
  OnnxAttribute,
  OnnxBody,
  OnnxGraph,
  OnnxInitializer,
  OnnxNode,
  OnnxNumberType,
  OnnxValue,
} from '../onnx/onnx-writer.ts'

/** The name of a value in the graph. */
export type Value = string

export type Attributes = Readonly<Record<string, OnnxAttribute>>

/**
 * Writes down the operators of a graph, and how gradients go back through them (reverse-mode differentiation). A value has a
 * gradient when it depends on a parameter.
 */
export interface Tape {
  input(name: string, type: OnnxNumberType, shape: OnnxValue['shape']): Value
  output(value: Value, name: string, type: OnnxNumberType, shape: OnnxValue['shape']): void
  /** An input that gets a gradient. */
  parameter(name: string, shape: OnnxValue['shape']): Value
  float(value: number): Value
  /** A list of whole numbers: a shape, axes. */
  integers(...values: readonly number[]): Value
  operate(operator: string, inputs: readonly Value[], attributes?: Attributes): Value
  /** An operator with several outputs. */
  split(operator: string, inputs: readonly Value[], outputs: number, attributes?: Attributes): readonly Value[]
  /** The operators that `write` uses, as a graph of their own; it may use the values of this one. */
  body(name: string, inputs: readonly OnnxValue[], write: () => readonly OnnxValue[]): OnnxBody
  /**
   * Says that `output` depends on these values, and how its gradient is handed on to them; `backward` is called once it is
   * known, and not when none of them depends on a parameter. Returns the output.
   */
  connect(output: Value, sources: readonly Value[], backward: (gradient: Value) => void): Value
  hasGradient(value: Value): boolean
  /** Adds to what the gradient of a value is so far. Of values without a gradient it is left out. */
  accumulate(value: Value, makeGradient: () => Value): void
  /** As `accumulate`, for an operator that adds by itself: it is given what there is so far. */
  accumulateInto(value: Value, makeGradient: (before: Value | undefined) => Value): void
  /** Writes the operators of all gradients; their values by the names of the parameters. To be called once. */
  differentiate(): ReadonlyMap<string, Value>
  graph(name: string): OnnxGraph
}

/** Operators that only ONNX Runtime has. */
const runtimeOperators = new Set(['FusedMatMul', 'RotaryEmbedding', 'QuickGelu'])

export function createTape(): Tape {
  let nodes: OnnxNode[] = []
  const inputs: OnnxValue[] = []
  const outputs: OnnxValue[] = []
  const constants = new Map<string, OnnxInitializer>()
  const parameters: string[] = []
  const differentiable = new Set<Value>()
  const gradients = new Map<Value, Value>()
  const steps: Array<Readonly<{ output: Value; backward: (gradient: Value) => void }>> = []
  let count = 0

  function split(operator: string, from: readonly Value[], outputCount: number, attributes: Attributes = {}): readonly Value[] {
    const names = Array.from({ length: outputCount }, (_, index) => `${operator}.${count + index}`)
    count += outputCount
    const domain = runtimeOperators.has(operator) ? { domain: 'com.microsoft' } : {}
    nodes.push({ operator, inputs: from, outputs: names, attributes, ...domain })
    return names
  }

  const operate = (operator: string, from: readonly Value[], attributes?: Attributes): Value =>
    split(operator, from, 1, attributes)[0] ?? ''

  function constant(name: string, type: OnnxNumberType, shape: readonly number[], bytes: Uint8Array): Value {
    constants.set(name, {
      name,
      type,
      shape,
      async *produce() {
        yield bytes
      },
    })
    return name
  }

  function accumulateInto(value: Value, makeGradient: (before: Value | undefined) => Value): void {
    if (differentiable.has(value)) gradients.set(value, makeGradient(gradients.get(value)))
  }

  return {
    input(name, type, shape) {
      inputs.push({ name, type, shape })
      return name
    },
    output(value, name, type, shape) {
      nodes.push({ operator: 'Identity', inputs: [value], outputs: [name] })
      outputs.push({ name, type, shape })
    },
    parameter(name, shape) {
      inputs.push({ name, type: 'float32', shape })
      parameters.push(name)
      differentiable.add(name)
      return name
    },
    float: (value) => constant(`float ${value}`, 'float32', [], new Uint8Array(Float32Array.of(value).buffer)),
    integers(...values) {
      const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
      return constant(`integers ${values}`, 'int64', [values.length], bytes)
    },
    operate,
    split,
    body(name, bodyInputs, write) {
      const around = nodes
      nodes = []
      const bodyOutputs = write()
      const body = { name, nodes, inputs: bodyInputs, outputs: bodyOutputs }
      nodes = around
      return body
    },
    connect(output, sources, backward) {
      if (sources.some((source) => differentiable.has(source))) {
        differentiable.add(output)
        steps.push({ output, backward })
      }
      return output
    },
    hasGradient: (value) => differentiable.has(value),
    accumulate: (value, makeGradient) =>
      accumulateInto(value, (before) => {
        const gradient = makeGradient()
        return before === undefined ? gradient : operate('Add', [before, gradient])
      }),
    accumulateInto,
    differentiate() {
      for (const { output, backward } of steps.splice(0).reverse()) {
        const gradient = gradients.get(output)
        if (gradient !== undefined) backward(gradient)
        // Nothing is added to it any more.
        gradients.delete(output)
      }
      return new Map(parameters.map((name) => [name, gradients.get(name) ?? noGradient(name)]))
    },
    graph: (name) => ({ name, nodes, inputs, outputs, initializers: [...constants.values()] }),
  }
}

function noGradient(name: string): never {
  throw new AppError('internal', `The loss does not depend on the parameter "${name}".`)
}
