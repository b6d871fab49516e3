import { sql } from 'kysely'
import { type Migration, numberedTables } from '../migrations.ts'
import { openInMemory } from '../open-storage.ts'
import type { Database } from '../tables.ts'

export type ColumnKind = 'text' | 'integer' | 'real' | 'vector'
export type Column = Readonly<{ name: string; kind: ColumnKind }>

/** What a table holds, whichever database it is in. */
export type TableLayout = Readonly<{
  name: string
  columns: readonly Column[]
  /** The columns that tell a row from all others. */
  key: readonly string[]
  /** The column of numbers that the database gives to new rows. */
  numbers: string | undefined
}>

/**
 * The tables of those migrations, each behind those that it refers to: as SQLite has them. What PostgreSQL has besides, and what
 * SQLite's own searches keep, is made from their rows.
 */
export async function readLayouts(migrations?: readonly Migration[]): Promise<readonly TableLayout[]> {
  const { db, close } = await openInMemory(migrations)
  try {
    const names = await listTables(db)
    const layouts: TableLayout[] = []
    const add = async (name: string): Promise<void> => {
      if (layouts.some((layout) => layout.name === name)) return
      for (const other of await listReferences(db, name)) if (other !== name) await add(other)
      layouts.push(await readLayout(db, name))
    }
    for (const name of names) await add(name)
    return layouts
  } finally {
    await close()
  }
}

/** What belongs to the database itself, and to the processes that use it now. */
export const leftOut: readonly string[] = ['schema_migrations', 'instances']

async function listTables(db: Database): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`select name from pragma_table_list
    where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\' order by name`.execute(db)
  return rows.map(({ name }) => name).filter((name) => !leftOut.includes(name))
}

async function listReferences(db: Database, table: string): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`select "table" as name from pragma_foreign_key_list(${table}) order by 1`.execute(
    db,
  )
  return rows.map(({ name }) => name)
}

const kinds: ReadonlyMap<string, ColumnKind> = new Map([
  ['text', 'text'],
  ['integer', 'integer'],
  ['bigint', 'integer'],
  ['double precision', 'real'],
  ['blob', 'vector'],
])

async function readLayout(db: Database, table: string): Promise<TableLayout> {
  const { rows } = await sql<{ name: string; type: string; place: number }>`select name, lower(type) as type, pk as place
    from pragma_table_info(${table}) order by cid`.execute(db)
  const columns = rows.map(({ name, type }): Column => {
    const kind = kinds.get(type)
    if (kind === undefined) throw new Error(`The column ${table}.${name} has the type ${type}, which cannot be copied.`)
    return { name, kind }
  })
  const inKey = rows.filter(({ place }) => place > 0).sort((one, other) => one.place - other.place)
  const key = inKey.map(({ name }) => name)
  if (numberedTables.some((name) => name === table))
    return { name: table, columns: [...columns, { name: 'rowid', kind: 'integer' }], key, numbers: 'rowid' }
  const isNumbered = inKey.length === 1 && inKey[0]?.type === 'integer'
  return { name: table, columns, key, numbers: isNumbered ? key[0] : undefined }
}
