import { join } from 'node:path'
import koffi from 'koffi'
import { AppError } from '../../errors.ts'
import { ggmlTypes } from '../gguf/ggml-types.ts'
import type { Dequantize } from '../gguf/tensor-floats.ts'
import { howToInstall, libraryFile, libraryVersion, type Pointer } from './libllama.ts'

// The part of the border to ggml that turns numbers of any type into 32-bit floats (ggml/include/ggml.h of one version). Like
// libllama.ts it casts what koffi gives untyped.

const traits = {
  type_name: 'const char *',
  blck_size: 'int64_t',
  blck_size_interleave: 'int64_t',
  type_size: 'size_t',
  is_quantized: 'bool',
  to_float: 'void *',
  from_float_ref: 'void *',
}

type Convert = (bytes: Uint8Array, floats: Float32Array, count: bigint) => void

/**
 * Dequantisation by the library itself. It needs no more of the library than this, and may be called more than once.
 * Throws `unavailable` when the library is not installed or its types are not those declared here; what it gives throws `invalid`
 * for a type that the library cannot turn into floats.
 */
export function openDequantize(folder: string): Dequantize {
  const library = koffi.load(join(folder, libraryFile(folder)('ggml-base')))
  const struct = koffi.struct(traits)
  const prototype = koffi.proto('void (const void *bytes, _Out_ float *floats, int64_t count)')
  const getTraits = library.func('ggml_get_type_traits', 'void *', ['int']) as (type: number) => Pointer
  const converters = new Map<string, Convert>()

  function findConverter(name: string): Convert {
    const known = converters.get(name)
    if (known !== undefined) return known
    const entry = [...ggmlTypes].find(([, candidate]) => candidate.name === name)
    if (entry === undefined) throw notFloats(name)
    const [number, type] = entry
    const found = koffi.decode(getTraits(number), struct) as Readonly<Record<string, unknown>>
    const isSame =
      String(found.type_name).toUpperCase() === name.toUpperCase() &&
      Number(found.blck_size) === type.blockSize &&
      Number(found.type_size) === type.blockBytes
    if (!isSame) throw otherVersion(name)
    if (found.to_float === null) throw notFloats(name)
    const converter = koffi.decode(found.to_float as Pointer, prototype) as Convert
    converters.set(name, converter)
    return converter
  }

  return (type, bytes, floats) => {
    if (type === 'F32') new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength).set(bytes)
    else findConverter(type)(bytes, floats, BigInt(floats.length))
  }
}

function notFloats(name: string): AppError {
  return new AppError('invalid', `Numbers of the type ${name} cannot be turned into floats.`)
}

function otherVersion(name: string): AppError {
  return new AppError(
    'unavailable',
    `The llama.cpp library is not ${libraryVersion}: its type ${name} differs. ${howToInstall()}`,
  )
}
