import { join } from 'node:path'
import koffi from 'koffi'
import { libraryFile } from './libllama.ts'

/** A processor other than the CPU that the loaded libraries can compute on. */
export type Gpu = Readonly<{
  /** Such as `Vulkan0`. */
  name: string
  /** Such as `NVIDIA GeForce RTX 4070`. */
  description: string
  freeBytes: number
}>

/** `ggml_backend_dev_type`: with memory of its own, and with that of the machine. */
const gpuTypes = [1, 2]

/** The GPUs that the libraries of a folder have found. Call it after `openLibrary`. */
export function findGpus(folder: string): readonly Gpu[] {
  const file = libraryFile(folder)
  const [ggml, base] = ['ggml', 'ggml-base'].map((name) => koffi.load(join(folder, file(name))))
  if (ggml === undefined || base === undefined) return []
  const count: number = ggml.func('size_t ggml_backend_dev_count()')()
  const get = ggml.func('void *ggml_backend_dev_get(size_t index)')
  const type = base.func('int ggml_backend_dev_type(void *device)')
  const name = base.func('const char *ggml_backend_dev_name(void *device)')
  const description = base.func('const char *ggml_backend_dev_description(void *device)')
  const memory = base.func('void ggml_backend_dev_memory(void *device, _Out_ size_t *free, _Out_ size_t *total)')
  const devices = Array.from({ length: count }, (_, index): unknown => get(index))
  return devices
    .filter((device) => gpuTypes.includes(type(device)))
    .map((device) => {
      const free = [0]
      memory(device, free, [0])
      return { name: name(device), description: description(device), freeBytes: free[0] ?? 0 }
    })
}
