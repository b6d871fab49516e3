/**
 * From the first choice to the last where nobody asked for one: about four bits a weight costs little quality and half the
 * memory of eight; above come the larger ones, below the ones that cost more and more, last the unquantized.
 */
const preferred: readonly string[] = [
  ...['Q4_K_M', 'Q4_K_XL', 'Q4_K_L', 'Q4_K_S', 'Q4_K', 'IQ4_XS', 'IQ4_NL', 'Q4_0', 'Q4_1', 'MXFP4', 'MXFP4_MOE'],
  ...['Q5_K_M', 'Q5_K_XL', 'Q5_K_L', 'Q5_K_S', 'Q5_K', 'Q5_0', 'Q5_1', 'Q6_K', 'Q6_K_XL', 'Q6_K_L', 'Q8_0', 'Q8_K_XL'],
  ...['Q3_K_XL', 'Q3_K_L', 'Q3_K_M', 'Q3_K', 'IQ3_M', 'IQ3_S', 'Q3_K_S', 'IQ3_XS', 'IQ3_XXS'],
  ...['Q2_K_XL', 'Q2_K_L', 'Q2_K', 'IQ2_M', 'Q2_K_S', 'IQ2_S', 'IQ2_XS', 'IQ2_XXS', 'TQ2_0', 'TQ1_0', 'IQ1_M', 'IQ1_S'],
  ...['F16', 'FP16', 'BF16', 'F32', 'FP32'],
]

const tag = /(?:^|[-._/])(?:UD-)?(I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|FP?16|FP?32)(?=$|[-./])/gi

/** The quantization that a file's name tells, in capitals, without the prefix `UD-`: the last one, also that of a folder. */
export function quantizationOf(path: string): string | undefined {
  return [...path.matchAll(tag)].at(-1)?.[1]?.toUpperCase()
}

/** The name without the quantization at its end: `gemma-3-270m` of `gemma-3-270m-q4_k_m`. */
export function withoutQuantization(name: string): string {
  const last = [...name.matchAll(tag)].at(-1)
  return last !== undefined && last.index > 0 && last.index + last[0].length === name.length ? name.slice(0, last.index) : name
}

/** 0 for the first choice; larger is worse, and what is not known comes last. */
export function rankOf(quantization: string | undefined): number {
  const index = quantization === undefined ? -1 : preferred.indexOf(quantization)
  return index === -1 ? preferred.length : index
}
