import { join } from 'node:path'
import fc from 'fast-check'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { toCondition } from '../../src/embed/metadata-filter.ts'
import { metadataIn } from '../../src/embed/metadata-values.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { Database } from '../../src/storage/tables.ts'
import { openFolder } from '../temp-folder.ts'
import { databaseAt } from './database-at.ts'

async function lets(db: Database, metadata: unknown, filter: unknown): Promise<boolean> {
  const condition = toCondition(db, filter, metadataIn(db, sql`${JSON.stringify(metadata)}`))
  const { rows } = await sql<{ found: number | boolean }>`select (${condition}) as found`.execute(db)
  const [row] = rows
  if (typeof row?.found !== 'number' && typeof row?.found !== 'boolean') throw new Error('No condition is null.')
  return Boolean(row.found)
}

const name = fc.constantFrom('a', 'b', '0', 'a.b', 'a.0', '"', '\\', '\\u0000', 'ñ', '', '__proto__')
const text = fc.constantFrom(
  '',
  'a',
  'A',
  'z',
  'é',
  '\uFFFE',
  '\uFFFE0',
  '\u{1F600}',
  '\uFF5E',
  '1',
  'true',
  'null',
  '\\u0000',
  '\u0001',
)
const number = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 0.1, 1e21, 1e300, 5e-324, 2 ** 53, 123456789.125),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)
const value = fc.oneof(text, number, fc.boolean(), fc.constant(null))
const { metadata } = fc.letrec((tie) => ({
  metadata: fc.dictionary(name, tie('anything'), { maxKeys: 4 }),
  anything: fc.oneof({ depthSize: 'small' }, value, fc.array(tie('anything'), { maxLength: 2 }), tie('metadata')),
}))
const field = fc.oneof(
  name,
  fc.tuple(name, name).map((both) => both.join('.')),
)
const bound = fc.oneof(text, number)
const condition = fc.oneof(
  value,
  fc.array(value, { maxLength: 3 }),
  fc.oneof(
    fc.record({ eq: value }),
    fc.record({ ne: value }),
    fc.record({ gt: bound }),
    fc.record({ gte: bound, lt: bound }),
    fc.record({ lte: bound }),
  ),
)

test('a filter lets through what it does in SQLite', async () => {
  await using folder = await openFolder()
  const sqlite = await openStorage({ url: join(folder.path, 'simpleia.db') })
  const postgres = await openStorage({ url: await databaseAt(join(folder.path, 'simpleia.db')) })
  let through = 0
  await fc.assert(
    fc.asyncProperty(metadata, field, condition, fc.boolean(), async (given, at, asked, isThere) => {
      const held = isThere ? { ...Object(given), [at]: Array.isArray(asked) ? (asked[0] ?? null) : asked } : given
      const filter = Object.fromEntries([[at, asked]])
      const expected = await lets(sqlite.db, held, filter)
      through += expected ? 1 : 0
      expect(await lets(postgres.db, held, filter)).toBe(expected)
    }),
    { numRuns: 600 },
  )
  expect(through).toBeGreaterThan(50)
  await sqlite.close()
  await postgres.close()
})

test('what PostgreSQL has no character for is told apart, and harms nothing', async () => {
  await using folder = await openFolder()
  const { db, close } = await openStorage({ url: await databaseAt(join(folder.path, 'simpleia.db')) })
  const held = { nul: 'a\0b', both: '\0\0', words: '\\u0000', slash: '\\\0', half: '\ud800x', 'na\0me': 1 }
  for (const [at, asked] of Object.entries({ ...held, half: { ne: 'x' } }))
    expect(await lets(db, held, { [at]: asked }), at).toBe(true)
  for (const [at, asked] of [
    ['nul', 'a\uFFFE0b'],
    ['nul', 'a\\u0000b'],
    ['words', '\0'],
    ['slash', '\\\\u0000'],
    ['name', 1],
    ['half', 'x'],
  ] as const)
    expect(await lets(db, held, { [at]: asked }), at).toBe(false)
  await close()
})
