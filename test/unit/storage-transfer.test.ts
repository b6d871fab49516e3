import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Storage } from '../../src/storage/open-storage.ts'
import { copyDatabase, databaseSource, fillDatabase, type TableCopied } from '../../src/storage/transfer/fill-database.ts'
import { leftOut, readLayouts, type TableLayout } from '../../src/storage/transfer/layout.ts'
import { readLastNumber, readRows } from '../../src/storage/transfer/read-rows.ts'
import { sumTable } from '../../src/storage/transfer/table-sum.ts'
import { findFilledTable } from '../../src/storage/transfer/write-rows.ts'
import { closeOpened, openToClose } from '../opened-storages.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { fillTables, hardTexts, nextFeedbackNumber } from '../transfer-world.ts'

let folder: string
let layouts: readonly TableLayout[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-transfer-'))
  layouts = await readLayouts()
})

afterEach(async () => {
  await closeOpened()
  await rm(folder, { recursive: true })
})

const openAt = (url: string) => openToClose({ url })

/** A database of the kind that the tests run on. */
const openHere = async (name: string) => openAt(await databaseAt(join(folder, name)))
/** Always SQLite. */
const openFile = (name: string) => openAt(join(folder, name))

async function sumAll({ db }: Storage): Promise<unknown> {
  return Promise.all(layouts.map(async (layout) => [layout.name, await sumTable(db, layout)]))
}

async function copy(from: Storage, to: Storage): Promise<TableCopied[]> {
  const copied: TableCopied[] = []
  await copyDatabase(from, to, layouts, (table) => copied.push(table))
  return copied
}

describe('copying', () => {
  test('every table comes to the other side as it was, with what is hard to keep, and back again', async () => {
    const [first, second, third] = [await openFile('first.db'), await openHere('second.db'), await openFile('third.db')]
    await fillTables(first.db, layouts)
    const copied = await copy(first, second)
    expect(copied.map(({ table, rows }) => [table, rows])).toEqual(layouts.map(({ name }) => [name, 6]))
    await copy(second, third)
    const sums = await sumAll(first)
    expect(await sumAll(second)).toEqual(sums)
    expect(await sumAll(third)).toEqual(sums)
  })

  test('a text is read on the other side as it was written here', async () => {
    const [from, to] = [await openFile('first.db'), await openHere('second.db')]
    await fillTables(from.db, layouts)
    await copy(from, to)
    const rows = await to.db.selectFrom('feedback').select('text').orderBy('id').execute()
    expect(rows.map(({ text }) => text)).toEqual(hardTexts)
  })

  test('new rows get higher numbers than all that there have been, those that are gone too', async () => {
    const [from, to, back] = [await openFile('first.db'), await openHere('second.db'), await openFile('third.db')]
    await fillTables(from.db, layouts)
    await from.db.deleteFrom('passages').where('id', '>=', 1000).execute()
    await copy(from, to)
    await copy(to, back)
    for (const { db } of [to, back]) {
      const [passages] = layouts.filter(({ name }) => name === 'passages')
      if (passages !== undefined) expect(await readLastNumber(db, passages)).toBe('1015')
      expect(await nextFeedbackNumber(db)).toBe(1016)
    }
  })

  test('more rows than one piece come all, each once', async () => {
    const [from, to] = [await openFile('first.db'), await openHere('second.db')]
    const history = layouts.filter(({ name }) => name === 'history' || name === 'usage_days')
    await fillTables(from.db, history, 1001)
    await copyDatabase(from, to, history, () => {})
    for (const layout of history) expect((await sumTable(to.db, layout)).rows).toBe(1001)
  })

  test('what is written meanwhile is not half there', async () => {
    const [from, to] = [await openHere('first.db'), await openFile('second.db')]
    await fillTables(from.db, layouts)
    const before = await sumAll(from)
    await from.readSnapshot(async (db) => {
      await from.db.updateTable('feedback').set({ text: 'later' }).execute()
      await fillDatabase(to, layouts, databaseSource(db), () => {})
    })
    expect(await sumAll(to)).toEqual(before)
  })
})

describe('refusing', () => {
  test('a database that holds a row is refused, and stays as it was', async () => {
    const [from, to] = [await openFile('first.db'), await openHere('second.db')]
    await fillTables(from.db, layouts)
    await nextFeedbackNumber(to.db)
    const before = await sumAll(to)
    await expect(copy(from, to)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('"feedback" holds rows'),
    })
    expect(await sumAll(to)).toEqual(before)
  })

  test('what fails at the last table leaves nothing', async () => {
    const [from, to] = [await openFile('first.db'), await openHere('second.db')]
    await fillTables(from.db, layouts)
    const source = databaseSource(from.db)
    const last = layouts.at(-1)?.name
    const broken = {
      ...source,
      async *readRows(layout: TableLayout) {
        if (layout.name === last) throw new Error('The source broke off.')
        yield* source.readRows(layout)
      },
    }
    await expect(fillDatabase(to, layouts, broken, () => {})).rejects.toThrow('The source broke off.')
    expect(await findFilledTable(to.db, layouts)).toBeUndefined()
  })

  test('a row whose reference is missing is refused without its content', async () => {
    const to = await openHere('second.db')
    const keys = layouts.filter(({ name }) => name === 'api_keys')
    await expect(fillTables(to.db, keys)).rejects.toMatchObject({
      code: 'unprocessable',
      message: expect.stringMatching(/^The database does not take a row of the table "api_keys" \(\w+\)\.$/),
    })
  })
})

test('each table of the database is among those that are copied, with all its columns', async () => {
  const { db } = await openHere('first.db')
  // What is looked for is made from the rows, in each database in its way.
  const made = /^((passages|conversations|messages)_search|(passage|collection)_words)/
  const madeColumns = ['vectors.collection_id', 'vectors.awaits_graph']
  const all = await db.introspection.getTables()
  const tables = all.filter(({ name }) => !made.test(name) && !leftOut.includes(name))
  for (const { name, columns } of tables) {
    const layout = layouts.find((one) => one.name === name)
    expect(layout, name).toBeDefined()
    const missing = columns.filter((column) => !layout?.columns.some((one) => one.name === column.name))
    const names = missing.map((column) => `${name}.${column.name}`)
    expect(names.filter((column) => !madeColumns.includes(column))).toEqual([])
  }
  for (const layout of layouts) for await (const _ of readRows(db, layout));
})
