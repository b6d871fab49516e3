import { join } from 'node:path'
import { type ColumnMetadata, sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../src/client.ts'
import { type Migration, migrations } from '../../src/storage/migrations.ts'
import { openInMemory, openStorage } from '../../src/storage/open-storage.ts'
import type { Database } from '../../src/storage/tables.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { startServer } from '../server.ts'
import { scriptedHost } from './cli-world.ts'

const never = new AbortController().signal

/** As a later version may change tables: each of them gets a column that has a default, and there is one table more. */
const later: Migration = {
  id: '999-later',
  async up(db) {
    for (const table of await tablesOf(db))
      await db.schema
        .alterTable(table)
        .addColumn('later', 'text', (column) => column.notNull().defaultTo('later'))
        .execute()
    await db.schema.createTable('later').addColumn('id', 'text').execute()
  },
}

async function tablesOf(db: Database): Promise<readonly string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: false })
  return tables.filter(({ name, isView }) => !isView && !/^sqlite_|_(search|words)/.test(name)).map(({ name }) => name)
}

test('a process of the version before goes on while a newer one has changed the tables, and is not started again', async () => {
  const server = await startServer({ host: scriptedHost(['Buenos', ' días']).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const client = createClient({ baseUrl: server.url, token: await server.login('ana') })
  const before = await client.addConversation()
  const url = await databaseAt(join(server.dataDir, 'simpleia.db'))

  const newer = await openStorage({ url, migrations: [...migrations, later] })
  onTestFinished(() => newer.close())
  const { id, choices } = await client.predict({ prompt: '¿Qué tal?' }, never)
  expect(choices[0]?.text).toBe('Buenos días')
  await client.sendFeedback({ prediction_id: id, rating: 'up' })
  await client.addConversation()
  expect((await client.conversations()).items.map((one) => one.id)).toContain(before.id)
  await client.addKey({ name: 'script', scopes: ['inference'] })
  const add = { method: 'POST', body: JSON.stringify({ documents: ['El faro de Vigo', 'La torre de Hércules'] }) }
  const headers = { authorization: `Bearer ${await server.login('ana')}`, 'content-type': 'application/json' }
  expect((await fetch(`${server.url}/embed/add`, { ...add, headers })).status).toBe(200)
  const search = { method: 'POST', body: JSON.stringify({ query: 'El faro de Vigo', k: 1 }) }
  expect(await (await fetch(`${server.url}/embed/search`, { ...search, headers })).json()).toMatchObject({
    results: [{ text: 'El faro de Vigo' }],
  })
  await server.login('luis')

  // What the one before writes has what the newer one needs.
  for (const table of ['users', 'predictions', 'feedback', 'conversations', 'api_keys', 'passages'])
    expect([table, await countLater(newer.db, table)]).toEqual([table, expect.any(Number)])
  await expect(startServer({ host: scriptedHost([]).host, settings: { DATABASE_URL: url } })).rejects.toThrow(
    /A newer simpleIA has changed the database \("999-later"/,
  )
  expect((await fetch(`${server.url}/health`)).status).toBe(200)
})

async function countLater(db: Database, table: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from ${sql.table(table)} where later = 'later'`.execute(db)
  const [{ count } = { count: 0 }] = rows
  if (Number(count) === 0) throw new Error(`${table} has no row that the newer one understands.`)
  return Number(count)
}

/** What a version before knows of a table: it goes on while the next one has begun, so all of that must stay. */
async function columnsOf(db: Database): Promise<ReadonlyMap<string, ColumnMetadata>> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: false })
  return new Map(tables.flatMap(({ name, columns }) => columns.map((column) => [`${name}.${column.name}`, column] as const)))
}

test('a migration adds, and takes nothing away that the version before reads or writes', async () => {
  const problems: string[] = []
  const { db, close } = await openInMemory([])
  onTestFinished(close)
  for (const migration of migrations) {
    const before = await columnsOf(db)
    const known = new Set([...before.keys()].map((name) => name.split('.')[0]))
    await migration.up(db)
    const after = await columnsOf(db)
    for (const [name, { dataType, isNullable }] of before) {
      const now = after.get(name)
      if (now?.dataType !== dataType || (isNullable && !now.isNullable)) problems.push(`${migration.id} changes ${name}`)
    }
    for (const [name, { isNullable, hasDefaultValue }] of after) {
      const isForNewRows = isNullable || hasDefaultValue || before.has(name) || !known.has(name.split('.')[0])
      if (!isForNewRows) problems.push(`${migration.id} adds ${name}, which rows of the version before have not`)
    }
  }
  expect(problems).toEqual([])
})
