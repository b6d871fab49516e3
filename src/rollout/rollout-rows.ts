import { AppError } from '../errors.ts'
import { ifGiven } from '../storage/if-given.ts'
import type { RolloutEventsTable, RolloutsTable } from '../storage/learning-tables.ts'
import { isBehind, toPage } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'
import type { Arm } from './arms.ts'
import type { Rule } from './rule.ts'

export type Rollout = Readonly<
  Omit<RolloutsTable, 'arms' | 'rule' | 'isActive'> & {
    /** Whether it answers for its alias. */
    isActive: boolean
    /** The first is what was in use before. */
    arms: readonly [Arm, ...Arm[]]
    rule: Rule | undefined
  }
>

export type RolloutEvent = Readonly<Omit<RolloutEventsTable, 'details'> & { details: Readonly<Record<string, unknown>> }>
export type Page<T> = Readonly<{ items: readonly T[]; nextCursor: string | undefined }>
export type PageOptions = Readonly<{ limit: number; cursor: string | undefined }>

/** What only a change alters. */
export type RolloutState = Pick<Rollout, 'state' | 'isActive' | 'arms' | 'rule' | 'endedAt'>

const toColumns = ({ state, isActive, arms, rule, endedAt }: RolloutState) => ({
  state,
  isActive: isActive ? (1 as const) : (0 as const),
  arms: JSON.stringify(arms),
  rule: rule === undefined ? null : JSON.stringify(rule),
  endedAt,
})

const toRollout = ({ arms, rule, isActive, ...row }: RolloutsTable): Rollout => ({
  ...row,
  isActive: isActive === 1,
  arms: JSON.parse(arms),
  rule: rule === null ? undefined : JSON.parse(rule),
})

export async function insertRollout(db: Database, rollout: Rollout): Promise<void> {
  const { id, alias, version, createdBy, createdAt } = rollout
  await db
    .insertInto('rollouts')
    .values({ id, alias, version, createdBy, createdAt, ...toColumns(rollout) })
    .execute()
}

/** Throws `conflict` where it has changed since it was read. */
export async function updateRollout(db: Database, read: Rollout, state: RolloutState): Promise<Rollout> {
  const version = read.version + 1
  const { numUpdatedRows } = await db
    .updateTable('rollouts')
    .set({ ...toColumns(state), version })
    .where('id', '=', read.id)
    .where('version', '=', read.version)
    .executeTakeFirst()
  if (numUpdatedRows === 1n) return { ...read, ...state, version }
  throw new AppError('conflict', 'The rollout has been changed meanwhile. Read it again, and see whether you still want this.')
}

export async function insertEvent(db: Database, { details, ...event }: RolloutEvent): Promise<void> {
  await db
    .insertInto('rolloutEvents')
    .values({ ...event, details: JSON.stringify(details) })
    .execute()
}

/** Throws `not_found`. */
export async function getRollout(db: Database, id: string): Promise<Rollout> {
  const row = await db.selectFrom('rollouts').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw new AppError('not_found', `No rollout has the id ${JSON.stringify(id.slice(0, 100))}.`)
  return toRollout(row)
}

/** Those that answer for their alias. */
export async function listActive(db: Database): Promise<readonly Rollout[]> {
  return (await db.selectFrom('rollouts').selectAll().where('isActive', '=', 1).execute()).map(toRollout)
}

/** The one that answers for an alias. */
export async function findActive(db: Database, alias: string): Promise<Rollout | undefined> {
  const query = db.selectFrom('rollouts').selectAll().where('alias', '=', alias).where('isActive', '=', 1)
  const row = await query.executeTakeFirst()
  return row === undefined ? undefined : toRollout(row)
}

/** The promotion of an alias that nothing has undone, the last one. */
export async function findLastPromoted(db: Database, alias: string): Promise<Rollout | undefined> {
  const row = await db
    .selectFrom('rollouts')
    .selectAll()
    .where('alias', '=', alias)
    .where('state', '=', 'promoted')
    .orderBy('endedAt', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : toRollout(row)
}

/** Those that run on the first page, before the others; each newest first. Throws `invalid` for a cursor that is not one of ours. */
export async function listRollouts(db: Database, { limit, cursor }: PageOptions): Promise<Page<Rollout>> {
  const all = db.selectFrom('rollouts').selectAll().orderBy('createdAt', 'desc').orderBy('id', 'desc')
  const running = cursor === undefined ? await all.where('state', '=', 'running').execute() : []
  const rows = await all
    .where('state', '!=', 'running')
    .where(isBehind(cursor))
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = toPage(rows, limit)
  return { items: [...running, ...items].map(toRollout), nextCursor }
}

export type EventFilter = PageOptions & Readonly<{ rolloutId?: string }>

/** Newest first. Throws `invalid` for a cursor that is not one of ours. */
export async function listEvents(db: Database, { limit, cursor, rolloutId }: EventFilter): Promise<Page<RolloutEvent>> {
  const rows = await db
    .selectFrom('rolloutEvents')
    .selectAll()
    .$call(ifGiven(rolloutId, (query, rolloutId) => query.where('rolloutId', '=', rolloutId)))
    .where(isBehind(cursor))
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = toPage(rows, limit)
  return { items: items.map(({ details, ...row }) => ({ ...row, details: JSON.parse(details) })), nextCursor }
}
