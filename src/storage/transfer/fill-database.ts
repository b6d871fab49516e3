import { AppError } from '../../errors.ts'
import type { Storage } from '../open-storage.ts'
import type { TableLayout } from './layout.ts'
import { readLastNumber, readRows } from './read-rows.ts'
import { createTableSum, sumTable, type TableSum } from './table-sum.ts'
import { findFilledTable, setLastNumber, writeRows } from './write-rows.ts'

/** Where rows come from: another database, or a backup. */
export type RowSource = Readonly<{
  readRows(layout: TableLayout): AsyncIterable<readonly string[]>
  readLastNumber(layout: TableLayout): Promise<string>
}>

export type TableCopied = Readonly<{ table: string }> & TableSum

/**
 * Fills an empty database in one transaction: whatever ends it early leaves it empty. Each table is read again before the end, and
 * must give what was sent. Throws `conflict` where there is a row already, `unprocessable` for rows that the database refuses or
 * gives back otherwise.
 */
export async function fillDatabase(
  target: Storage,
  layouts: readonly TableLayout[],
  source: RowSource,
  onTable: (copied: TableCopied) => void,
): Promise<void> {
  await target.db.transaction().execute(async (db) => {
    const filled = await findFilledTable(db, layouts)
    if (filled !== undefined)
      throw new AppError('conflict', `The database is not empty: its table "${filled}" holds rows. Choose an empty one.`)
    for (const layout of layouts) {
      const sent = createTableSum()
      for await (const lines of source.readRows(layout)) {
        sent.add(lines)
        await writeRows(db, layout, lines)
      }
      await setLastNumber(db, layout, await source.readLastNumber(layout))
      const [expected, got] = [sent.end(), await sumTable(db, layout)]
      if (expected.rows !== got.rows || expected.sha256 !== got.sha256)
        throw new AppError('unprocessable', `The table "${layout.name}" did not arrive as it was sent. Nothing was kept.`)
      onTable({ table: layout.name, ...got })
    }
  })
}

/** All rows of one database as they are now go into another one that is empty. Throws as `fillDatabase` does. */
export async function copyDatabase(
  source: Storage,
  target: Storage,
  layouts: readonly TableLayout[],
  onTable: (copied: TableCopied) => void,
): Promise<void> {
  await source.readSnapshot((db) => fillDatabase(target, layouts, databaseSource(db), onTable))
}

export function databaseSource(db: Parameters<typeof readRows>[0]): RowSource {
  return {
    readRows: (layout) => readRows(db, layout),
    readLastNumber: (layout) => readLastNumber(db, layout),
  }
}
