import Type, { type Static } from 'typebox'
import { datasetFormats, excludable, rowFlags, splits } from './kinds.ts'

const strict = { additionalProperties: false } as const
const textOrNull = Type.Union([Type.String(), Type.Null()])
const cursor = Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' }))
const limit = Type.Integer({ minimum: 1, maximum: 200, default: 50 })

export const datasetName = Type.String({
  pattern: '^[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N}._-]{0,99}$',
  description: 'Letters, digits, and . _ - after the first of them. The same name again makes a new version.',
})

const common = {
  name: datasetName,
  held_out: Type.Optional(
    Type.Number({ minimum: 0, maximum: 0.5, description: 'The share of the rows that is kept for comparing. Default: 0.1.' }),
  ),
  seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 4_294_967_295, description: 'Draws what is held out. Default: 0.' })),
  exclude_flagged: Type.Optional(
    Type.Array(Type.Enum([...excludable]), { maxItems: 20, description: 'Rows that are left out; `secret` is all secrets.' }),
  ),
}
const preview = Type.Optional(
  Type.Boolean({ description: 'Only reads and counts, and answers 200 with what the dataset would be. Default: false.' }),
)
const format = Type.Optional(Type.Enum([...datasetFormats], { description: 'Default: as each row says.' }))

/** The fields of a form, besides the file. */
export const uploadFields = Type.Object({ ...common, format, preview }, strict)
export type UploadFields = Static<typeof uploadFields>

const time = (description: string) => Type.Optional(Type.String({ maxLength: 40, description }))

export const feedbackChoice = Type.Object(
  {
    method: Type.Enum(['sft', 'dpo'], { description: 'sft: answers to learn; dpo: pairs of a better and a worse answer.' }),
    rating: Type.Optional(Type.Enum(['up', 'down'])),
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'As answers name it.' })),
    user: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'A username or the id of a user.' })),
    from: time('A day or a time (ISO 8601): given then or later.'),
    to: time('A time: given before it. A day counts to its end.'),
    tags: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 100 }), { minItems: 1, maxItems: 20 })),
  },
  strict,
)
export type FeedbackChoiceBody = Static<typeof feedbackChoice>

export const datasetBody = Type.Object(
  {
    ...common,
    format,
    preview,
    rows: Type.Optional(Type.Array(Type.Unknown(), { minItems: 1, description: 'Objects as in the lines of a file.' })),
    from_feedback: Type.Optional(feedbackChoice),
  },
  { ...strict, description: 'Either `rows` or `from_feedback`; files come as multipart/form-data.' },
)
export type DatasetBody = Static<typeof datasetBody>

export const listQuery = Type.Object({ limit, cursor, name: Type.Optional(Type.String({ maxLength: 100 })) }, strict)
export const rowsQuery = Type.Object(
  { limit, cursor, split: Type.Optional(Type.Enum([...splits])), flag: Type.Optional(Type.Enum([...rowFlags])) },
  strict,
)
export const exportQuery = Type.Object({ split: Type.Optional(Type.Enum([...splits])) }, strict)
export const referenceParams = Type.Object({
  id: Type.String({ maxLength: 200, description: 'An id, NAME (its last version) or NAME:VERSION.' }),
})

const count = Type.Integer()
const report = Type.Object(
  {
    container: Type.String({ description: 'json-lines, json-list, table or text-lines.' }),
    encoding: Type.String(),
    byte_order_mark: Type.Boolean(),
    crlf_lines: count,
    empty_lines: count,
    records: Type.Integer({ description: 'What could be a row: kept, refused and excluded ones.' }),
    rows: count,
    formats: Type.Array(Type.Object({ format: Type.String(), count })),
    refused: Type.Array(
      Type.Object({
        reason: Type.String(),
        count,
        examples: Type.Array(Type.Object({ line: count, message: Type.String() })),
      }),
      { description: 'Records that became no rows, with the first lines of each reason.' },
    ),
    ignored_fields: Type.Array(Type.Object({ field: Type.String(), count, lines: Type.Array(count) })),
    flags: Type.Array(
      Type.Object({
        flag: Type.String(),
        count,
        examples: Type.Array(Type.Object({ line: count, first_line: Type.Optional(count) })),
      }),
      { description: 'first_line: the earlier row that it is like.' },
    ),
    excluded: Type.Array(Type.Object({ flag: Type.String(), count })),
    excluded_rows: count,
    split: Type.Object({
      seed: count,
      held_out: Type.Number(),
      train_rows: count,
      held_out_rows: count,
      conversations: count,
      held_out_conversations: count,
      groups: Type.Integer({ description: 'Conversations with near-duplicates in common stay together.' }),
    }),
    feedback: Type.Optional(
      Type.Object({
        lessons: count,
        used: count,
        text_prompts: count,
        left_out: Type.Array(Type.Object({ reason: Type.String(), count })),
      }),
    ),
  },
  { description: 'What was counted, left out and flagged. Lines are those of the file, or places in `rows`, from 1.' },
)
export type ReportBody = Static<typeof report>

const summary = {
  id: Type.String(),
  name: Type.String(),
  version: count,
  kind: Type.Enum(['chat', 'text', 'preference']),
  source: Type.Enum(['feedback', 'upload']),
  train_rows: count,
  held_out_rows: count,
  sha256: Type.String({ description: 'Of all rows as exported.' }),
  created_by: textOrNull,
  created_at: Type.String({ format: 'date-time' }),
}
export const datasetItem = Type.Object(summary)
export type DatasetItem = Static<typeof datasetItem>

export const datasetAnswer = Type.Object({
  ...summary,
  origin: Type.Unsafe<Readonly<Record<string, unknown>>>({
    type: 'object',
    additionalProperties: true,
    description: 'The file, or the filters that chose the feedback.',
  }),
  report,
})
export type DatasetAnswer = Static<typeof datasetAnswer>

export const datasetPage = Type.Object({ items: Type.Array(datasetItem), next_cursor: textOrNull })

export const rowItem = Type.Object({
  position: count,
  split: Type.Enum([...splits]),
  conversation: Type.String(),
  flags: Type.Array(Type.String()),
  row: Type.Unsafe<Readonly<Record<string, unknown>>>({
    type: 'object',
    additionalProperties: true,
    description: 'As exported.',
  }),
})
export type RowItem = Static<typeof rowItem>
export const rowPage = Type.Object({ items: Type.Array(rowItem), next_cursor: textOrNull })

export const datasetPreview = Type.Object(
  {
    name: Type.String(),
    kind: summary.kind,
    train_rows: count,
    held_out_rows: count,
    report,
    rows: Type.Array(rowItem, { description: 'The first ones.' }),
  },
  { description: 'What a dataset would be; nothing was stored.' },
)
export type DatasetPreviewAnswer = Static<typeof datasetPreview>
