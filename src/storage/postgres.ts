import {
  CompiledQuery,
  type DatabaseConnection,
  type DataTypeNode,
  type Dialect,
  PostgresDialect,
  PostgresDriver,
  type PostgresPool,
  type PostgresPoolClient,
  PostgresQueryCompiler,
  type TransactionSettings,
} from 'kysely'
import { Pool, type PoolClient, type QueryConfig, types } from 'pg'
import { AppError } from '../errors.ts'
import { isTimeout, toPostgresError } from './postgres-error.ts'
import { escapeNul, unescapeNul } from './postgres-text.ts'
import { type ConnectionCounts, codeOf, type QueryListener } from './watch-queries.ts'

export const isPostgresUrl = (url: string): boolean => /^postgres(ql)?:\/\//.test(url)

/** Connections of one process. A query that finds none free waits for one. */
const mostConnections = 10
const connectTimeoutMs = 5000
/** How long a transaction waits for its turn, or for a row, before `busy`. */
const lockTimeoutMs = 15_000
/** How long a statement may take. Past it nobody is there to answer, as where a machine was switched off or a network cut. */
const queryTimeoutMs = 20_000
/** Who holds the turn and is silent for so long has been frozen or cut off: the others are not to wait for it. */
const idleInTransactionMs = 60_000
/** What all replicas take turns by: an advisory lock of this number. */
const writersLock = 7_346_587_001

/** Opens no connection yet. `url`: as libpq takes it, `postgres://user:password@host/database?sslmode=…`. Throws `invalid` for another one. */
export function openPostgres(url: string): Pool {
  try {
    const pool = new Pool({
      connectionString: url,
      max: mostConnections,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      application_name: 'simpleia',
      types: { getTypeParser },
      // Before anybody has it: one on which this fails is not used, and not lost to the pool either.
      onConnect: (client) => client.query(sessionSettings),
    })
    // A connection that breaks while nobody uses it is replaced by the next query.
    pool.on('error', () => {})
    return pool
  } catch (cause) {
    throw new AppError('invalid', 'DATABASE_URL: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE.', { cause })
  }
}

/** What the pool does now. */
export function countConnections({ totalCount, idleCount, waitingCount, options }: Pool): ConnectionCounts {
  return { used: totalCount - idleCount, idle: idleCount, waiting: waitingCount, limit: options.max ?? mostConnections }
}

const sessionSettings = `set lock_timeout = ${lockTimeoutMs}; set timezone = 'UTC';
  set idle_in_transaction_session_timeout = ${idleInTransactionMs}`

export type PostgresDialectOptions = Readonly<{
  /** How long a statement may take before it is given up. */
  queryTimeoutMs?: number | undefined
  /** Told of each statement that has ended. */
  onQuery?: QueryListener | undefined
}>

/** Kysely's own dialect, but for what makes it behave as SQLite does here: the turns of transactions, types, texts and errors. */
export function postgresDialect(pool: Pool, options: PostgresDialectOptions = {}): Dialect {
  const { queryTimeoutMs: timeoutMs = queryTimeoutMs, onQuery = () => {} } = options
  const config = { pool: explained(pool, timeoutMs, onQuery) }
  const dialect = new PostgresDialect(config)
  return {
    createDriver: () => new TurnTakingDriver(config),
    createQueryCompiler: () => new PortableCompiler(),
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  }
}

class TurnTakingDriver extends PostgresDriver {
  /**
   * Transactions that write take turns, in all processes, as they do in SQLite: what one has read is still so when it writes. One
   * statement by itself needs no turn, and reading holds nobody up.
   */
  override async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    if (settings.accessMode === 'read only') return super.beginTransaction(connection, settings)
    // At a higher level of isolation it would see the state of when it began to wait. Turns alone are as good as serializable.
    await super.beginTransaction(connection, {})
    try {
      await connection.executeQuery(CompiledQuery.raw(`select pg_advisory_xact_lock(${writersLock})`))
    } catch (error) {
      // To Kysely nothing has begun yet: the connection would go back to the pool with a transaction that has failed. One that
      // cannot roll back is broken, and the pool knows.
      await connection.executeQuery(CompiledQuery.raw('rollback')).catch(() => {})
      throw error
    }
  }
}

/** So that migrations are written once. */
class PortableCompiler extends PostgresQueryCompiler {
  protected override visitDataType(node: DataTypeNode): void {
    const { dataType } = node
    // As SQLite compares: by code points, so that times and ids have one order in all installations.
    if (dataType === 'text') this.append('text collate "C"')
    // SQLite's integers have 64 bits.
    else if (dataType === 'integer') this.append('bigint')
    else if (dataType === 'blob') this.append('bytea')
    else super.visitDataType(node)
  }

  protected override getAutoIncrement(): string {
    return 'generated by default as identity'
  }
}

const { INT8, NUMERIC, TEXT, VARCHAR, BPCHAR, ...builtins } = types.builtins

/** What comes as in SQLite: numbers as numbers, JSON as its text. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  switch (oid) {
    case INT8:
    case NUMERIC:
      return Number
    case builtins.JSON:
    case builtins.JSONB:
    case TEXT:
    case VARCHAR:
    case BPCHAR:
      return unescapeNul
    default:
      return types.getTypeParser(oid, format)
  }
}

/** The pool as Kysely needs it, with texts as they can be stored and errors that say what to do. */
function explained(pool: Pool, timeoutMs: number, onQuery: QueryListener): PostgresPool {
  const known = new WeakMap<PoolClient, PostgresPoolClient>()
  const wrap = (client: PoolClient): PostgresPoolClient => {
    // One that breaks between two statements of a transaction tells the next; without a listener the process would end.
    client.on('error', () => {})
    let isSilent = false
    const query = async (statement: string, parameters: readonly unknown[] = []) => {
      try {
        // What is sent now would wait behind what was given up.
        if (isSilent) throw new Error('Connection terminated')
        return await client.query(withTimeout(statement, parameters.map(storable), timeoutMs))
      } catch (error) {
        isSilent ||= isTimeout(error)
        throw toPostgresError(error)
      }
    }
    const release = (broken?: boolean | Error) => client.release(broken === undefined || broken === false ? isSilent : broken)
    // Without its other form, with which results are read by a cursor: none is here.
    return { query: query as unknown as PostgresPoolClient['query'], release }
  }
  return {
    async connect() {
      const startMs = performance.now()
      const tell = (failure?: string) => onQuery('connect', (performance.now() - startMs) / 1000, failure)
      const client = await pool.connect().catch((error: unknown) => {
        const explanation = toPostgresError(error)
        tell(codeOf(explanation))
        throw explanation
      })
      tell()
      const wrapped = known.get(client) ?? wrap(client)
      known.set(client, wrapped)
      return wrapped
    },
    end: () => pool.end(),
    options: pool.options,
  }
}

/** What builds an index, or changes a table, takes its time. */
const mayTakeLong = /^\s*(create|alter|drop|vacuum|analyze|reindex)\b/i

function withTimeout(text: string, values: unknown[], timeoutMs: number): QueryConfig & { query_timeout?: number } {
  return mayTakeLong.test(text) ? { text, values } : { text, values, query_timeout: timeoutMs }
}

const storable = (value: unknown) => (typeof value === 'string' ? escapeNul(value) : value)
