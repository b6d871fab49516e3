import { open, readFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { discard, isSystemError, toDiskError } from '../engine/disk.ts'
import type { ModelMeasures } from '../engine/local/quantize-protocol.ts'
import { processMark } from '../storage/left-behind.ts'

const row = {
  model: Type.String(),
  quantization: Type.String({ description: 'What llama.cpp calls it.' }),
  size_bytes: Type.Integer({ description: 'Of the file.' }),
  bits_per_weight: Type.Number(),
  perplexity: Type.Number({ description: 'How surprised the model is by the text: lower is better.' }),
  perplexity_error: Type.Number({ description: 'Its standard error: the text is short.' }),
  tokens_per_second: Type.Number({ description: 'Generating on the CPU, one answer at a time.' }),
}

/** As it is sent, and as it is kept beside the model. */
export const quantizeReport = Type.Object({
  created_at: Type.String({ description: 'UTC, ISO 8601.' }),
  importance_matrix: Type.Boolean(),
  fallback_tensors: Type.Integer({
    description: 'Tensors whose shape does not allow the wanted type: they are larger than asked for.',
  }),
  text: Type.Object({
    given: Type.Boolean({ description: 'false: the text that comes with the program.' }),
    chunks: Type.Integer(),
    scored_tokens: Type.Integer(),
  }),
  original: Type.Object(row),
  result: Type.Object({
    ...row,
    kl_divergence: Type.Number({
      description:
        "Mean distance of its predictions from the original's, in nats: 0 is the same, and it is the surest of these figures.",
    }),
    kl_divergence_error: Type.Number(),
    top_agreement: Type.Number({ description: 'Share of tokens where both hold the same one for the likeliest, 0 to 1.' }),
  }),
})
export type QuantizeReport = Static<typeof quantizeReport>

export function toRow(model: string, sizeBytes: number, measures: ModelMeasures): QuantizeReport['original'] {
  return {
    model,
    quantization: measures.quantization,
    size_bytes: sizeBytes,
    bits_per_weight: measures.bitsPerWeight,
    perplexity: measures.perplexity,
    perplexity_error: measures.perplexityError,
    tokens_per_second: measures.tokensPerSecond,
  }
}

/** `NAME.gguf` → `NAME.report.json`: not a name that a model can have. */
export function reportOf(modelFile: string): string {
  return modelFile.replace(/(\.gguf)?$/, '.report.json')
}

/** Written beside and renamed. Throws `storage_full`, `unavailable`. */
export async function saveReport(modelFile: string, report: QuantizeReport): Promise<void> {
  const path = reportOf(modelFile)
  const beside = `${path}.${processMark}.part`
  try {
    const file = await open(beside, 'w')
    try {
      await file.writeFile(`${JSON.stringify(report, null, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    await discard(beside)
    throw toDiskError(error, dirname(path))
  }
}

/** Whether a text is a report. */
export function isReport(text: string): boolean {
  try {
    return Value.Check(quantizeReport, JSON.parse(text))
  } catch {
    return false
  }
}

/** The report kept beside a model file; undefined when there is none, or when the file is no longer the one that was measured. */
export async function findReport(modelFile: string): Promise<QuantizeReport | undefined> {
  try {
    const [text, { size }] = await Promise.all([readFile(reportOf(modelFile), 'utf8'), stat(modelFile)])
    const report: unknown = JSON.parse(text)
    return Value.Check(quantizeReport, report) && report.result.size_bytes === size ? report : undefined
  } catch (error) {
    if (error instanceof SyntaxError || isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}
