import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import { jsonText } from '../storage/dialect.ts'
import { latestRating } from '../storage/feedback-sql.ts'
import { ifGiven } from '../storage/if-given.ts'
import { isBehind, toPage } from '../storage/place-cursor.ts'
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
      const isOf = (query: PredictionIds) => (owner === undefined ? query : query.where(ownedBy(owner)))
      return (await removeWithFeedback(db, (query) => isOf(query.where('id', '=', id)))) > 0
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
    .$call(ifGiven(owner, (query, owner) => query.where(ownedBy(owner))))
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
  let query = db
    .selectFrom('predictions')
    .select(listed)
    // The database reads the one text, so that long answers need not be taken into memory.
    .select([
      sql<string>`coalesce(substr(${jsonText(db, sql`choices`, [0, 'text'])}, 1, ${answerCharacters}), '')`.as('answer'),
      latestRating.as('rating'),
    ])
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
  if (owner !== undefined) query = query.where(ownedBy(owner))
  if (model !== undefined) query = query.where('model', '=', model)
  if (from !== undefined) query = query.where('createdAt', '>=', from)
  if (to !== undefined) query = query.where('createdAt', '<', to)
  if (rating !== undefined) query = query.where(latestRating, 'is not distinct from', rating === 'none' ? null : rating)
  query = query.where(isBehind(cursor))
  const rows = await query.execute()
  return toPage(rows, limit)
}

async function removeAll(db: Database, owner: PredictionOwner, until: string): Promise<number> {
  for (let removed = 0; ; await setImmediate()) {
    const count = await removeWithFeedback(db, (query) =>
      query.where(ownedBy(owner)).where('createdAt', '<=', until).limit(rowsPerPiece),
    )
    removed += count
    if (count < rowsPerPiece) return removed
  }
}

const idsOf = (db: Database) => db.selectFrom('predictions').select('id')
type PredictionIds = ReturnType<typeof idsOf>

/** A correction says what the answer should have said, so feedback is forgotten with the answer. */
async function removeWithFeedback(db: Database, choose: (ids: PredictionIds) => PredictionIds): Promise<number> {
  return db.transaction().execute(async (transaction) => {
    const ids = (await choose(idsOf(transaction)).execute()).map(({ id }) => id)
    if (ids.length === 0) return 0
    await transaction.deleteFrom('feedback').where('predictionId', 'in', ids).execute()
    await transaction.deleteFrom('predictions').where('id', 'in', ids).execute()
    return ids.length
  })
}
