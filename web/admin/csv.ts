export type Cell = string | number | boolean | null | undefined

/** Rows as RFC 4180 says. A text that a spreadsheet would take for a formula begins with an apostrophe. */
export function toCsv(rows: ReadonlyArray<readonly Cell[]>): string {
  return rows.map((row) => `${row.map(toCell).join(',')}\r\n`).join('')
}

function toCell(value: Cell): string {
  if (value === null || value === undefined) return ''
  if (typeof value !== 'string') return String(value)
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

export const csvFile = (csv: string): Blob => new Blob([csv], { type: 'text/csv' })
