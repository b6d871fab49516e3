import { sql } from 'kysely'
import { jsonValues } from './dialect.ts'
import type { Database } from './tables.ts'

/*
 * Conditions on the tables `feedback` and `predictions` that several features ask alike. `rowid`, which SQLite gives to every row, is a
 * column of its own in PostgreSQL.
 */

/**
 * Only feedback of whom the answer was given to counts. An answer to someone without an account is nobody's: whoever has its id, which
 * cannot be guessed, was given it, and may have logged in since.
 */
export const isByItsOwner = sql<boolean>`(
  predictions.owner_id is null or feedback.user_id is not distinct from predictions.owner_id)`

/** Of all feedback on an answer that counts, the latest does; of one millisecond, what was stored last. */
export const isSuperseded = sql<boolean>`exists (
  select 1 from feedback as later
  where later.prediction_id = feedback.prediction_id and later.rating is not null
  and (predictions.owner_id is null or later.user_id = predictions.owner_id)
  and (later.created_at, later.rowid) > (feedback.created_at, feedback.rowid))`

/** That of the latest feedback on an answer of the table `predictions`. */
export const latestRating = sql<'up' | 'down' | null>`(
  select feedback.rating from feedback
  where feedback.prediction_id = predictions.id and feedback.rating is not null and ${isByItsOwner}
  order by feedback.created_at desc, feedback.rowid desc limit 1)`

/** Whether the feedback has one of these tags. */
export const hasTagOf = (db: Database, tags: readonly string[]) =>
  sql<boolean>`exists (select 1 from ${jsonValues(db, sql`feedback.tags`)} where value in (${sql.join(tags)}))`
