import type { BatchRow } from './backend.ts'

/**
 * llama.cpp's kernels for repacked weights take the rows of a batch in groups of so many (`ggml_gemm_*`), and others the one to three
 * that are left over (`ggml_gemv_*`), which round otherwise. So a row gets the same scores in every batch of whole groups.
 */
export const rowGroup = 4

/** Types that are repacked where there is AVX2 or AVX-512, and nothing else (`ggml_repack_get_optimal_repack_type`). */
const repackedOnX86 = new Set(['Q2_K', 'Q4_0', 'Q4_K', 'IQ4_NL', 'MXFP4'])
/** And those that are nowhere. */
const neverRepacked = new Set(['F16', 'F32', 'BF16'])

export type Processor = Readonly<{
  /** As `process.arch`. */
  architecture: string
  /** What the library says of itself: `llama_print_system_info`. */
  features: string
}>

/** Whether a matrix of this type (ggml's name; undefined: not known) may be repacked on this processor. */
export function mayBeRepacked(type: string | undefined, { architecture, features }: Processor): boolean {
  if (type === undefined) return true
  if (neverRepacked.has(type)) return false
  return architecture !== 'x64' || features.includes('AMX_INT8 = 1') || repackedOnX86.has(type)
}

/** How many are missing to whole groups. */
export const missingToGroup = (count: number) => (rowGroup - (count % rowGroup)) % rowGroup

export const countOutputs = (rows: readonly BatchRow[]) => rows.reduce((count, { output }) => count + Number(output), 0)

/** Scores for some more rows, which nobody reads; the last ones first. */
export function withOutputs(rows: readonly BatchRow[], count: number): readonly BatchRow[] {
  let left = count
  return rows
    .toReversed()
    .map((row) => {
      if (row.output || left === 0) return row
      left -= 1
      return { ...row, output: true }
    })
    .toReversed()
}
