import type { DatasetAnswer } from '../datasets/schema.ts'
import { reasonOf, type SayOfDatasets } from './datasets-messages.ts'

/** So many lines of each reason are shown; JSON has more of them. */
const shown = 3

/** What a dataset's report says, line by line. */
export function describeReport({ kind, report }: DatasetAnswer, say: SayOfDatasets): readonly string[] {
  const { split, feedback } = report
  const rows = {
    kind,
    train: split.train_rows,
    heldOut: split.held_out_rows,
    conversations: split.conversations,
  }
  return [
    say('rows', rows),
    ...(split.held_out_rows === 0 ? [say('nothingHeldOut')] : []),
    say('records', { rows: report.rows, records: report.records }),
    ...(report.empty_lines > 0 ? [say('emptyLines', { count: report.empty_lines })] : []),
    ...report.refused.flatMap(({ reason, count, examples }) => [
      say('refused', { count, reason: reasonOf(reason, say) }),
      ...examples.slice(0, shown).map(({ line, message }) => `  ${say('line', { line, message })}`),
    ]),
    ...(report.ignored_fields.length > 0
      ? [say('ignored', { fields: report.ignored_fields.map(({ field, count }) => `${field} (${count})`).join(', ') })]
      : []),
    ...report.flags.map(({ flag, count, examples }) => say('flagged', { flag, count, lines: describeLines(examples, count) })),
    ...report.excluded.map((excluded) => say('excluded', excluded)),
    ...(feedback === undefined ? [] : describeFeedback(feedback, say)),
  ]
}

function describeLines(examples: DatasetAnswer['report']['flags'][number]['examples'], count: number): string {
  const lines = examples
    .slice(0, shown)
    .map(({ line, first_line: first }) => (first === undefined ? String(line) : `${line} (${first})`))
  return count > shown ? `${lines.join(', ')}…` : lines.join(', ')
}

function describeFeedback(
  { lessons, used, text_prompts: textPrompts, left_out: leftOut }: NonNullable<DatasetAnswer['report']['feedback']>,
  say: SayOfDatasets,
): readonly string[] {
  return [
    say('lessons', { lessons, used }),
    ...(textPrompts > 0 ? [say('textPrompts', { count: textPrompts })] : []),
    ...leftOut.map(({ reason, count }) => say('leftOut', { count, reason: reasonOf(reason, say) })),
  ]
}
