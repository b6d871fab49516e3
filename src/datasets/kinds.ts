import type { TrainingExample } from '../engine/train/example.ts'

export type DatasetKind = TrainingExample['type']

/** How the records of an upload say what an example is; docs/datasets.md describes each. */
export const datasetFormats = ['chat', 'prompt-completion', 'alpaca', 'sharegpt', 'preference', 'text'] as const
export type DatasetFormat = (typeof datasetFormats)[number]

/** What a file is made of, whatever its records say. */
export type Container = 'json-lines' | 'json-list' | 'table' | 'text-lines'

export const splits = ['train', 'held-out'] as const
export type Split = (typeof splits)[number]

/** What can be said about a row. The first of several rows that are alike has no flag. */
export const rowFlags = [
  /** All of it stands in an earlier row. */
  'duplicate',
  /** Nearly all of it stands in an earlier row. */
  'near-duplicate',
  /** An earlier row has another answer to the same question. */
  'other-answer',
  'secret:api-key',
  'secret:private-key',
  'secret:token',
  'secret:email',
  'secret:card',
  'secret:iban',
] as const
export type RowFlag = (typeof rowFlags)[number]

/** What may be left out: a flag, or all secrets. */
export const excludable = [...rowFlags, 'secret'] as const
export type Excludable = (typeof excludable)[number]

export const refusalReasons = [
  'broken-json',
  'broken-text',
  'too-long',
  'wrong-shape',
  'nothing-to-learn',
  'same-answers',
  'tools',
  'images',
  'unpaired',
] as const
export type RefusalReason = (typeof refusalReasons)[number]
