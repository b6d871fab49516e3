import { readFile, writeFile } from 'node:fs/promises'

export type Cell = number | undefined
export type Table = Readonly<{ name: string; columns: readonly string[]; rows: ReadonlyArray<readonly [string, ...Cell[]]> }>

/** As it stands in the documents. */
export function toMarkdown({ columns, rows }: Table): string {
  const lines = rows.map(([label, ...cells]) => [label, ...cells.map(formatCell)])
  const [first = '', ...others] = columns
  return [[first, ...others], ['---', ...others.map(() => '--:')], ...lines].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function formatCell(cell: Cell): string {
  if (cell === undefined || !Number.isFinite(cell)) return '–'
  if (Math.abs(cell) >= 100) return Math.round(cell).toLocaleString('en-US')
  return String(Number(cell.toPrecision(cell >= 10 ? 3 : 2)))
}

/** Puts each table between `<!-- NAME: … -->` and `<!-- end of NAME -->`; gives the names that have no such place. */
export async function writeInto(file: string, tables: readonly Table[]): Promise<readonly string[]> {
  let text = await readFile(file, 'utf8')
  const missing: string[] = []
  for (const table of tables) {
    const place = new RegExp(`(<!-- ${table.name}: [^\n]*-->\n)[^]*?(\n<!-- end of ${table.name} -->)`)
    if (place.test(text)) text = text.replace(place, (_all, begin, end) => `${begin}\n${toMarkdown(table)}\n${end}`)
    else missing.push(table.name)
  }
  await writeFile(file, text)
  return missing
}
