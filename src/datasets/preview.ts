import { AppError } from '../errors.ts'
import type { DatasetKind } from './kinds.ts'
import type { ReadMessage } from './read/read-process.ts'
import type { ReadRow } from './read/read-protocol.ts'
import type { DatasetReport, FeedbackReport } from './report.ts'

/** What a dataset would be; nothing is stored. */
export type DatasetPreview = Readonly<{ kind: DatasetKind; report: DatasetReport; rows: readonly ReadRow[] }>

const shownRows = 10

/** Reads as far as the first rows: by then all rows have been compared and counted. */
export async function readPreview(
  messages: AsyncIterable<ReadMessage>,
  feedback: FeedbackReport | undefined,
): Promise<DatasetPreview> {
  let survey: Extract<ReadMessage, { type: 'read-survey' }> | undefined
  for await (const message of messages) {
    if (message.type === 'read-survey') survey = message
    if (message.type !== 'read-rows' || survey === undefined) continue
    const report = feedback === undefined ? survey.report : { ...survey.report, feedback }
    return { kind: survey.kind, report, rows: message.rows.slice(0, shownRows) }
  }
  throw new AppError('internal', 'The reader of datasets did not end its work.')
}
