import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import { latestRating } from '../storage/feedback-sql.ts'
import { readCursor, writeCursor } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'
import type {
  PageOptions,
  Prediction,
  PredictionFilter,
  PredictionOwner,
  PredictionPage,
  Predictions,
  PredictionsParts,
} from './prediction.ts'

/** Rows deleted by one statement. */
const rowsPerPiece = 100

/** Characters of an answer that lists tell. */
const answerCharacters = 200

const listed = ['id', 'ownerId', 'ownerKey', 'excerpt', 'provider', 'model', 'ranOn', 'rolloutId', 'createdAt'] as const

export function createPredictions({ db, now }: PredictionsParts): Predictions {
  return {
    list: (owner, filter, page) => list(db, owner, filter, page),

    find: (owner, id) => find(db, owner, id),

    async remove(owner, id) {
      const { numDeletedRows } = await db
        .deleteFrom('predictions')
        .where('id', '=', id)
        .$if(owner !== undefined, (query) => query.where(ownedBy(owner)))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },

    removeAll: (owner) => removeAll(db, owner, new Date(now()).toISOString()),

    async isKeptFor(userId) {
      const user = await db.selectFrom('users').select('keepsPredictions').where('id', '=', userId).executeTakeFirst()
      return user?.keepsPredictions === 1
    },

    async setKept(userId, isKept) {
      await db
        .updateTable('users')
        .set({ keepsPredictions: isKept ? 1 : 0 })
        .where('id', '=', userId)
        .execute()
    },
  }
}

const ownedBy = (owner: PredictionOwner | undefined) =>
  owner?.userId === undefined
    ? sql<boolean>`predictions.owner_id is null and predictions.owner_key = ${owner?.key ?? ''}`
    : sql<boolean>`predictions.owner_id = ${owner.userId}`

async function find(db: Database, owner: PredictionOwner | undefined, id: string): Promise<Prediction | undefined> {
  const row = await db
    .selectFrom('predictions')
    .selectAll()
    .select(latestRating.as('rating'))
    .where('id', '=', id)
    .$if(owner !== undefined, (query) => query.where(ownedBy(owner)))
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { prompt, choices, parameters, timings, ...rest } = row
  return {
    ...rest,
    prompt: JSON.parse(prompt),
    choices: JSON.parse(choices),
    parameters: JSON.parse(parameters),
    timings: timings === null ? null : JSON.parse(timings),
  }
}

async function list(
  db: Database,
  owner: PredictionOwner | undefined,
  { model, rating, from, to }: PredictionFilter,
  { limit, cursor }: PageOptions,
): Promise<PredictionPage> {
  const after = cursor === undefined ? undefined : readCursor(cursor)
  let query = db
    .selectFrom('predictions')
    .select(listed)
    // SQLite reads the one text, so that long answers need not be taken into memory.
    .select([
      sql<string>`coalesce(substr(json_extract(choices, '$[0].text'), 1, ${answerCharacters}), '')`.as('answer'),
      latestRating.as('rating'),
    ])
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
  if (owner !== undefined) query = query.where(ownedBy(owner))
  if (model !== undefined) query = query.where('model', '=', model)
  if (from !== undefined) query = query.where('createdAt', '>=', from)
  if (to !== undefined) query = query.where('createdAt', '<', to)
  if (rating !== undefined) query = query.where(latestRating, 'is', rating === 'none' ? null : rating)
  if (after !== undefined)
    query = query.where(({ eb, or, and }) =>
      or([eb('createdAt', '<', after.createdAt), and([eb('createdAt', '=', after.createdAt), eb('id', '<', after.id)])]),
    )
  const rows = await query.execute()
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? writeCursor(last) : undefined }
}

async function removeAll(db: Database, owner: PredictionOwner, until: string): Promise<number> {
  for (let removed = 0; ; await setImmediate()) {
    const { numDeletedRows } = await db
      .deleteFrom('predictions')
      .where('id', 'in', (query) =>
        query.selectFrom('predictions').select('id').where(ownedBy(owner)).where('createdAt', '<=', until).limit(rowsPerPiece),
      )
      .executeTakeFirst()
    removed += Number(numDeletedRows)
    if (numDeletedRows < BigInt(rowsPerPiece)) return removed
  }
}
