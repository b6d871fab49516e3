import { AppError } from '../../errors.ts'
import type { LibraryVariant } from './libllama.ts'
import type { LoadOptions } from './protocol.ts'

/** A set of libraries to load, and what it computes on. */
export type ChosenLibrary = Readonly<{ variant: LibraryVariant; folder: string }>

export type LibrarySearch = Readonly<{
  /** Where the libraries lie; undefined when their package is not installed. */
  find(variant: LibraryVariant): string | undefined
  /** A sentence. */
  howToInstall(variant: LibraryVariant): string
  /** Whether this machine may have a GPU: looking closer takes a part of a second. */
  mayHaveGpu: boolean
}>

/** In this order `auto` looks for a GPU. */
const gpuVariants = ['metal', 'cuda', 'vulkan'] as const

/**
 * Chooses the libraries for a device. Throws `unavailable` with what to install when there are none for the device that is
 * asked for; `auto` takes the CPU then.
 */
export function chooseLibrary(device: LoadOptions['device'], { find, howToInstall, mayHaveGpu }: LibrarySearch): ChosenLibrary {
  const wanted = device === 'auto' ? [...(mayHaveGpu ? gpuVariants : []), 'cpu' as const] : [device]
  for (const variant of wanted) {
    const folder = find(variant)
    if (folder !== undefined) return { variant, folder }
  }
  const problem = `No llama.cpp library for DEVICE=${device} is installed.`
  throw new AppError('unavailable', `${problem} ${howToInstall(device === 'auto' ? 'cpu' : device)}`)
}

/** What the layers of a model take. */
export type LayerSize = Readonly<{ layers: number; weightBytes: number; cacheBytes: number }>

/** What a GPU needs beside the layers: its buffers to compute in. */
const gpuReserve = 600 * 1024 ** 2

/** How many layers fit into the memory of a GPU, the output counted as one: what llama.cpp calls `n_gpu_layers`. */
export function layersThatFit({ layers, weightBytes, cacheBytes }: LayerSize, freeBytes: number): number {
  const perLayer = (weightBytes + cacheBytes) / (layers + 1)
  return Math.max(0, Math.min(layers + 1, Math.floor((freeBytes - gpuReserve) / perLayer)))
}
