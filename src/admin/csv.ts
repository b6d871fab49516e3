/** What a spreadsheet would run instead of showing it, also where it takes another sign than a comma for the end of a field. */
const formula = /(^|[;|\t\r\n])(?=[=+\-@＝＋－＠\t\r])/g

type Cell = string | number | null

/** One line of CSV (RFC 4180). What a spreadsheet would take for a formula has an apostrophe before it. */
export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(toField).join(',')}\r\n`
}

function toField(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell === 'number') return String(cell)
  const text = cell.replaceAll(formula, "$1'")
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
