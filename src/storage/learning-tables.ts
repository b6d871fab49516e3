/** An answer that was given. */
export interface PredictionsTable {
  /** As callers know it. */
  id: string
  /** Null for one without an account. */
  ownerId: string | null
  /** Who asked, where that was nobody with an account. */
  ownerKey: string | null
  /** A JSON object: the engine's `Prompt`; large pictures in it have made room for a note. */
  prompt: string
  /** The beginning of what was asked, for lists. */
  excerpt: string
  /** A JSON list of the choices. */
  choices: string
  provider: string
  /** With its adapter, as `base+adapter`. */
  model: string
  ranOn: 'local' | 'cloud'
  /** Of the rollout that chose the model; null where none did. */
  rolloutId: string | null
  /** A JSON object. */
  parameters: string
  /** Null where the answer was stopped before its numbers were known. */
  promptTokens: number | null
  completionTokens: number | null
  /** A JSON object; null where they are not known. */
  timings: string | null
  createdAt: string
}

export interface FeedbackTable {
  id: string
  /** Null for an anonymous caller, and after the user was deleted. */
  userId: string | null
  predictionId: string | null
  /** The answer over which the rated one was kept: another one to the same question. */
  rejectedPredictionId: string | null
  rating: 'up' | 'down' | null
  /** As typed; made safe where it is shown. */
  text: string | null
  correction: string | null
  /** A JSON list of texts. */
  tags: string
  createdAt: string
}

/** A dataset never changes: a new version is a new row. */
export interface DatasetsTable {
  id: string
  /** With the version unique. */
  name: string
  version: number
  kind: 'chat' | 'text' | 'preference'
  source: 'feedback' | 'upload'
  /** A JSON object: the filters that chose the feedback, or the file's name and format. */
  origin: string
  trainRows: number
  heldOutRows: number
  /** Of all rows as exported, in hex. */
  sha256: string
  /** A JSON object: what was counted, left out and flagged. */
  report: string
  /** Null after the user was deleted. */
  createdBy: string | null
  createdAt: string
}

export interface DatasetRowsTable {
  datasetId: string
  /** From 0. */
  position: number
  split: 'train' | 'held-out'
  /** Rows with the same text come from the same conversation, and are in the same split. */
  conversation: string
  /** A JSON object: a `TrainingExample`. */
  example: string
  /** A JSON list: `near-duplicate`, `secret:…`. */
  flags: string
}

export interface TrainingRunsTable {
  id: string
  /** What its adapter is called; unique. */
  name: string
  state: 'queued' | 'running' | 'paused' | 'interrupted' | 'cancelled' | 'failed' | 'completed'
  /** The installed model that is trained. */
  baseModel: string
  datasetId: string
  /** What is replayed, where that is not the text that comes with the program. */
  replayDatasetId: string | null
  /** A JSON object: `TrainParameters`. */
  parameters: string
  /** A JSON object: the plan, once it is known. */
  plan: string | null
  step: number
  /** Where it would go on. */
  checkpointStep: number | null
  bestStep: number | null
  heldOutLoss: number | null
  /** The installed name of the adapter, once it is there. */
  adapter: string | null
  errorCode: string | null
  errorMessage: string | null
  /** How long its process has worked, and how long it stood still for the sake of requests. */
  trainedMs: number
  yieldedMs: number
  /** What its process took at most. */
  residentBytes: number | null
  /** While it waits for its turn: since when. */
  queuedAt: string | null
  /** Null after the user was deleted. */
  createdBy: string | null
  createdAt: string
  startedAt: string | null
  endedAt: string | null
  updatedAt: string
  /** The process that works on it, or did last. */
  instanceId: string | null
  /** What that process is asked to do, while it runs. */
  wish: 'pause' | 'cancel' | null
}

export interface TrainingStepsTable {
  runId: string
  /** From 1. */
  step: number
  epoch: number
  loss: number
  learningRate: number
  gradientNorm: number
  tokens: number
  ms: number
}

export interface TrainingEpochsTable {
  runId: string
  /** From 1. */
  epoch: number
  step: number
  trainLoss: number
  heldOutLoss: number | null
  preferenceAccuracy: number | null
  createdAt: string
}

/** A comparison of a candidate with what is in use. */
export interface EvaluationsTable {
  id: string
  /** `gate`: on a held-out set and general questions; `upgrade`: on conversations of the past. */
  kind: 'gate' | 'upgrade'
  state: 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'interrupted'
  /** Whose conversations are in it, of `upgrade`: it goes with the user. Null for a gate. */
  ownerId: string | null
  baseline: string
  candidate: string
  datasetId: string | null
  runId: string | null
  /** A JSON object: what was asked for. */
  request: string
  /** A JSON object, once it is completed. */
  report: string | null
  /** The verdict of a gate that is completed. */
  passed: 0 | 1 | null
  errorCode: string | null
  errorMessage: string | null
  createdBy: string | null
  createdAt: string
  endedAt: string | null
  /** The process that has taken it. */
  instanceId: string | null
  /** What that process is asked to do. */
  wish: 'cancel' | null
  /** A JSON object: how far it is, while it runs. */
  progress: string | null
}

/** Models that share the requests for one name. */
export interface RolloutsTable {
  id: string
  /** The name that requests ask for; `default`: also those that name no model. */
  alias: string
  state: 'running' | 'promoted' | 'rolled-back' | 'ended'
  /** 1 where it answers for the alias: it runs, or has settled on one model for an alias that is not `default`. One for each alias. */
  isActive: 0 | 1
  /** Goes up with each change. */
  version: number
  /** A JSON list of `Arm` (rollout/arms.ts). The first is what was in use before. */
  arms: string
  /** A JSON object: when it is promoted or rolled back by itself; null: never. */
  rule: string | null
  createdBy: string | null
  createdAt: string
  endedAt: string | null
}

/** What was done to rollouts, by whom. Rows are only added. */
export interface RolloutEventsTable {
  id: string
  rolloutId: string
  /** `user:ID`, or `rule`. */
  actor: string
  action: 'start' | 'change' | 'promote' | 'roll-back' | 'end'
  /** A JSON object. */
  details: string
  createdAt: string
}

export interface LearningTables {
  predictions: PredictionsTable
  feedback: FeedbackTable
  datasets: DatasetsTable
  datasetRows: DatasetRowsTable
  trainingRuns: TrainingRunsTable
  trainingSteps: TrainingStepsTable
  trainingEpochs: TrainingEpochsTable
  evaluations: EvaluationsTable
  rollouts: RolloutsTable
  rolloutEvents: RolloutEventsTable
}
