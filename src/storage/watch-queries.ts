import type { LogEvent } from 'kysely'
import { AppError } from '../errors.ts'

/** `connect`: no statement, but the wait for a connection of the pool. */
export type QueryKind = 'select' | 'insert' | 'update' | 'delete' | 'transaction' | 'connect' | 'other'

/** Told of each statement: how long it took, and the code of the error that it ended with. */
export type QueryListener = (kind: QueryKind, seconds: number, failure: string | undefined) => void

/** Connections of a pool, and statements that wait for one. */
export type ConnectionCounts = Readonly<{ used: number; idle: number; waiting: number; limit: number }>

const kindOfNode: Readonly<Record<string, QueryKind>> = {
  SelectQueryNode: 'select',
  InsertQueryNode: 'insert',
  UpdateQueryNode: 'update',
  DeleteQueryNode: 'delete',
}

/** What Kysely calls after each statement. It tells no statement and no value. */
export function tellQueries(listener: QueryListener): (event: LogEvent) => void {
  return (event) => {
    const { query, queryDurationMillis } = event
    const failure = event.level === 'error' ? codeOf(event.error) : undefined
    listener(kindOf(query.query.kind, query.sql), queryDurationMillis / 1000, failure)
  }
}

/** What stands before the writing of all replicas: a part of the transaction, whatever it looks like. */
const turn = /^\s*select pg_advisory/i

function kindOf(node: string, sql: string): QueryKind {
  if (turn.test(sql)) return 'transaction'
  const known = kindOfNode[node]
  if (known !== undefined) return known
  const [, word = ''] = /^\s*(\w+)/.exec(sql) ?? []
  switch (word.toLowerCase()) {
    case 'select':
    case 'with':
      return 'select'
    case 'insert':
      return 'insert'
    case 'update':
      return 'update'
    case 'delete':
      return 'delete'
    case 'begin':
    case 'start':
    case 'commit':
    case 'rollback':
    case 'savepoint':
    case 'release':
      return 'transaction'
    default:
      return 'other'
  }
}

/** What the state of the storage is to blame for has a code; a row that may not be there twice has none. */
export const codeOf = (error: unknown): string => (error instanceof AppError ? error.code : 'other')
