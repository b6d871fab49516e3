import { sql } from 'kysely'
import type { Database } from '../src/storage/tables.ts'
import type { TableLayout } from '../src/storage/transfer/layout.ts'
import { writeRows } from '../src/storage/transfer/write-rows.ts'

/** What is hard to keep: characters that one of the databases has no room for, and those around the edges of others. */
export const hardTexts = [
  '',
  'nul \0 in it',
  '\uFFFE and \uFFFE0',
  'it\'s "quoted" \\ and 100 %',
  '👩‍👩‍👧 ñandú\r\n\t',
  '\u2028 {"a":[1]}',
]
const hardNumbers = ['0', '-1', '9007199254740993', '9223372036854775807', '-9223372036854775808']
const hardReals = [0, 0.1, -1e-308, 1.7976931348623157e308, 3, 'Infinity']

/** Three vectors of 32-bit floats, as rows have them. */
const vectors = [
  [0, 1, -1],
  [0.1, 1e-30, 3.4028234663852886e38],
  [-0.5, 0.25, 1 / 3],
].map((numbers) => Buffer.from(Float32Array.from(numbers).buffer).toString('base64'))

/** Fills each table with rows of its own that hold what is hard to keep; references hold. `rows`: how many in each table. */
export async function fillTables(db: Database, layouts: readonly TableLayout[], rows = 6): Promise<void> {
  for (const layout of layouts) {
    const lines: string[] = []
    for (let row = 0; row < rows; row += 1)
      lines.push(JSON.stringify(layout.columns.map((column) => contentOf(layout, column.name, column.kind, row))))
    await writeRows(db, layout, lines)
  }
}

function contentOf(layout: TableLayout, column: string, kind: TableLayout['columns'][number]['kind'], row: number): unknown {
  if (column === layout.numbers) return 1000 + row * 3
  // What tells rows apart, or names a row of another table, is the same in all tables.
  if (kind === 'text' && (layout.key.includes(column) || /(^|_)(id|by|key|name|source|alias|hash|subject)$/.test(column)))
    return `${nameOf(column)}-${row}`
  if (column === 'passage_id') return 1000 + row * 3
  if (kind === 'vector') return vectors[row % vectors.length]
  if (kind === 'real') return hardReals[row % hardReals.length]
  if (kind === 'integer') return numberOf(layout, column, row)
  return hardTexts[row % hardTexts.length]
}

/** Of all references to one table alike. */
const nameOf = (column: string) => (/_(id|by)$|^id$/.test(column) ? 'row' : column)

function numberOf({ key }: TableLayout, column: string, row: number): number | string {
  if (key.includes(column)) return row
  const hard = hardNumbers[row % hardNumbers.length] ?? '0'
  return Number.isSafeInteger(Number(hard)) ? Number(hard) : hard
}

/** The number that the next row of a table gets. */
export async function nextFeedbackNumber(db: Database): Promise<number> {
  await db
    .insertInto('feedback')
    .values({
      id: 'the-next',
      userId: null,
      predictionId: null,
      rejectedPredictionId: null,
      rating: 'up',
      text: null,
      correction: null,
      tags: '[]',
      createdAt: '2026-01-01T00:00:00.000Z',
    })
    .execute()
  const { rows } = await sql<{ number: number }>`select rowid as number from feedback where id = 'the-next'`.execute(db)
  return Number(rows[0]?.number)
}
