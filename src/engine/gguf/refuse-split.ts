import { AppError } from '../../errors.ts'
import type { GgufHeader } from './gguf-header.ts'

/** Throws `invalid` for the first file of a model that lies in several. */
export function refuseSplit({ metadata }: Pick<GgufHeader, 'metadata'>): void {
  const parts = metadata.get('split.count')
  if (typeof parts !== 'number' || parts <= 1) return
  throw new AppError('invalid', `The model is split into ${parts} files. Quantize it first: that joins them into one.`)
}
