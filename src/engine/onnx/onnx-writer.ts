import { AppError } from '../../errors.ts'
import { writeBeside } from '../disk.ts'
import { floatField, lengthPrefix, messageField, numberField, textField } from './protobuf.ts'

// The numbers of fields and types are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).

export type OnnxAttribute = number | string | readonly number[] | Readonly<{ float: number }> | Readonly<{ body: OnnxBody }>

/** One operator. An empty input name stands for an optional input that is not given. */
export type OnnxNode = Readonly<{
  operator: string
  /** Whose operator it is, as `com.microsoft`; without: the standard's. */
  domain?: string
  inputs: readonly string[]
  outputs: readonly string[]
  /** A plain number is a whole one. */
  attributes?: Readonly<Record<string, OnnxAttribute>>
}>

const numberTypes = { float32: { id: 1, bytes: 4 }, int32: { id: 6, bytes: 4 }, int64: { id: 7, bytes: 8 } } as const
export type OnnxNumberType = keyof typeof numberTypes

/** An input or output. A text in its shape names a size that is known only at run time. */
export type OnnxValue = Readonly<{ name: string; type: OnnxNumberType; shape: readonly (number | string)[] }>

/** A constant. `produce` gives its bytes (little-endian, row by row) once, when those before it are written. */
export type OnnxInitializer = Readonly<{
  name: string
  type: OnnxNumberType
  shape: readonly number[]
  produce(): AsyncIterable<Uint8Array>
}>

/** A constant whose bytes lie elsewhere: whoever loads the graph gives them by the `location`. */
export type OnnxExternal = Readonly<{ name: string; type: OnnxNumberType; shape: readonly number[]; location: string }>

/** The graph of an operator that repeats it. It sees the values of the graph around it. */
export type OnnxBody = Readonly<{
  name: string
  nodes: readonly OnnxNode[]
  inputs: readonly OnnxValue[]
  outputs: readonly OnnxValue[]
}>

export type OnnxGraph = OnnxBody & Readonly<{ initializers: readonly OnnxInitializer[]; externals?: readonly OnnxExternal[] }>

export type InitializerWritten = Readonly<{ type: 'tensor-written'; done: number; total: number; bytes: number }>

/** Version of the file format, and of the operators: 20 is the first that has Gelu. */
const irVersion = 9
const opsetVersion = 20
/** Of the operators of other domains. */
const otherVersion = 1
/** Protobuf counts a message's bytes in a signed 32-bit number. */
const mostBytes = 2 ** 31 - 1

/**
 * Writes a graph with its constants as one ONNX file, beside its place and then renamed; at no moment is more in memory than
 * what `produce` gives at once. Throws `too_large` over 2 GiB, `invalid` when a constant gives other bytes than its shape
 * needs, `storage_full`, `aborted`.
 */
export async function writeOnnx(
  target: string,
  graph: OnnxGraph,
  report: (event: InitializerWritten) => void,
  signal?: AbortSignal,
): Promise<void> {
  await writeBeside(target, encode(graph, report), signal)
}

/** The bytes that `writeOnnx` would write, in memory. */
export async function encodeOnnx(graph: OnnxGraph): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of encode(graph, () => {})) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function* encode(graph: OnnxGraph, report: (event: InitializerWritten) => void): AsyncGenerator<Uint8Array> {
  const domains = new Set(['', ...graph.nodes.map(({ domain = '' }) => domain)])
  const head = Buffer.concat([
    numberField(1, irVersion),
    textField(2, 'simpleia'),
    ...[...domains].map((domain) =>
      messageField(8, textField(1, domain), numberField(2, domain === '' ? opsetVersion : otherVersion)),
    ),
  ])
  const structure = Buffer.concat([encodeBody(graph), ...(graph.externals ?? []).map(encodeExternal)])
  const constants = graph.initializers.map((initializer) => ({ initializer, prefix: encodeInitializerHead(initializer) }))
  const graphBytes = constants.reduce(
    (sum, { initializer, prefix }) => sum + prefix.length + sizeOf(initializer),
    structure.length,
  )
  if (graphBytes + head.length > mostBytes)
    throw new AppError(
      'too_large',
      `The model would be an ONNX file of ${graphBytes} bytes; at most ${mostBytes} can be written.`,
    )
  yield Buffer.concat([head, lengthPrefix(7, graphBytes), structure])
  let bytes = head.length + structure.length
  for (const [index, { initializer, prefix }] of constants.entries()) {
    yield prefix
    yield* contentsOf(initializer)
    bytes += prefix.length + sizeOf(initializer)
    report({ type: 'tensor-written', done: index + 1, total: constants.length, bytes })
  }
}

