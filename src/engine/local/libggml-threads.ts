import { join } from 'node:path'
import koffi from 'koffi'
import { libraryFile, type Pointer } from './libllama.ts'

/** `GGML_MAX_N_THREADS`: the first fields of `ggml_threadpool_params` are a mask with a byte for each. */
const mostThreads = 512
/** `GGML_BACKEND_DEVICE_TYPE_CPU` */
const cpu = 0

const params = {
  cpumask: koffi.array('bool', mostThreads),
  n_threads: 'int',
  prio: 'int',
  poll: 'uint32_t',
  strict_cpu: 'bool',
  paused: 'bool',
}

/**
 * Threads that stay from one batch to the next: without them llama.cpp starts and ends some for each. Between two batches they sleep,
 * as other processes have work then. Call it after `openLibrary`. They last as long as the process; null where this build of the
 * library has none.
 */
export function createThreadPool(folder: string, threads: number): Pointer {
  const file = libraryFile(folder)
  const ggml = koffi.load(join(folder, file('ggml')))
  const base = koffi.load(join(folder, file('ggml-base')))
  const device: unknown = ggml.func('void *ggml_backend_dev_by_type(int type)')(cpu)
  const registry: unknown = base.func('void *ggml_backend_dev_backend_reg(void *device)')(device)
  const addressOf = base.func('void *ggml_backend_reg_get_proc_address(void *registry, const char *name)')
  const address = addressOf(registry, 'ggml_threadpool_new') as Pointer
  if (address === null) return null
  const struct = koffi.struct('ggml_threadpool_params', params)
  const create = koffi.decode(address, koffi.proto('void *ggml_threadpool_new(_In_ ggml_threadpool_params *params)')) as (
    params: unknown,
  ) => Pointer
  const usual = base.func('ggml_threadpool_params_default', struct, ['int'])(threads) as object
  return create({ ...usual, poll: 0 })
}
