import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import koffi from 'koffi'
import { AppError } from '../../errors.ts'

// The border to llama.cpp's C interface, at exactly one version: the only file that knows its structs and functions.
// koffi gives untyped values, so this file casts them; the types it exports are what the header (include/llama.h) says.

/** The release of llama.cpp whose header the declarations below follow. */
export const libraryVersion = 'v0.4.0'
export const packageVersion = '3.21.1'

/** An address in the library's memory. */
export type Pointer = Readonly<{ __pointer: never }> | null

export type ModelParams = Readonly<Record<string, unknown>>
export type ContextParams = Readonly<Record<string, unknown>>
export type Batch = { n_tokens: number; token: Pointer; pos: Pointer; n_seq_id: Pointer; seq_id: Pointer; logits: Pointer }

const pointer = 'void *'

const modelParams = {
  devices: pointer,
  tensor_buft_overrides: pointer,
  n_gpu_layers: 'int',
  split_mode: 'int',
  load_mode: 'int',
  lazy_mode: 'int',
  main_gpu: 'int',
  tensor_split: pointer,
  progress_callback: pointer,
  progress_callback_user_data: pointer,
  kv_overrides: pointer,
  vocab_only: 'bool',
  check_tensors: 'bool',
  use_extra_bufts: 'bool',
  no_host: 'bool',
  no_alloc: 'bool',
  load_mtp: 'bool',
}

const contextParams = {
  n_ctx: 'uint',
  n_batch: 'uint',
  n_ubatch: 'uint',
  n_seq_max: 'uint',
  n_rs_seq: 'uint',
  n_outputs_max: 'uint',
  n_outputs_max_per_seq: 'uint',
  n_threads: 'int',
  n_threads_batch: 'int',
  ctx_type: 'int',
  rope_scaling_type: 'int',
  pooling_type: 'int',
  attention_type: 'int',
  flash_attn_type: 'int',
  rope_freq_base: 'float',
  rope_freq_scale: 'float',
  yarn_ext_factor: 'float',
  yarn_attn_factor: 'float',
  yarn_beta_fast: 'float',
  yarn_beta_slow: 'float',
  yarn_orig_ctx: 'uint',
  defrag_thold: 'float',
  cb_eval: pointer,
  cb_eval_user_data: pointer,
  type_k: 'int',
  type_v: 'int',
  abort_callback: pointer,
  abort_callback_data: pointer,
  embeddings: 'bool',
  offload_kqv: 'bool',
  no_perf: 'bool',
  op_offload: 'bool',
  swa_full: 'bool',
  kv_unified: 'bool',
  samplers: pointer,
  n_samplers: 'size_t',
  ctx_other: pointer,
}

const batch = {
  n_tokens: 'int',
  token: pointer,
  embd: pointer,
  pos: pointer,
  n_seq_id: pointer,
  seq_id: pointer,
  logits: pointer,
}

/** What the library must say of itself, so that a struct that has changed is noticed before it does harm. */
const expectedModel = { n_gpu_layers: -1, split_mode: 1, load_mode: -1, main_gpu: 0, vocab_only: false, use_extra_bufts: true }
const expectedContext = { n_ctx: 512, n_batch: 2048, n_ubatch: 512, n_seq_max: 1, flash_attn_type: -1, type_k: 1, type_v: 1 }
const expectedContextEnd = {
  yarn_beta_fast: -1,
  offload_kqv: true,
  op_offload: true,
  swa_full: true,
  kv_unified: false,
  n_samplers: 0,
}

const types = {
  int: 'int',
  uint: 'uint',
  bool: 'bool',
  text: 'const char *',
  pointer,
  long: 'uint64_t',
  size: 'size_t',
  none: 'void',
  float: 'float',
  model: 'llama_model_params',
  context: 'llama_context_params',
  batch: 'llama_batch',
  ints: '_Out_ int *',
  bytes: '_Out_ uint8_t *',
  buffer: 'void *',
} as const

type Argument = keyof typeof types

