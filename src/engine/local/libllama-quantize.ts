import { join } from 'node:path'
import koffi from 'koffi'
import { AppError } from '../../errors.ts'
import { howToInstall, libraryFile, libraryVersion, type Pointer, viewFloats, viewInts } from './libllama.ts'

// The other half of the border to llama.cpp: making smaller models, and watching a model compute. Like libllama.ts it follows
// include/llama.h and ggml/include/ggml.h of one version, and casts what koffi gives untyped.

/** The mean of the squares that each column of a weight is multiplied with, by the weight's name; several experts one after the other. */
export type ImportanceMatrix = ReadonlyMap<string, Float32Array>

export type QuantizeParameters = Readonly<{
  source: string
  target: string
  /** `llama_ftype`. */
  fileType: number
  threads: number
  matrix: ImportanceMatrix | undefined
  /** Only computes how large the result would be, and says so in the log. */
  dryRun: boolean
}>

export interface Quantizer {
  /** Whether it went well; if not, the log says why. Blocks until the file is written. */
  quantize(parameters: QuantizeParameters): boolean
}

/** Memory for the rows that are converted at a time. */
const bufferBytes = 512 * 1024 ** 2

const quantizeParams = {
  nthread: 'int',
  ftype: 'int',
  output_tensor_type: 'int',
  token_embedding_type: 'int',
  allow_requantize: 'bool',
  quantize_output_tensor: 'bool',
  only_copy: 'bool',
  pure: 'bool',
  keep_split: 'bool',
  dry_run: 'bool',
  imatrix: 'llama_model_imatrix_data *',
  kv_overrides: 'void *',
  tt_overrides: 'void *',
  prune_layers: 'void *',
  max_buf_size: 'size_t',
}

const expectedParams = {
  nthread: 0,
  ftype: 7,
  output_tensor_type: 43,
  token_embedding_type: 43,
  allow_requantize: false,
  quantize_output_tensor: true,
  dry_run: false,
  max_buf_size: 8 * 1024 ** 3,
}

/**
 * The part of the library that makes quantized files; to be called once, after `openLibrary`.
 * Throws `unavailable` when the library's parameters are not those declared here.
 */
export function openQuantizer(folder: string): Quantizer {
  const library = koffi.load(join(folder, libraryFile(folder)('llama')))
  koffi.struct('llama_model_imatrix_data', { name: 'const char *', data: 'float *', size: 'size_t' })
  koffi.struct('llama_model_quantize_params', quantizeParams)
  const defaultParams = library.func('llama_model_quantize_params llama_model_quantize_default_params()')
  const quantize = library.func(
    'uint32_t llama_model_quantize(const char *source, const char *target, llama_model_quantize_params *params)',
  )
  const defaults = defaultParams() as Readonly<Record<string, unknown>>
  if (Object.entries(expectedParams).some(([name, value]) => defaults[name] !== value))
    throw otherVersion('quantization parameters')
  return {
    quantize({ source, target, fileType, threads, matrix, dryRun }) {
      const params = { ...defaults, nthread: threads, ftype: fileType, allow_requantize: true, dry_run: dryRun }
      return quantize(source, target, { ...params, imatrix: toEntries(matrix), max_buf_size: bufferBytes }) === 0
    },
  }
}

/** The list ends with an entry that has no name. */
function toEntries(matrix: ImportanceMatrix | undefined) {
  if (matrix === undefined) return null
  const entries = [...matrix].map(([name, data]) => ({ name, data, size: data.length }))
  return [...entries, { name: null, data: null, size: 0 }]
}

function otherVersion(what: string): AppError {
  return new AppError('unavailable', `The llama.cpp library is not ${libraryVersion}: its ${what} differ. ${howToInstall()}`)
}

// struct ggml_tensor, by bytes: it is read for each node of each graph, which is too often to decode it whole.
const tensorBytes = 336
const objectBytes = 32
const offsets = { type: 0, shape: 16, strides: 48, operation: 80, sources: 152, data: 248 }
const float32 = 0

/** A node of the graph that the library computes. Valid during the callback that got it. */
export interface Tensor {
  readonly name: string
  /** `GGML_OP_…` as a number, see `operations`. */
  readonly operation: number
  readonly isFloat32: boolean
  /** Elements in each of the four dimensions, the innermost first. */
  readonly shape: readonly [number, number, number, number]
  /** Bytes from one element to the next in each dimension. */
  readonly strides: readonly [number, number, number, number]
  source(index: number): Tensor | undefined
  /** So many numbers from this byte of its data on, in the library's memory. */
  floats(offset: number, length: number): Float32Array
  ints(offset: number, length: number): Int32Array
}

export type Operations = Readonly<{ multiply: number; multiplyById: number }>

export interface GraphWatcher {
  readonly operations: Operations
  /** For `cb_eval` of a context. */
  readonly callback: Pointer
  close(): void
}

/**
 * Calls `listener` while a context that has this `callback` evaluates a batch: first with `asks` for each node, whether its data
 * are wanted; then, once it is computed, again, whether to go on. The scheduler of ggml calls it on the thread that called
 * `llama_decode`, between two parts of the graph, so JavaScript is there to answer.
 */
export function createGraphWatcher(folder: string, listener: (tensor: Tensor, asks: boolean) => boolean): GraphWatcher {
  const library = koffi.load(join(folder, libraryFile(folder)('ggml-base')))
  const overhead = library.func('size_t ggml_tensor_overhead()')
  if (overhead() !== tensorBytes + objectBytes) throw otherVersion('tensors')
  const getName = library.func('const char *ggml_get_name(void *tensor)') as (address: Pointer) => string
  const nameOf = library.func('const char *ggml_op_name(int operation)') as (operation: number) => string
  const prototype = koffi.proto('bool ggml_backend_sched_eval_callback(void *tensor, bool ask, void *data)')
  const callback = koffi.register(
    (address: Pointer, asks: boolean) => listener(toTensor(address, getName), asks),
    koffi.pointer(prototype),
  )
  return {
    operations: { multiply: findOperation(nameOf, 'MUL_MAT'), multiplyById: findOperation(nameOf, 'MUL_MAT_ID') },
    callback: callback as unknown as Pointer,
    close: () => koffi.unregister(callback),
  }
}

function findOperation(nameOf: (operation: number) => string, name: string): number {
  for (let operation = 0; operation < 64; operation += 1) if (nameOf(operation) === name) return operation
  throw otherVersion('operations')
}

function toTensor(address: Pointer, getName: (address: Pointer) => string): Tensor {
  const view = new DataView(koffi.view(address, tensorBytes))
  const four = (offset: number) => {
    const at = (index: number) => Number(view.getBigInt64(offset + index * 8, true))
    return [at(0), at(1), at(2), at(3)] as const
  }
  const data = (offset: number) => (view.getBigUint64(offsets.data, true) + BigInt(offset)) as unknown as Pointer
  return {
    get name() {
      return getName(address)
    },
    operation: view.getInt32(offsets.operation, true),
    isFloat32: view.getInt32(offsets.type, true) === float32,
    get shape() {
      return four(offsets.shape)
    },
    get strides() {
      return four(offsets.strides)
    },
    source(index) {
      const source = view.getBigUint64(offsets.sources + index * 8, true)
      return source === 0n ? undefined : toTensor(source as unknown as Pointer, getName)
    },
    floats: (offset, length) => viewFloats(data(offset), length),
    ints: (offset, length) => viewInts(data(offset), length),
  }
}
