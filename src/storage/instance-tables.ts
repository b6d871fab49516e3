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
  /** What many processes share; or a dataset whose rows one of them is writing. */
  name: 'selection' | 'settled-time' | `dataset-import:${string}`
  /** Goes up with each change. */
  version: number
  /** JSON; of a dataset the process. */
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

/** A download, quantization or merge. Those that have ended go after a day. */
export interface ModelJobsTable {
  id: string
  kind: 'pull' | 'quantization' | 'merge'
  /** What was asked for: a name of the hub, the model that is quantized, or base and adapter. */
  name: string
  /** Of the new model, where it was asked for. */
  quantization: string | null
  /** `interrupted`: the process that had it has gone. */
  state: 'running' | 'completed' | 'failed' | 'cancelled' | 'interrupted'
  /** A JSON object: how far it is, while it runs. */
  progress: string | null
  /** What was installed. */
  model: string | null
  errorCode: string | null
  errorMessage: string | null
  createdAt: string
  endedAt: string | null
  /** The process that has it. */
  instanceId: string | null
  /** What that process is asked to do. */
  wish: 'cancel' | null
}

export interface InstanceTables {
  instances: InstancesTable
  sharedState: SharedStateTable
  reEmbeddings: ReEmbeddingsTable
  modelJobs: ModelJobsTable
}