async function* contentsOf(initializer: OnnxInitializer): AsyncGenerator<Uint8Array> {
  const expected = sizeOf(initializer)
  let written = 0
  for await (const piece of initializer.produce()) {
    written += piece.length
    if (written > expected) break
    yield piece
  }
  if (written !== expected)
    throw new AppError('invalid', `Tensor "${initializer.name}" should be of ${expected} bytes, but gave ${written} or more.`)
}

function sizeOf({ type, shape }: OnnxInitializer): number {
  return shape.reduce((product, size) => product * size, numberTypes[type].bytes)
}

/** A TensorProto up to its raw bytes, which come last. */
function encodeInitializerHead(initializer: OnnxInitializer): Buffer {
  const { name, type, shape } = initializer
  const size = sizeOf(initializer)
  const fields = Buffer.concat([
    ...shape.map((length) => numberField(1, length)),
    numberField(2, numberTypes[type].id),
    textField(8, name),
    lengthPrefix(9, size),
  ])
  return Buffer.concat([lengthPrefix(5, fields.length + size), fields])
}

function encodeBody({ name, nodes, inputs, outputs }: OnnxBody): Buffer {
  return Buffer.concat([
    ...nodes.map(encodeNode),
    textField(2, name),
    ...inputs.map((value) => encodeValue(11, value)),
    ...outputs.map((value) => encodeValue(12, value)),
  ])
}

function encodeExternal({ name, type, shape, location }: OnnxExternal): Buffer {
  const entry = (key: string, value: string) => messageField(13, textField(1, key), textField(2, value))
  return messageField(
    5,
    ...shape.map((length) => numberField(1, length)),
    numberField(2, numberTypes[type].id),
    textField(8, name),
    entry('location', location),
    numberField(14, 1),
  )
}

function encodeNode({ operator, domain, inputs, outputs, attributes = {} }: OnnxNode): Buffer {
  return messageField(
    1,
    ...inputs.map((name) => textField(1, name)),
    ...outputs.map((name) => textField(2, name)),
    textField(3, outputs[0] ?? operator),
    textField(4, operator),
    ...Object.entries(attributes).map(([name, value]) => messageField(5, textField(1, name), ...encodeAttribute(value))),
    ...(domain === undefined ? [] : [textField(7, domain)]),
  )
}

function encodeAttribute(value: OnnxAttribute): readonly Buffer[] {
  if (typeof value === 'number') return [numberField(3, value), numberField(20, 2)]
  if (typeof value === 'string') return [textField(4, value), numberField(20, 3)]
  if ('float' in value) return [floatField(2, value.float), numberField(20, 1)]
  if ('body' in value) return [messageField(6, encodeBody(value.body)), numberField(20, 5)]
  return [...value.map((item) => numberField(8, item)), numberField(20, 7)]
}

function encodeValue(field: number, { name, type, shape }: OnnxValue): Buffer {
  const sizes = shape.map((size) => messageField(1, typeof size === 'string' ? textField(2, size) : numberField(1, size)))
  const tensor = messageField(1, numberField(1, numberTypes[type].id), messageField(2, ...sizes))
  return messageField(field, textField(1, name), messageField(2, tensor))
}
