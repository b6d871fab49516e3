import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyPluginAsync } from 'fastify'
import { askerOf } from './asker.ts'
import { openToKeys } from './auth/key-scopes.ts'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import { type Activity, tellWork } from './engine/activity.ts'
import { runScoring, spawnScorer } from './engine/train/score-process.ts'
import { createAsk } from './evaluation/ask.ts'
import type { Contestant, Evaluate, ModelFiles, Work } from './evaluation/evaluation.ts'
import { type Evaluations, openEvaluations } from './evaluation/evaluations.ts'
import { runGate } from './evaluation/gate.ts'
import { getCompletedRun, getDatasetId, readHeldOut } from './evaluation/read-learned.ts'
import { createRecentConversations } from './evaluation/recent-conversations.ts'
import { evaluationRoutes } from './evaluation/routes.ts'
import { openScore, type ScoreFileParts } from './evaluation/score-file.ts'
import { runUpgrade } from './evaluation/upgrade.ts'
import type { Instances } from './instances/instances.ts'
import { logChild } from './log-child.ts'
import { createCatalog } from './models/catalog.ts'
import { readModelKind } from './models/model-kind.ts'
import { createModelRegistry } from './models/registry.ts'
import { traceEvaluations } from './observe/observe-training.ts'
import type { Tracing } from './observe/tracing.ts'
import type { Predict } from './predict/predict.ts'
import type { Predictions } from './predictions/prediction.ts'
import type { Database } from './storage/tables.ts'

export type EvaluationParts = Readonly<{
  db: Database
  instances: Instances
  predict: Pick<Predict, 'choose' | 'complete'>
  predictions: Pick<Predictions, 'list' | 'find'>
  /** The provider whose models are files of this machine. */
  localProvider: string
  /** Stands in for the process of the scores in tests. */
  runScoring?: ScoreFileParts['runScoring']
  isDraining: () => boolean
  /** Told of the scoring, so that training gives way to it. */
  activity: Activity
  tracing: Tracing
  log: FastifyBaseLogger
  /** Milliseconds since 1970. */
  now: () => number
}>

export type EvaluationPart = Readonly<{ evaluations: Evaluations; admin: readonly FastifyPluginAsync[] }>

/** In tokens: longer examples are left out, and told. */
const maxLength = 2048

/** The comparisons of models: gates before a candidate is used, and upgrades. A part of the composition root. */
export async function openEvaluation(config: Config, parts: EvaluationParts, closer: Closer): Promise<EvaluationPart> {
  const { db, instances, predict, activity, log, now } = parts
  const score = parts.runScoring ?? scoreInProcess
  const threads = config.threads > 0 ? config.threads : availableParallelism()
  const folder = join(config.dataDir, 'evaluations')
  const work: Work = {
    ask: createAsk(predict),
    score: await openScore({
      runScoring: (job, signal) => tellWork(activity, () => score(job, signal)),
      folder,
      maxLength,
      threads,
    }),
    findFiles: filesOf(config, parts.localProvider),
    readHeldOut: (datasetId, most) => readHeldOut(db, datasetId, most),
    recentConversations: createRecentConversations(parts.predictions),
    wait: (ms, signal) => setTimeout(ms, undefined, { signal }),
  }
  const evaluate: Evaluate = ({ plan }, onProgress, signal) =>
    plan.kind === 'gate' ? runGate(work, plan, { onProgress, signal }) : runUpgrade(work, plan, { onProgress, signal })
  const evaluations = closer.use(
    await openEvaluations({
      db,
      instances,
      now,
      choose: predict.choose,
      localOnly: config.localOnly,
      getRun: (name) => getCompletedRun(db, name),
      getDatasetId: (name) => getDatasetId(db, name),
      evaluate: traceEvaluations(evaluate, parts.tracing),
      isEnding: parts.isDraining,
      onError: (err) => log.error({ err }, 'Unforeseen error in an evaluation'),
    }),
  )
  instances.onLook(evaluations.look, 'Evaluations that are to end could not be looked for')
  return { evaluations, admin: [openToKeys('admin', [evaluationRoutes({ evaluations, askerOf }).admin])] }
}

const scoreInProcess: ScoreFileParts['runScoring'] = (job, signal) =>
  runScoring(job, { spawn: () => spawnScorer(logChild), signal })

function filesOf(config: Config, localProvider: string): (who: Contestant) => Promise<ModelFiles | undefined> {
  const registry = createModelRegistry(config.modelsDir)
  const catalog = createCatalog({ registry, readFacts: readModelKind, aliases: config.modelAliases, estimateBytes: () => 0 })
  return async ({ provider, model }) => {
    if (provider !== localProvider) return undefined
    const { path, adapter } = await catalog.find(model)
    return { modelPath: path, adapterPath: adapter?.path }
  }
}