/** Result and arguments of each function, in the header's order. */
const signatures = {
  llama_backend_init: ['none'],
  llama_print_system_info: ['text'],
  llama_model_default_params: ['model'],
  llama_context_default_params: ['context'],
  llama_model_load_from_file: ['pointer', 'text', 'model'],
  llama_model_free: ['none', 'pointer'],
  llama_adapter_lora_init: ['pointer', 'pointer', 'text'],
  llama_set_adapters_lora: ['int', 'pointer', 'buffer', 'size', 'buffer'],
  llama_init_from_model: ['pointer', 'pointer', 'context'],
  llama_free: ['none', 'pointer'],
  llama_model_get_vocab: ['pointer', 'pointer'],
  llama_model_n_ctx_train: ['int', 'pointer'],
  llama_model_n_swa: ['int', 'pointer'],
  llama_model_n_layer: ['int', 'pointer'],
  llama_model_n_head: ['int', 'pointer'],
  llama_model_n_head_kv: ['int', 'pointer'],
  llama_model_n_embd: ['int', 'pointer'],
  llama_model_n_embd_out: ['int', 'pointer'],
  llama_model_n_params: ['long', 'pointer'],
  llama_model_size: ['long', 'pointer'],
  llama_model_has_encoder: ['bool', 'pointer'],
  llama_model_has_decoder: ['bool', 'pointer'],
  llama_model_is_recurrent: ['bool', 'pointer'],
  llama_model_is_hybrid: ['bool', 'pointer'],
  llama_model_desc: ['int', 'pointer', 'bytes', 'size'],
  llama_model_meta_val_str: ['int', 'pointer', 'text', 'bytes', 'size'],
  llama_model_chat_template: ['text', 'pointer', 'text'],
  llama_get_memory: ['pointer', 'pointer'],
  llama_memory_seq_rm: ['bool', 'pointer', 'int', 'int', 'int'],
  llama_memory_seq_cp: ['none', 'pointer', 'int', 'int', 'int', 'int'],
  llama_memory_seq_pos_min: ['int', 'pointer', 'int'],
  llama_state_seq_get_size: ['size', 'pointer', 'int'],
  llama_state_seq_get_data: ['size', 'pointer', 'buffer', 'size', 'int'],
  llama_state_seq_set_data: ['size', 'pointer', 'buffer', 'size', 'int'],
  llama_batch_init: ['batch', 'int', 'int', 'int'],
  llama_decode: ['int', 'pointer', 'batch'],
  llama_attach_threadpool: ['none', 'pointer', 'pointer', 'pointer'],
  llama_set_n_threads: ['none', 'pointer', 'int', 'int'],
  llama_get_logits_ith: ['pointer', 'pointer', 'int'],
  llama_pooling_type: ['int', 'pointer'],
  llama_get_embeddings_seq: ['pointer', 'pointer', 'int'],
  llama_vocab_n_tokens: ['int', 'pointer'],
  llama_vocab_get_text: ['text', 'pointer', 'int'],
  llama_vocab_is_eog: ['bool', 'pointer', 'int'],
  llama_vocab_is_control: ['bool', 'pointer', 'int'],
  llama_vocab_bos: ['int', 'pointer'],
  llama_vocab_eos: ['int', 'pointer'],
  llama_vocab_sep: ['int', 'pointer'],
  llama_vocab_get_add_bos: ['bool', 'pointer'],
  llama_vocab_get_add_eos: ['bool', 'pointer'],
  llama_vocab_get_add_sep: ['bool', 'pointer'],
  llama_tokenize: ['int', 'pointer', 'buffer', 'int', 'ints', 'int', 'bool', 'bool'],
  llama_token_to_piece: ['int', 'pointer', 'int', 'bytes', 'int', 'int', 'bool'],
  llama_sampler_init_grammar: ['pointer', 'pointer', 'text', 'text'],
  llama_sampler_apply: ['none', 'pointer', 'buffer'],
  llama_sampler_accept: ['none', 'pointer', 'int'],
  llama_sampler_free: ['none', 'pointer'],
} as const satisfies Record<string, readonly Argument[]>

