import type { QuantizeReport } from '../../src/models/quantize-report.ts'

export type Verdict = 'same' | 'small' | 'noticeable' | 'changed'

/** How far the new model is from the original, as people would notice it (docs/quantization.md). */
export function verdictOf({ result }: Pick<QuantizeReport, 'result'>): Verdict {
  const distance = result.kl_divergence
  if (distance < 0.01) return 'same'
  if (distance < 0.05) return 'small'
  return distance < 0.2 ? 'noticeable' : 'changed'
}

/** How many times smaller and faster the new model is; above 1 is better. */
export function gainsOf({ original, result }: Pick<QuantizeReport, 'original' | 'result'>) {
  const ratio = (one: number, other: number) => (other > 0 ? one / other : 1)
  return {
    smaller: ratio(original.size_bytes, result.size_bytes),
    faster: ratio(result.tokens_per_second, original.tokens_per_second),
  }
}
