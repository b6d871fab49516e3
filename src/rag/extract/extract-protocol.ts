import type { ErrorCode } from '../../errors.ts'
import type { FileHints } from './detect-format.ts'
import type { Extracted } from './extract.ts'

/** One file at a time. */
export type ToExtractor = Readonly<{ path: string; hints: FileHints }>

export type FromExtractor =
  | Readonly<{ type: 'extracted'; document: Extracted }>
  | Readonly<{ type: 'extraction-failed'; code: ErrorCode; message: string }>
