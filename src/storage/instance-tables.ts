/** A process of the service that uses this database. One that ends in order takes its row with it. */
export interface InstancesTable {
  id: string
  /** Where its number means something. */
  host: string
  pid: number
  /** Milliseconds since 1970, by the clock of the database. */
  startedAt: number
  seenAt: number
}

/** What one process asks of all, or tells them. `settled-time`: how far the time has come by which what is old is deleted. */
export interface SharedStateTable {
  name: 'selection' | 'settled-time'
  /** Goes up with each change. */
  version: number
  /** JSON. */
  value: string
}

/** The re-embedding of a collection that is under way or has failed, for whoever asks, in whichever process. */
export interface ReEmbeddingsTable {
  collectionId: string
  model: string
  state: 'waiting' | 'running' | 'failed'
  done: number
  total: number
  truncated: number
  reason: string | null
  /** The process that works on it, or did last. */
  instanceId: string | null
}

export interface InstanceTables {
  instances: InstancesTable
  sharedState: SharedStateTable
  reEmbeddings: ReEmbeddingsTable
}
