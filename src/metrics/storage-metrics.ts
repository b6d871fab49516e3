import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { ConnectionCounts, QueryKind } from '../storage/watch-queries.ts'
import { querySeconds } from './buckets.ts'
import { readGauge, readGauges } from './register.ts'

/** Free and all bytes of the disk that holds a folder. */
export type DiskRoom = Readonly<{ folder: string; freeBytes: number; sizeBytes: number }>

export interface StorageMetrics {
  /** One statement that the database has answered, or refused with this code. */
  queryEnd(kind: QueryKind, seconds: number, failure: string | undefined): void
  /** Adds what a pool of connections tells when somebody reads the metrics. */
  watchConnections(read: () => ConnectionCounts | undefined): void
  /** Adds whether the database answers when somebody reads the metrics; `check` throws where it does not, after a moment at most. */
  watchDatabase(check: () => Promise<void>): void
  /** Adds how full disks are when somebody reads the metrics. */
  watchDisks(read: () => Promise<readonly DiskRoom[]>): void
}

export function registerStorage(registry: Registry): StorageMetrics {
  const registers = [registry]
  const queries = new Histogram({
    name: 'simpleia_database_query_duration_seconds',
    help: 'Statements of the database by their kind. In PostgreSQL transaction has the wait for the turn to write, connect the one for a connection.',
    labelNames: ['kind'],
    buckets: querySeconds,
    registers,
  })
  const errors = new Counter({
    name: 'simpleia_database_errors_total',
    help: 'Statements that the database refused or could not be reached for, by the code of the error; other: what a statement itself did.',
    labelNames: ['code'],
    registers,
  })
  return {
    queryEnd(kind, seconds, failure) {
      queries.observe({ kind }, seconds)
      if (failure !== undefined) errors.inc({ code: failure })
    },
    watchConnections: (read) => registerConnections(registry, read),
    watchDatabase: (check) => registerDatabase(registry, check),
    watchDisks: (read) => registerDisks(registry, read),
  }
}

function registerConnections(registry: Registry, read: () => ConnectionCounts | undefined): void {
  const name = 'simpleia_database_connections'
  readGauges(registry, { name, help: 'Connections to PostgreSQL that are in use, and idle ones.', label: 'state' }, () => {
    const counts = read()
    return counts === undefined
      ? []
      : [
          ['used', counts.used],
          ['idle', counts.idle],
        ]
  })
  readGauge(registry, { name: `${name}_limit`, help: 'Connections to PostgreSQL at most.' }, () => read()?.limit)
  const waiting = { name: `${name}_waiting`, help: 'Statements that wait for a connection to PostgreSQL.' }
  readGauge(registry, waiting, () => read()?.waiting)
}

function registerDatabase(registry: Registry, check: () => Promise<void>): void {
  new Gauge({
    name: 'simpleia_database_up',
    help: '1 where the database answers, 0 while it is lost.',
    registers: [registry],
    async collect() {
      this.set(
        await check().then(
          () => 1,
          () => 0,
        ),
      )
    },
  })
}

function registerDisks(registry: Registry, read: () => Promise<readonly DiskRoom[]>): void {
  const gauges: ReadonlyArray<readonly [string, string, (room: DiskRoom) => number]> = [
    ['simpleia_disk_free_bytes', 'What is free on the disk of a folder.', ({ freeBytes }) => freeBytes],
    ['simpleia_disk_size_bytes', 'Size of the disk of a folder.', ({ sizeBytes }) => sizeBytes],
  ]
  for (const [name, help, pick] of gauges) {
    const rooms = async () => (await read()).map((room) => [room.folder, pick(room)] as const)
    readGauges(registry, { name, help, label: 'folder' }, rooms)
  }
}
