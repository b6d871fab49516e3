import { sql } from 'kysely'
import type { EngineStatus, ModelMemory } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import type { CacheStatistics } from '../predict/cache.ts'
import type { Database } from '../storage/tables.ts'
import type { OverviewAnswer } from './schema.ts'

export type OverviewParts = Readonly<{
  db: Database
  /** Milliseconds since 1970. */
  now: () => number
  version: string
  uptimeSeconds: () => number
  localOnly: boolean
  engine: () => EngineStatus
  memory: () => ModelMemory
  machine: () => Readonly<{ serviceBytes: number; machineBytes: number; freeBytes: number }>
  cache: () => CacheStatistics
}>

type Counts = OverviewAnswer['counts']

export async function readOverview(parts: OverviewParts): Promise<OverviewAnswer> {
  const { db, now, version, uptimeSeconds, localOnly, engine, memory, machine, cache } = parts
  const { state, reason = null, active, queued, residentBytes } = engine()
  const { serviceBytes, machineBytes, freeBytes } = machine()
  const { entries, hits, misses, evictions } = cache()
  return {
    at: new Date(now()).toISOString(),
    version,
    uptime_seconds: uptimeSeconds(),
    local_only: localOnly,
    engine: { state, reason, active, queued },
    memory: {
      service_bytes: serviceBytes,
      engine_bytes: residentBytes,
      budget_bytes: Math.floor(memory().budgetBytes),
      machine_bytes: machineBytes,
      machine_free_bytes: freeBytes,
    },
    cache: { entries, hits, misses, evictions },
    counts: await readCounts(db),
  }
}

async function readCounts(db: Database): Promise<Counts> {
  const { rows } = await sql<Counts>`select
    (select count(*) from users) as users,
    (select count(*) from api_keys) as keys,
    (select count(*) from conversations where deleted_at is null) as conversations,
    (select count(*) from documents) as documents,
    (select count(*) from predictions) as predictions,
    (select count(*) from feedback) as feedback`.execute(db)
  const [counts] = rows
  if (counts === undefined) throw new AppError('internal', 'A statement that always has one row had none.')
  return counts
}
