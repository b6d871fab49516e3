/** What a spreadsheet would run instead of showing it. */
const formula = /^[=+\-@\t\r]/

type Cell = string | number | null

/** One line of CSV (RFC 4180). A text that a spreadsheet would take for a formula has an apostrophe before it. */
export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(toField).join(',')}\r\n`
}

function toField(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell === 'number') return String(cell)
  const text = formula.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
