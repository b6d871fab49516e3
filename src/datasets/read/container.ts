import { AppError } from '../../errors.ts'
import type { Container, DatasetFormat } from '../kinds.ts'

export type FoundContainer = Readonly<{ container: Container; delimiter: string }>

/** So many lines are looked at. */
const looked = 20

/** Columns that make a table of what else would be lines of text. */
const tables = [
  ['prompt', 'completion'],
  ['prompt', 'response'],
  ['question', 'answer'],
  ['instruction', 'output'],
  ['instruction', 'response'],
  ['prompt', 'chosen', 'rejected'],
] as const

/**
 * What a file is made of: by its beginning, and by the ending of its name where that tells tables from text. Throws `unprocessable`
 * for what begins like JSON and is none.
 */
export function findContainer(head: string, fileName: string, format: DatasetFormat | undefined): FoundContainer {
  if (head.trim() === '') return { container: 'json-lines', delimiter: '' }
  if (/^\s*\[\s*[{\]]/.test(head)) return { container: 'json-list', delimiter: '' }
  const lines = head.split('\n').filter((line) => line.trim() !== '')
  const isOneLine = lines.length === 1
  if (isOneLine && /^\s*\{\s*"/.test(head)) return { container: 'json-lines', delimiter: '' }
  if (lines.slice(0, looked).some(isObject)) return { container: 'json-lines', delimiter: '' }
  const [header = ''] = lines
  const table = findTable(header, fileName)
  if (table !== undefined) return { container: 'table', delimiter: table }
  const isTextName = /\.(?:txt|text|md)$/i.test(fileName)
  if (format === 'text' || (format === undefined && (isTextName || !/^\s*\{|\.jsonl?$|\.ndjson$/i.test(beginOf(head, fileName)))))
    return { container: 'text-lines', delimiter: '' }
  throw new AppError(
    'unprocessable',
    'None of the first lines is a JSON object. Write one object a line (JSONL), or one list of objects; for plain text, name the format "text".',
  )
}

/** What tells JSON that went wrong: its first brace, or the ending of its name. */
const beginOf = (head: string, fileName: string) => (/^\s*\{/.test(head) ? head : fileName)

function isObject(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

/** The sign between the columns. */
function findTable(header: string, fileName: string): string | undefined {
  for (const delimiter of [',', ';', '\t']) {
    const names = header.split(delimiter).map(columnName)
    if (tables.some((columns) => columns.every((column) => names.includes(column)))) return delimiter
  }
  if (/\.tsv$/i.test(fileName)) return '\t'
  if (/\.csv$/i.test(fileName)) return header.split(';').length > header.split(',').length ? ';' : ','
  return undefined
}

export function columnName(cell: string): string {
  return cell
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .trim()
    .toLowerCase()
}
