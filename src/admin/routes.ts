import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify'
import { errorBody } from '../http/error-reply.ts'
import { readPeriod } from '../http/read-time.ts'
import type { AuditTable } from '../storage/admin-tables.ts'
import type { Database } from '../storage/tables.ts'
import { type AuditFilter, allAudit, listAudit } from './audit/audit-rows.ts'
import { csvLine } from './csv.ts'
import { readGrid } from './history/history-grid.ts'
import type { HistoryKeeper } from './history/keep-history.ts'
import { type LogRoutesOptions, serveLogs } from './log-routes.ts'
import { type OverviewParts, readOverview } from './overview.ts'
import {
  type AuditItem,
  type AuditPage,
  type AuditQuery,
  auditItem,
  auditPage,
  auditQuery,
  type HistoryQuery,
  historyAnswer,
  historyPoint,
  historyQuery,
  overviewAnswer,
} from './schema.ts'

export type AdminRoutesOptions = LogRoutesOptions &
  Readonly<{
    db: Database
    history: Pick<HistoryKeeper, 'read'>
    /** Resolves when all that has ended before is in the audit. */
    flushAudit: () => Promise<void>
    overview: OverviewParts
    now: () => number
    /** What makes two usernames the same. */
    usernameKey: (typed: string) => string
  }>

const tags = ['admin']
const failures = { '4xx': errorBody, '5xx': errorBody }

/** GET /admin/overview, /admin/history, /admin/audit and /admin/logs, for the admin scope. */
export function adminRoutes(options: AdminRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    serveOverview(http, options)
    serveHistory(http, options)
    serveAudit(http, options)
    serveLogs(http, options)
  }
}

function serveOverview(http: FastifyInstance, { overview }: AdminRoutesOptions): void {
  const schema = { summary: 'The service now, in numbers', tags, response: { 200: overviewAnswer, ...failures } }
  http.get('/admin/overview', { schema }, () => readOverview(overview))
}

function serveHistory(http: FastifyInstance, { history, now }: AdminRoutesOptions): void {
  const schema = {
    summary: 'What went on, over time; format=csv for a spreadsheet',
    tags,
    querystring: historyQuery,
    response: { 200: historyAnswer, ...failures },
  }
  http.get<{ Querystring: HistoryQuery }>('/admin/history', { schema }, async ({ query }, reply) => {
    const answer = await history.read(readGrid(query, now()))
    if (query.format !== 'csv') return answer
    const columns = namesOf(historyPoint.properties)
    const lines = answer.points.map((point) => csvLine(columns.map((column) => point[column])))
    return asCsv(reply, 'history').send(csvLine(columns) + lines.join(''))
  })
}

function serveAudit(http: FastifyInstance, { db, flushAudit, usernameKey }: AdminRoutesOptions): void {
  const schema = {
    summary: 'Who has changed the service, its users or their keys, or tried to, newest first; format=csv for all of it',
    tags,
    querystring: auditQuery,
    response: { 200: auditPage, ...failures },
  }
  http.get<{ Querystring: AuditQuery }>(
    '/admin/audit',
    { schema },
    async ({ query }, reply): Promise<AuditPage | FastifyReply> => {
      const { limit, cursor, user, action, from, to, format } = query
      const filter: AuditFilter = {
        ...(user === undefined ? {} : { usernameKey: usernameKey(user) }),
        ...(action === undefined ? {} : { action }),
        ...readPeriod({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }),
      }
      await flushAudit()
      if (format === 'csv') return asCsv(reply, 'audit').send(Readable.from(auditLines(allAudit(db, filter, cursor))))
      const { items, nextCursor } = await listAudit(db, filter, { limit, cursor })
      return { items: items.map(toItem), next_cursor: nextCursor ?? null }
    },
  )
}

async function* auditLines(rows: AsyncIterable<AuditTable>): AsyncGenerator<string> {
  const columns = namesOf(auditItem.properties)
  yield csvLine(columns)
  for await (const row of rows) {
    const item = toItem(row)
    yield csvLine(columns.map((column) => item[column]))
  }
}

const asCsv = (reply: FastifyReply, name: string): FastifyReply =>
  reply.type('text/csv; charset=utf-8').header('content-disposition', `attachment; filename="${name}.csv"`)

/** The fields of a schema, in its order. */
function namesOf<Properties extends object>(properties: Properties): ReadonlyArray<keyof Properties & string> {
  const isName = (name: string): name is keyof Properties & string => name in properties
  return Object.keys(properties).filter(isName)
}

function toItem(row: AuditTable): AuditItem {
  return {
    id: row.id,
    at: row.createdAt,
    user_id: row.userId,
    username: row.username,
    key_id: row.keyId,
    address: row.address,
    action: row.action,
    target: row.target,
    outcome: row.outcome,
    status: row.status,
  }
}