type Value<A extends Argument> = A extends 'int' | 'uint' | 'float' | 'size'
  ? number
  : A extends 'long'
    ? number | bigint
    : A extends 'bool'
      ? boolean
      : A extends 'text'
        ? string | null
        : A extends 'pointer'
          ? Pointer
          : A extends 'model'
            ? ModelParams
            : A extends 'context'
              ? ContextParams
              : A extends 'batch'
                ? Batch
                : A extends 'ints'
                  ? Int32Array
                  : A extends 'bytes' | 'buffer'
                    ? Uint8Array
                    : undefined
type Values<T extends readonly Argument[]> = { -readonly [K in keyof T]: Value<T[K]> }
type Rest<T extends readonly Argument[]> = T extends readonly [Argument, ...infer R extends readonly Argument[]] ? R : never

/** The functions of llama.cpp that this program calls, by their C names. */
export type Llama = {
  readonly [K in keyof typeof signatures]: (...values: Values<Rest<(typeof signatures)[K]>>) => Value<(typeof signatures)[K][0]>
}

export type LibraryVariant = 'cpu' | 'cuda' | 'vulkan' | 'metal'

/** Where the prebuilt libraries for this machine lie; undefined when their package is not installed. */
export function findLibrary(variant: LibraryVariant): string | undefined {
  const name = packageName(variant)
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    const bins = join(dirname(entry), '..', 'bins')
    const [folder] = readdirSync(bins)
    return folder === undefined ? undefined : join(bins, folder)
  } catch {
    return undefined
  }
}

/** The npm package with the libraries for this machine. */
export function packageName(variant: LibraryVariant): string {
  const systems: Partial<Record<NodeJS.Platform, string>> = { linux: 'linux', darwin: 'mac', win32: 'win' }
  const arch = process.arch === 'arm' ? 'armv7l' : process.arch
  const metal = process.platform === 'darwin' && process.arch === 'arm64' ? '-metal' : ''
  const suffix = variant === 'cuda' || variant === 'vulkan' ? `-${variant}` : metal
  return `@node-llama-cpp/${systems[process.platform] ?? process.platform}-${arch}${suffix}`
}

/**
 * Loads the library into this process. A fault inside it ends the process, so only an engine's child process calls this.
 * Throws `unavailable` when it is not installed, or is not the version that the declarations here are for.
 */
export function openLibrary(folder: string, log: (level: number, text: string) => void): Llama {
  const file = libraryFile(folder)
  koffi.load(join(folder, file('ggml-base')), { global: true })
  const ggml = koffi.load(join(folder, file('ggml')), { global: true })
  const library = koffi.load(join(folder, file('llama')), { global: true })
  declareStructs()
  // First of all: finding the processor's kernels is logged too.
  forwardLog(library, log)
  ggml.func('void ggml_backend_load_all_from_path(const char *path)')(folder)
  const bound = Object.entries(signatures).map(([name, [result, ...values]]) => {
    return [
      name,
      library.func(
        name,
        types[result],
        values.map((value) => types[value]),
      ),
    ]
  })
  const llama = Object.fromEntries(bound) as Llama
  checkDefaults(llama)
  llama.llama_backend_init()
  return llama
}

/** How a library of this version is called in the folder. Throws `unavailable` when it is not there. */
export function libraryFile(folder: string): (name: string) => string {
  const files = readdirSync(folder)
  return (name) => {
    const pattern = new RegExp(
      `^(lib)?${name}(\\.(cuda|vulkan|metal))?(\\.${libraryVersion.replaceAll('.', '\\.')})?\\.(so|dylib|dll)$`,
    )
    const found = files.find((file) => pattern.test(file))
    if (found !== undefined) return found
    throw new AppError('unavailable', `The llama.cpp library ${name} ${libraryVersion} is not in ${folder}. ${howToInstall()}`)
  }
}

export function howToInstall(variant: LibraryVariant = 'cpu'): string {
  return `Install it with: npm install ${packageName(variant)}@${packageVersion}`
}

