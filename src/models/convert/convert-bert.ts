import { basename, resolve } from 'node:path'
import type { FloatType } from '../../engine/gguf/encode-floats.ts'
import { type TensorWritten, writeGguf } from '../../engine/gguf/gguf-writer.ts'
import { writeOnnx } from '../../engine/onnx/onnx-writer.ts'
import { AppError } from '../../errors.ts'
import { openBertCheckpoint } from './bert-checkpoint.ts'
import { describeBertGguf } from './bert-gguf.ts'
import { describeBertOnnx } from './bert-onnx.ts'
import { readBertVocabulary } from './bert-vocabulary.ts'

/** Told after each tensor; `file` is the path being written. */
export type ConvertBertEvent = TensorWritten & Readonly<{ file: string }>

export type ConvertBertOptions = Readonly<{
  /** A checkpoint of transformers or sentence-transformers. */
  folder: string
  /** Path of the GGUF file to write, for llama.cpp. */
  ggufTarget?: string
  /** Path of the ONNX file to write, for ONNX Runtime; its numbers are always 32-bit floats. */
  onnxTarget?: string
  /** Of the matrices in the GGUF file. */
  outputType: FloatType
  /** Stands in the GGUF file; the folder's name when not given. */
  name?: string
  report: (event: ConvertBertEvent) => void
  signal?: AbortSignal
}>

/**
 * Writes a model of the BERT family as GGUF (only a plain BERT), as ONNX, or as both, tensor by tensor; each file appears whole or not
 * at all.
 * Throws `not_found` when the folder lacks a file, `invalid` when it holds another kind of model or is damaged, `too_large` for
 * an ONNX file over 2 GiB, `storage_full`, `aborted`.
 */
export async function convertBert(options: ConvertBertOptions): Promise<void> {
  const { folder, ggufTarget, onnxTarget, outputType, report, signal } = options
  const checkpoint = await openBertCheckpoint(folder)
  try {
    if (ggufTarget !== undefined) {
      const { family, head } = checkpoint.shape
      if (family !== 'bert' || head !== 'none')
        throw new AppError('invalid', 'A reranker, or a relative of RoBERTa, can be converted to ONNX only.')
      const vocabulary = await readBertVocabulary(folder, checkpoint.shape.vocabularySize)
      const name = options.name ?? basename(resolve(folder))
      const file = describeBertGguf({ checkpoint, vocabulary, target: ggufTarget, name, outputType })
      await writeGguf(file, (event) => report({ ...event, file: ggufTarget }), signal)
    }
    if (onnxTarget !== undefined) {
      const tell = (event: TensorWritten) => report({ ...event, file: onnxTarget })
      await writeOnnx(onnxTarget, describeBertOnnx(checkpoint), tell, signal)
    }
  } finally {
    await checkpoint.close()
  }
}
