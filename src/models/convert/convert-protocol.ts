import type { TensorWritten } from '../../engine/gguf/gguf-writer.ts'
import type { ErrorCode } from '../../errors.ts'
import type { Conversion } from './convert.ts'

/** One conversion a process: sent once, before anything else. */
export type ToConverter = Readonly<{ type: 'conversion-start'; conversion: Conversion }>

export type FromConverter =
  | TensorWritten
  | Readonly<{ type: 'conversion-end' }>
  | Readonly<{ type: 'conversion-failed'; code: ErrorCode; message: string }>
