import { createHash } from 'node:crypto'
import type { Database } from '../tables.ts'
import type { TableLayout } from './layout.ts'
import { readRows } from './read-rows.ts'

/** How many rows a table has, and the SHA-256 of them all in their canonical form, in hex. */
export type TableSum = Readonly<{ rows: number; sha256: string }>

export function createTableSum() {
  const hash = createHash('sha256')
  let rows = 0
  return {
    add(lines: readonly string[]): void {
      rows += lines.length
      for (const line of lines) hash.update(`${line}\n`)
    },
    end: (): TableSum => ({ rows, sha256: hash.digest('hex') }),
  }
}

export async function sumTable(db: Database, layout: TableLayout): Promise<TableSum> {
  const sum = createTableSum()
  for await (const lines of readRows(db, layout)) sum.add(lines)
  return sum.end()
}
