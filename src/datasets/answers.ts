import type { StoredRow } from './dataset-rows.ts'
import { parseExample } from './dataset-rows.ts'
import type { Dataset } from './datasets.ts'
import { exportLine } from './export-line.ts'
import type { DatasetPreview } from './preview.ts'
import type { DatasetReport, FeedbackReport } from './report.ts'
import type { DatasetAnswer, DatasetItem, DatasetPreviewAnswer, ReportBody, RowItem } from './schema.ts'

export function toItem(dataset: Dataset): DatasetItem {
  const { id, name, version, kind, source, trainRows, heldOutRows, sha256, createdBy, createdAt } = dataset
  return {
    id,
    name,
    version,
    kind,
    source,
    train_rows: trainRows,
    held_out_rows: heldOutRows,
    sha256,
    created_by: createdBy,
    created_at: createdAt,
  }
}

export function toAnswer(dataset: Dataset): DatasetAnswer {
  return { ...toItem(dataset), origin: dataset.origin, report: toReport(dataset.report) }
}

export function toPreviewAnswer(name: string, { kind, report, rows }: DatasetPreview): DatasetPreviewAnswer {
  return {
    name,
    kind,
    train_rows: report.split.trainRows,
    held_out_rows: report.split.heldOutRows,
    report: toReport(report),
    rows: rows.map(({ flags, ...row }) => toRow({ ...row, flags: JSON.stringify(flags) })),
  }
}

function toReport(report: DatasetReport): ReportBody {
  const { container, encoding, records, rows, formats, refused, split, feedback } = report
  return {
    container,
    encoding,
    byte_order_mark: report.byteOrderMark,
    crlf_lines: report.crlfLines,
    empty_lines: report.emptyLines,
    records,
    rows,
    formats: [...formats],
    refused: refused.map((one) => ({ ...one, examples: [...one.examples] })),
    ignored_fields: report.ignoredFields.map((one) => ({ ...one, lines: [...one.lines] })),
    flags: report.flags.map(({ flag, count, examples }) => ({
      flag,
      count,
      examples: examples.map(({ line, firstLine }) => ({ line, ...(firstLine === undefined ? {} : { first_line: firstLine }) })),
    })),
    excluded: [...report.excluded],
    excluded_rows: report.excludedRows,
    split: {
      seed: split.seed,
      held_out: split.heldOut,
      train_rows: split.trainRows,
      held_out_rows: split.heldOutRows,
      conversations: split.conversations,
      held_out_conversations: split.heldOutConversations,
      groups: split.groups,
    },
    ...(feedback === undefined ? {} : { feedback: toFeedback(feedback) }),
  }
}

function toFeedback({ lessons, used, textPrompts, leftOut }: FeedbackReport) {
  return { lessons, used, text_prompts: textPrompts, left_out: [...leftOut] }
}

export function toRow({ position, split, conversation, flags, example }: Omit<StoredRow, 'datasetId'>): RowItem {
  return { position, split, conversation, flags: JSON.parse(flags), row: JSON.parse(exportLine(parseExample(example))) }
}