function declareStructs(): void {
  koffi.struct('llama_model_params', modelParams)
  koffi.struct('llama_context_params', contextParams)
  koffi.struct('llama_batch', batch)
}

function forwardLog(library: ReturnType<typeof koffi.load>, log: (level: number, text: string) => void): void {
  const prototype = koffi.proto('void llama_log(int level, const char *text, void *data)')
  const callback = koffi.register((level: number, text: string) => log(level, text), koffi.pointer(prototype))
  library.func('void llama_log_set(llama_log *callback, void *data)')(callback, null)
}

function checkDefaults(llama: Llama): void {
  const model = llama.llama_model_default_params()
  const context = llama.llama_context_default_params()
  const same = (got: Readonly<Record<string, unknown>>, expected: object) =>
    Object.entries(expected).every(([name, value]) => got[name] === value)
  if (same(model, expectedModel) && same(context, expectedContext) && same(context, expectedContextEnd)) return
  throw new AppError('unavailable', `The llama.cpp library is not ${libraryVersion}: its parameters differ. ${howToInstall()}`)
}

/** A view of numbers in the library's memory; valid as long as the library keeps them there. */
export function viewFloats(address: Pointer, length: number): Float32Array {
  return new Float32Array(koffi.view(address, length * Float32Array.BYTES_PER_ELEMENT))
}

/** How many views are kept: more rows than any batch has scores. */
const mostViews = 1024

/**
 * Views of rows of numbers in the library's memory, each made once: a new one for each row that is read costs as much time as to find
 * the highest of some 100,000 numbers, most of it when it is thrown away.
 */
export function createRowViews(length: number): (address: Pointer) => Float32Array {
  const views = new Map<bigint, Float32Array>()
  return (address) => {
    const key = koffi.address(address)
    const view = views.get(key) ?? viewFloats(address, length)
    if (views.size >= mostViews) views.clear()
    views.set(key, view)
    return view
  }
}

export function viewInts(address: Pointer, length: number): Int32Array {
  return new Int32Array(koffi.view(address, length * Int32Array.BYTES_PER_ELEMENT))
}

export function viewBytes(address: Pointer, length: number): Int8Array {
  return new Int8Array(koffi.view(address, length))
}

/** An array of pointers, for functions that take one. */
export function pointerArray(pointers: readonly Pointer[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(pointers, (pointer) => koffi.address(pointer)).buffer)
}

/** The pointer at index `index` of an array of pointers. */
export function pointerAt(address: Pointer, index: number): Pointer {
  return koffi.decode(address, index * koffi.sizeof('void *'), 'void *') as Pointer
}

/** `llama_token_data_array` over entries of `llama_token_data`, for the samplers that look at candidates. */
export function createCandidates(capacity: number): Candidates {
  const entryBytes = 12
  const memory = koffi.alloc('uint8_t', capacity * entryBytes)
  const entries = new DataView(koffi.view(memory, capacity * entryBytes))
  const header = new DataView(new ArrayBuffer(32))
  return {
    fill(tokens) {
      for (const [index, token] of tokens.entries()) {
        entries.setInt32(index * entryBytes, token, true)
        entries.setFloat32(index * entryBytes + 4, 0, true)
        entries.setFloat32(index * entryBytes + 8, 0, true)
      }
      header.setBigUint64(0, koffi.address(memory), true)
      header.setBigUint64(8, BigInt(tokens.length), true)
      header.setBigInt64(16, -1n, true)
      header.setUint8(24, 0)
      return new Uint8Array(header.buffer)
    },
    remains: (index) => entries.getFloat32(index * entryBytes + 4, true) === 0,
    close: () => koffi.free(memory),
  }
}

export interface Candidates {
  /** Sets the candidates, each with score 0, and returns the array's struct for `llama_sampler_apply`. */
  fill(tokens: readonly number[]): Uint8Array
  /** Whether the candidate at this index was not ruled out (its score set to −∞). */
  remains(index: number): boolean
  close(): void
}
