import type { FileHandle } from 'node:fs/promises'
import type { GgufHeader } from './gguf-header.ts'
import { createGgufOutput } from './gguf-output.ts'
import type { RawMetadata } from './gguf-writer.ts'
import { readWhole } from './tensor-floats.ts'

const fileTypeKey = 'general.file_type'
/** The format's numbers of 32-bit integers, without and with a sign. */
const integerTypes = [4, 5]

/** The keys of an open file as they are, for a file that is made of it, but for what its matrices are in (`llama_ftype`). */
export async function readRawMetadata(file: FileHandle, header: GgufHeader, fileType: number): Promise<RawMetadata> {
  const { alignment, keys } = header
  const bytes = Buffer.alloc(keys.end - keys.start)
  await readWhole(file, bytes, keys.start)
  const at = keys.values.get(fileTypeKey)
  if (at === undefined) {
    const output = createGgufOutput()
    output.bytes(bytes)
    output.text(fileTypeKey)
    output.value({ type: 'uint32', value: fileType })
    return { count: keys.count + 1, bytes: output.written(), alignment }
  }
  // One of another type is nothing that llama.cpp reads.
  if (integerTypes.includes(bytes.readUInt32LE(at - keys.start))) bytes.writeUInt32LE(fileType, at - keys.start + 4)
  return { count: keys.count, bytes, alignment }
}
