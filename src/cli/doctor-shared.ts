import type { Config } from '../config.ts'
import type { RedisFacts } from '../redis/look-at-redis.ts'
import type { DatabaseFacts } from '../storage/look-at-database.ts'
import type { Finding, Tell } from './doctor-checks.ts'
import { messageOf } from './message-of.ts'

/** What stands beside the service. Each throws the reason why it cannot be used. */
export type Neighbours = Readonly<{
  database: (url: string) => Promise<DatabaseFacts>
  redis: (url: string) => Promise<RedisFacts>
  /** Throws where a restore has begun and not ended. */
  refuseUnfinishedRestore: (dataDir: string) => Promise<void>
}>

/** By more than this the clock of the database may not be elsewhere: replicas stand to each other as to it. */
const mostSkewMs = 5000
/** What one replica may take. */
const connectionsOfReplica = 14

/** Whether the database and Redis can be used, as the service would. */
export async function checkNeighbours(neighbours: Neighbours, config: Config, tell: Tell): Promise<Finding[]> {
  const { databaseUrl, redisUrl, dataDir } = config
  const restore = await neighbours.refuseUnfinishedRestore(dataDir).then(() => undefined, messageOf)
  return [
    ...(restore === undefined ? [] : [tell('restore', 'fail', 'reason', { reason: restore })]),
    ...(await checkDatabase(neighbours, databaseUrl, tell)),
    ...(redisUrl === undefined ? [] : await checkRedis(neighbours, redisUrl, tell)),
  ]
}

async function checkDatabase({ database }: Neighbours, url: string, tell: Tell): Promise<Finding[]> {
  return database(url).then(
    (facts) => describeDatabase(facts, tell),
    (error: unknown) => [tell('database', 'fail', 'reason', { reason: messageOf(error) }, 'databaseFix')],
  )
}

function describeDatabase(facts: DatabaseFacts, tell: Tell): Finding[] {
  const { name, tables, aheadMs = 0, connectionsLeft = Number.POSITIVE_INFINITY } = facts
  const findings = [findTables(name, tables, tell)]
  if (Math.abs(aheadMs) > mostSkewMs) {
    const seconds = (Math.abs(aheadMs) / 1000).toFixed(0)
    findings.push(tell('clock', 'fail', aheadMs > 0 ? 'clockBehind' : 'clockAhead', { seconds }, 'clockFix'))
  }
  if (connectionsLeft < connectionsOfReplica) {
    const values = { left: connectionsLeft, needed: connectionsOfReplica }
    findings.push(tell('connections', 'warn', 'connectionsFew', values, 'connectionsFewFix'))
  }
  return findings
}

function findTables(name: string, tables: DatabaseFacts['tables'], tell: Tell): Finding {
  switch (tables) {
    case 'none':
      return tell('database', 'ok', 'databaseEmpty', { name })
    case 'current':
      return tell('database', 'ok', 'database', { name })
    case 'older':
      return tell('database', 'warn', 'databaseOlder', { name }, 'databaseOlderFix')
    case 'newer':
      return tell('database', 'fail', 'databaseNewer', { name }, 'databaseNewerFix')
  }
}

async function checkRedis({ redis }: Neighbours, url: string, tell: Tell): Promise<Finding[]> {
  try {
    const { version, maxBytes, policy } = await redis(url)
    const ok = tell('redis', 'ok', 'redis', { version })
    // Full, it refuses what would be counted and kept.
    if (maxBytes > 0 && policy === 'noeviction') return [ok, tell('redis', 'warn', 'redisNoEviction', {}, 'redisNoEvictionFix')]
    return [ok]
  } catch (error) {
    return [tell('redis', 'warn', 'reason', { reason: messageOf(error) }, 'redisFix')]
  }
}
