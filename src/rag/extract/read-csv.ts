import { parse } from 'csv-parse/sync'
import { AppError } from '../../errors.ts'
import type { ReadDocument } from './blocks.ts'

const delimiters = [',', ';', '\t', '|'] as const

/** Rows as sentences: each cell after the name of its column, so that a row tells its meaning alone. */
export function readCsv(text: string): ReadDocument {
  const [first, ...rest] = parseRows(text, detectDelimiter(text))
  if (first === undefined) return { blocks: [] }
  const names = isHeader(first) ? first : undefined
  const rows = names === undefined ? [first, ...rest] : rest
  // A table without rows still has the names of its columns.
  if (rows.length === 0) return { blocks: [{ type: 'table-row', text: first.join('; ') }] }
  return { blocks: rows.map((row) => ({ type: 'table-row', text: describeRow(row, names) })) }
}

/** `Name: Ana; City: Cádiz`; empty cells are left out. */
export function describeRow(cells: readonly string[], names: readonly string[] | undefined): string {
  return cells
    .map((cell, index): [string, string] => [names?.[index]?.trim() ?? '', cell.replace(/\s+/g, ' ').trim()])
    .filter(([, cell]) => cell !== '')
    .map(([name, cell]) => (name === '' ? cell : `${name}: ${cell}`))
    .join('; ')
}

function parseRows(text: string, delimiter: string): string[][] {
  try {
    return parse(text, {
      delimiter,
      bom: true,
      skip_empty_lines: true,
      relax_column_count: true,
      relax_quotes: true,
      trim: delimiter !== '\t',
      max_record_size: 1_000_000,
    })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new AppError('unprocessable', `The file is no table that can be read: ${reason.slice(0, 200)}`, { cause: error })
  }
}

/** The sign that cuts the first lines into the most columns, each into as many. */
function detectDelimiter(text: string): string {
  const lines = text
    .slice(0, 20_000)
    .split(/\r\n?|\n/)
    .filter((line) => line.trim() !== '')
    .slice(0, 20)
  const rated = delimiters.map((delimiter) => {
    const columns = lines.map((line) => line.replace(/"(?:[^"]|"")*"/g, '').split(delimiter).length)
    const [usual = 1] = columns
    const alike = columns.filter((count) => count === usual).length / Math.max(1, columns.length)
    return { delimiter, rating: usual < 2 ? 0 : alike * 100 + Math.min(usual, 50) }
  })
  return rated.reduce((best, other) => (other.rating > best.rating ? other : best)).delimiter
}

/** Names are there, differ, and are no numbers. */
export function isHeader(row: readonly string[]): boolean {
  const cells = row.map((cell) => cell.trim())
  const named = cells.filter((cell) => cell !== '')
  return named.length > 0 && new Set(named).size === named.length && !named.some((cell) => /^[-+]?[\d.,]+%?$/.test(cell))
}
