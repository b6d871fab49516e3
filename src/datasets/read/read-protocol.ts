import type { ErrorCode } from '../../errors.ts'
import type { DatasetKind, RowFlag, Split } from '../kinds.ts'
import type { DatasetReport } from '../report.ts'
import type { ReadOptions } from './survey.ts'

/** One file a process. Rows are sent as they are asked for, so that those who store them are not overrun. */
export type ToReader = Readonly<{ type: 'read-start'; options: ReadOptions }> | Readonly<{ type: 'rows-next' }>

export type ReadRow = Readonly<{
  /** From 0. */
  position: number
  split: Split
  /** Rows with the same text are in the same split. */
  conversation: string
  /** A `TrainingExample`, as JSON. */
  example: string
  flags: readonly RowFlag[]
}>

export type FromReader =
  /** Before the first rows. */
  | Readonly<{ type: 'read-survey'; kind: DatasetKind; report: DatasetReport }>
  | Readonly<{ type: 'read-rows'; rows: readonly ReadRow[] }>
  /** `sha256`: of all rows as exported, in hex. */
  | Readonly<{ type: 'read-end'; sha256: string }>
  | Readonly<{ type: 'read-failed'; code: ErrorCode; message: string }>
