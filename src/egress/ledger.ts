import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { EgressEntry } from '../engine/cloud/egress.ts'
import type { EgressPurpose } from '../engine/cloud/egress-purposes.ts'
import { ifGiven } from '../storage/if-given.ts'
import { isOrphaned } from '../storage/orphaned.ts'
import { isBehind, writeCursor } from '../storage/place-cursor.ts'
import type { Database, EgressTable, Tables } from '../storage/tables.ts'

/** A row with the name that its user has now; null for nobody, an address, and a user who is gone. */
export type LedgerItem = Readonly<EgressTable & { username: string | null }>

export type LedgerFilter = Readonly<{
  /** Times in ISO 8601: at or after `from`, before `to`. */
  from?: string | undefined
  to?: string | undefined
  /** A username, or what the ledger says: `user:ID`, `address:…`. */
  user?: string | undefined
  provider?: string | undefined
  purpose?: EgressPurpose | undefined
  /** A host that the errand asked. */
  host?: string | undefined
}>

export type LedgerTotals = Readonly<{
  errands: number
  requests: number
  bytesOut: number
  bytesIn: number
  promptTokens: number
  completionTokens: number
  costMicrodollars: number
  /** Answers that are not in the cost, as their price or their tokens are not known. */
  unpricedAnswers: number
}>

export interface Ledger {
  /** Writes an entry, or writes over the one with its id. */
  record(entry: EgressEntry): Promise<void>
  /** Marks as interrupted what was open when the process that did it ended. */
  interruptOrphans(): Promise<void>
  /** Newest first. Throws `invalid` for a cursor that is not one of ours. */
  list(
    options: LedgerFilter & Readonly<{ limit: number; cursor?: string | undefined }>,
  ): Promise<Readonly<{ items: readonly LedgerItem[]; nextCursor: string | undefined }>>
  sum(filter: LedgerFilter): Promise<LedgerTotals>
}

export type LedgerParts = Readonly<{
  db: Database
  /** The process whose errands are recorded; undefined: nobody records. */
  instanceId?: string
}>

export function createLedger({ db, instanceId }: LedgerParts): Ledger {
  return {
    async record(entry) {
      const { id, ...row } = { ...toRow(entry), instanceId: instanceId ?? null }
      await db
        .insertInto('egress')
        .values({ id, ...row })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
        .execute()
    },

    async interruptOrphans() {
      await db.updateTable('egress').set({ state: 'interrupted' }).where(sql<SqlBool>`state = 'open'`).where(isOrphaned).execute()
    },

    list: (options) => list(db, options),
    sum: (filter) => sum(db, filter),
  }
}

function toRow(entry: EgressEntry): Omit<EgressTable, 'instanceId'> {
  const { usage, durationMs } = entry
  return {
    id: entry.id,
    startedAt: new Date(entry.startedAt).toISOString(),
    state: durationMs === undefined ? 'open' : 'ended',
    purpose: entry.purpose,
    requestedBy: entry.user ?? null,
    provider: entry.provider ?? null,
    model: entry.model ?? null,
    hosts: JSON.stringify(entry.hosts),
    requests: entry.requests,
    status: entry.status ?? null,
    bytesOut: entry.bytesOut,
    bytesIn: entry.bytesIn,
    promptTokens: usage?.promptTokens ?? null,
    completionTokens: usage?.completionTokens ?? null,
    cachedPromptTokens: usage?.cachedPromptTokens ?? null,
    costMicrodollars: entry.costMicrodollars ?? null,
    durationMs: durationMs === undefined ? null : Math.round(durationMs),
  }
}

type ListOptions = Parameters<Ledger['list']>[0]

async function list(db: Database, { limit, cursor, ...filter }: ListOptions): ReturnType<Ledger['list']> {
  const rows = await (await select(db, filter))
    .selectAll()
    .where(isBehind(cursor, 'startedAt'))
    .orderBy('startedAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  const names = await namesOf(db, page)
  const items = page.map((row) => ({ ...row, username: names.get(row.requestedBy ?? '') ?? null }))
  return {
    items,
    nextCursor: rows.length > limit && last !== undefined ? writeCursor({ createdAt: last.startedAt, id: last.id }) : undefined,
  }
}

async function sum(db: Database, filter: LedgerFilter): Promise<LedgerTotals> {
  const row = await (await select(db, filter))
    .select(({ fn, eb }) => [
      fn.countAll<number>().as('errands'),
      fn.sum<number | null>('requests').as('requests'),
      fn.sum<number | null>('bytesOut').as('bytesOut'),
      fn.sum<number | null>('bytesIn').as('bytesIn'),
      fn.sum<number | null>('promptTokens').as('promptTokens'),
      fn.sum<number | null>('completionTokens').as('completionTokens'),
      fn.sum<number | null>('costMicrodollars').as('costMicrodollars'),
      fn
        .countAll<number>()
        .filterWhere(eb.and([eb('purpose', '=', 'answer'), eb('costMicrodollars', 'is', null)]))
        .as('unpricedAnswers'),
    ])
    .executeTakeFirstOrThrow()
  return {
    errands: Number(row.errands),
    requests: Number(row.requests),
    bytesOut: Number(row.bytesOut),
    bytesIn: Number(row.bytesIn),
    promptTokens: Number(row.promptTokens),
    completionTokens: Number(row.completionTokens),
    costMicrodollars: Number(row.costMicrodollars),
    unpricedAnswers: Number(row.unpricedAnswers),
  }
}

async function select(db: Database, { from, to, user, provider, purpose, host }: LedgerFilter) {
  const key = user === undefined ? undefined : await keyOf(db, user)
  return db
    .selectFrom('egress')
    .$call(ifGiven(from, (query, from) => query.where('startedAt', '>=', toUtc(from))))
    .$call(ifGiven(to, (query, to) => query.where('startedAt', '<', toUtc(to))))
    .$call(ifGiven(key, (query, key) => query.where('requestedBy', '=', key)))
    .$call(ifGiven(provider, (query, provider) => query.where('provider', '=', provider)))
    .$call(ifGiven(purpose, (query, purpose) => query.where('purpose', '=', purpose)))
    .$call(ifGiven(host, (query, host) => query.where(({ eb }) => hasHost(eb, host))))
}

const toUtc = (time: string) => new Date(time).toISOString()

/** The hosts are a JSON list: each stands between quotation marks. */
function hasHost(eb: ExpressionBuilder<Tables, 'egress'>, host: string): Expression<SqlBool> {
  const quoted = JSON.stringify(host.toLowerCase()).replace(/[\\%_]/g, '\\$&')
  return sql<SqlBool>`${eb.ref('hosts')} like ${`%${quoted}%`} escape '\\'`
}

/** What the ledger calls the one of that username. */
async function keyOf(db: Database, user: string): Promise<string> {
  if (user.includes(':')) return user
  const usernameKey = user.normalize('NFKC').toLowerCase()
  const found = await db.selectFrom('users').select('id').where('usernameKey', '=', usernameKey).executeTakeFirst()
  return found === undefined ? user : `user:${found.id}`
}

/** The usernames of those in the rows, by what the ledger calls them. */
async function namesOf(db: Database, rows: readonly EgressTable[]): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(rows.flatMap(({ requestedBy }) => /^user:(.+)$/.exec(requestedBy ?? '')?.[1] ?? []))]
  if (ids.length === 0) return new Map()
  const users = await db.selectFrom('users').select(['id', 'username']).where('id', 'in', ids).execute()
  return new Map(users.map(({ id, username }) => [`user:${id}`, username]))
}
