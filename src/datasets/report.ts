import type { Container, DatasetFormat, RefusalReason, RowFlag } from './kinds.ts'

/** Lines are those of the file, from 1; of a list in a request, the places of its rows. */
export type DatasetReport = Readonly<{
  container: Container
  encoding: 'utf-8' | 'utf-16le' | 'utf-16be'
  byteOrderMark: boolean
  /** Lines that end with carriage return and line feed. */
  crlfLines: number
  emptyLines: number
  /** What could be a row: kept, refused and excluded ones. */
  records: number
  /** Rows that were kept. */
  rows: number
  formats: ReadonlyArray<Readonly<{ format: DatasetFormat; count: number }>>
  refused: ReadonlyArray<
    Readonly<{ reason: RefusalReason; count: number; examples: ReadonlyArray<Readonly<{ line: number; message: string }>> }>
  >
  /** Fields that say nothing about what is learned. */
  ignoredFields: ReadonlyArray<Readonly<{ field: string; count: number; lines: readonly number[] }>>
  /** `firstLine`: the earlier row that it is like. Of all rows, excluded ones too. */
  flags: ReadonlyArray<
    Readonly<{ flag: RowFlag; count: number; examples: ReadonlyArray<Readonly<{ line: number; firstLine?: number }>> }>
  >
  /** Rows that were left out as the request asked; one with two such flags counts for both. */
  excluded: ReadonlyArray<Readonly<{ flag: RowFlag; count: number }>>
  excludedRows: number
  split: SplitReport
  /** Of a dataset that was made of feedback. */
  feedback?: FeedbackReport
}>

export type SplitReport = Readonly<{
  seed: number
  /** The share of the rows that was asked for. */
  heldOut: number
  trainRows: number
  heldOutRows: number
  conversations: number
  heldOutConversations: number
  /** Conversations that have near-duplicates in common stay together: so many lots there were to draw. */
  groups: number
}>

export const leftOutReasons = [
  /** A thumb down without a correction: nothing says what would have been better. */
  'disliked',
  /** Liked by somebody, but corrected by somebody, too. */
  'corrected',
  /** Liked without another answer, where pairs are needed. */
  'no-other-answer',
  /** The same answer was kept over several. */
  'repeated',
  'tools',
  'images',
  /** The answer was stopped or cut before its end. */
  'end',
  /** Feedback without an answer. */
  'text-only',
  /** The answer is not remembered, or not any more. */
  'gone',
  /** Newer feedback of the same user on the same answer counts. */
  'superseded',
  /** Feedback on an answer that was given to somebody else. */
  'by-others',
] as const
export type LeftOutReason = (typeof leftOutReasons)[number]

export type FeedbackReport = Readonly<{
  /** Lessons that the filters let through. */
  lessons: number
  used: number
  /** Of those that were used, prompts that were continued as they stand, not asked in a conversation. */
  textPrompts: number
  leftOut: ReadonlyArray<Readonly<{ reason: LeftOutReason; count: number }>>
}>
