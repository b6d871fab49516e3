import { join } from 'node:path'
import fc from 'fast-check'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import type { FoundPassage } from '../../src/embed/collection.ts'
import { clearCollection, insertPassages } from '../../src/embed/passage-rows.ts'
import { searchWords } from '../../src/embed/word-search.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { allBeginnings } from '../../src/storage/postgres-search.ts'
import type { Database } from '../../src/storage/tables.ts'
import { openFolder } from '../temp-folder.ts'
import { databaseAt } from './database-at.ts'

const id = '4f1f1a3e-0000-4000-8000-000000000001'
const collection = { id, ownerId: null, name: 'words', isShared: false, model: '', dimensions: 1, nextModel: undefined }

type Text = Readonly<{ text: string; section?: string | undefined }>

/** The same passages in SQLite and in PostgreSQL. */
async function openBoth(folder: string) {
  const databases = [
    await openStorage({ url: join(folder, 'simpleia.db') }),
    await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) }),
  ]
  const row = { id, name: 'words', model: '', dimensions: 1, isShared: 0, ownerId: null, nextModel: null } as const
  for (const { db } of databases)
    await db
      .insertInto('collections')
      .values({ ...row, createdAt: '', updatedAt: '' })
      .execute()
  const fill = async (db: Database, texts: readonly Text[]) => {
    await clearCollection(db, id)
    const passages = texts.map(({ text, section }, index) => ({
      text,
      itemId: String(index),
      documentId: null,
      position: 0,
      createdAt: '',
      place: section === undefined ? {} : { section },
    }))
    await insertPassages(db, id, passages)
  }
  const [sqlite, postgres] = databases.map(({ db }) => ({
    fill: (texts: readonly Text[]) => fill(db, texts),
    find: (text: string, k: number) => searchWords(db, collection, { text, k }),
  }))
  if (sqlite === undefined || postgres === undefined) throw new Error('unreachable')
  return {
    sqlite,
    postgres,
    db: databases[1]?.db,
    async [Symbol.asyncDispose]() {
      for (const { close } of databases) await close()
    },
  }
}

/** Of scores, what the order in which their parts are summed may change. */
const rounding = 1e-9

/** The same passages with the same scores, best first; those whose scores are the same but for rounding in any order. */
function expectSameRanking(found: readonly FoundPassage[], expected: readonly FoundPassage[], query: string) {
  const scores = new Map(expected.map(({ itemId, score }) => [itemId, score]))
  expect(found.map(({ itemId }) => itemId).sort(), query).toEqual([...scores.keys()].sort())
  const inFoundOrder = found.map(({ itemId }) => scores.get(itemId) ?? Number.NaN)
  for (const [index, { score }] of found.entries()) {
    const expectedScore = inFoundOrder[index] ?? Number.NaN
    expect(Math.abs(score / expectedScore - 1), `${query}: ${score} and ${expectedScore}`).toBeLessThan(rounding)
    const next = inFoundOrder[index + 1] ?? 0
    expect(next / expectedScore, `${query}: the order of ${expectedScore} and ${next}`).toBeLessThan(1 + rounding)
  }
}

const word = fc.constantFrom(
  ...'the of que flor flores flora acción ACCION accions save saving saved file files file-name 2024 202 c3po Straße ΩΜΕΓΑ x y zz 東京 don’t'.split(
    ' ',
  ),
)
const words = (most: number) => fc.array(word, { minLength: 1, maxLength: most }).map((all) => all.join(' '))

test('passages come in the order of FTS5, with its scores', async () => {
  await using folder = await openFolder()
  await using both = await openBoth(folder.path)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ text: words(12), section: fc.option(words(3), { nil: undefined }) }), { minLength: 1, maxLength: 12 }),
      fc.array(words(5), { minLength: 1, maxLength: 6 }),
      async (texts, queries) => {
        await both.sqlite.fill(texts)
        await both.postgres.fill(texts)
        for (const query of queries) {
          expectSameRanking(await both.postgres.find(query, 20), await both.sqlite.find(query, 20), query)
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('among many, those that hold the rare word come first, and then those that hold the usual ones most', async () => {
  await using folder = await openFolder()
  await using both = await openBoth(folder.path)
  const texts = Array.from({ length: 900 }, (_, index) => ({
    text: `usual text ${'usual '.repeat(index % 3)}number${index} ${index === 700 ? 'rare' : ''} ${'filler '.repeat(index % 7)}`,
  }))
  await both.sqlite.fill(texts)
  await both.postgres.fill(texts)
  for (const query of ['a rare and usual text', 'number650 usual', 'number12 number13 text'])
    expectSameRanking(await both.postgres.find(query, 20), await both.sqlite.find(query, 20), query)
})

test('what is no word and what is cut from none are no words in either', async () => {
  await using folder = await openFolder()
  await using both = await openBoth(folder.path)
  const texts = ['one\0two', 'ends.here', 'a_b', 'x@y.example/path?q=1', '\uFFFEEnd', '-5e3', 'e\u0301te\u0301'].map((text) => ({
    text,
  }))
  await both.sqlite.fill(texts)
  await both.postgres.fill(texts)
  for (const query of ['two', 'one', 'here', 'a b', 'path', 'example', 'end', '5e3', 'été', 'two one', 'q 1'])
    expectSameRanking(await both.postgres.find(query, 20), await both.sqlite.find(query, 20), query)
})

test.each([
  ['नमस्ते दुनिया', 'नमस्ते'],
  ['नमस्ते दुनिया', 'दुनि'],
  ['สวัสดีครับ', 'สวัสดี'],
  ['Acción rápida', 'ACCIO'],
])('"%s" is found by "%s", whatever signs stand inside its words', async (text, word) => {
  await using folder = await openFolder()
  const { db, close } = await openStorage({ url: await databaseAt(join(folder.path, 'simpleia.db')) })
  const found = async (words: readonly string[]) =>
    (await sql<{ found: boolean }>`select simpleia_words(${text}) @@ ${allBeginnings(words)} as found`.execute(db)).rows
  expect(await found([word])).toEqual([{ found: true }])
  expect(await found([word, 'missing'])).toEqual([{ found: false }])
  await close()
})
