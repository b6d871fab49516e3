import { resolve } from 'node:path'
import { openStorage } from '../storage/open-storage.ts'
import { isPostgresUrl } from '../storage/postgres.ts'
import { copyDatabase, type TableCopied } from '../storage/transfer/fill-database.ts'
import { readLayouts } from '../storage/transfer/layout.ts'
import { speakOfBackups } from './backup-messages.ts'
import { type Context, configOf, writeLine } from './context.ts'
import { inLanguage } from './in-language.ts'

/** `admin migrate-data --to URL` */
export async function migrateData(context: Context): Promise<number> {
  const { values, language, terminal } = context
  const sayOf = speakOfBackups(language)
  const { databaseUrl } = configOf(context, { serves: false })
  const to = values.get('to')
  if (to === undefined || placeOf(to) === placeOf(databaseUrl)) {
    writeLine(terminal.notes, sayOf(to === undefined ? 'noTarget' : 'sameDatabase'))
    return 2
  }
  return inLanguage(context, async () => {
    const copied: TableCopied[] = []
    await copyAll(databaseUrl, to, (table) => {
      copied.push(table)
      writeLine(terminal.output, sayOf('table', table))
    })
    const rows = copied.reduce((sum, table) => sum + table.rows, 0)
    writeLine(terminal.notes, sayOf('copied', { rows, tables: copied.length }))
    writeLine(terminal.notes, sayOf('copiedNext'))
    return 0
  })
}

const placeOf = (url: string) => (isPostgresUrl(url) ? url : resolve(url))

async function copyAll(from: string, to: string, onTable: (copied: TableCopied) => void): Promise<void> {
  const layouts = await readLayouts()
  const source = await openStorage({ url: from })
  try {
    const target = await openStorage({ url: to })
    try {
      await copyDatabase(source, target, layouts, onTable)
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}
