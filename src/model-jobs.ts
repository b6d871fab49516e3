import { availableParallelism } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import { type Activity, tellWork } from './engine/activity.ts'
import type { Egress } from './engine/cloud/egress.ts'
import { freeBytes } from './engine/disk.ts'
import { type QuantizerChild, runMeasurement, runQuantization, spawnQuantizer } from './engine/local/quantize-process.ts'
import type { MeasureJob, QuantizeJob } from './engine/local/quantize-protocol.ts'
import type { ModelHost } from './engine/provider.ts'
import { type MergerChild, runMerge, spawnMerger as spawnMergerProcess } from './engine/train/merge-process.ts'
import { AppError } from './errors.ts'
import type { Instances } from './instances/instances.ts'
import { logChild } from './log-child.ts'
import { runConversion } from './models/convert/convert-process.ts'
import { convertPulled } from './models/convert-pulled.ts'
import { copyModel } from './models/copy-model.ts'
import { shareMaking } from './models/making-jobs.ts'
import { makingRoutes } from './models/making-routes.ts'
import { createMerges } from './models/merge.ts'
import { mergeRoutes } from './models/merge-routes.ts'
import { createModelFiles, type ModelFiles } from './models/model-files.ts'
import { readModelKind } from './models/model-kind.ts'
import { parseHubName } from './models/model-name.ts'
import { createOneJob } from './models/one-job.ts'
import { createPull } from './models/pull.ts'
import { pullRoutes } from './models/pull-routes.ts'
import { createPulls, type Pulls } from './models/pulls.ts'
import { createQuantizations } from './models/quantize.ts'
import { quantizeRoutes } from './models/quantize-routes.ts'
import { createModelRegistry } from './models/registry.ts'
import { removeModel } from './models/remove-model.ts'
import { openSharedJobs } from './models/shared-jobs.ts'
import { removeUnfinished } from './models/unfinished.ts'
import type { Database } from './storage/tables.ts'

export type ModelJobParts = Readonly<{
  db: Database
  instances: Instances
  isDraining: () => boolean
  log: Pick<FastifyBaseLogger, 'error'>
  host: ModelHost
  spawnQuantizer?: () => QuantizerChild
  spawnMerger?: () => MergerChild
  /** What gives way to the work of models. */
  activity: Activity
  egress: Egress
  /** What the ledger of what leaves this machine calls who asks. */
  userOf: (request: FastifyRequest) => string
  /** Throws `conflict` where something else than the host needs an installed model. */
  refuseRemoval: (name: string) => Promise<void>
  now: () => number
}>

export type ModelJobs = Readonly<{
  caller: readonly FastifyPluginAsync[]
  admin: readonly FastifyPluginAsync[]
  /** Downloads a model that is named as on the hub and is not installed; does nothing for other names. */
  install: (name: string, signal: AbortSignal, user: string) => Promise<void>
  files: ModelFiles
  pulls: Pulls
  /** By the installed name; gives it. */
  remove: (name: string) => Promise<string>
  /** Gives an installed model a second name. */
  copy: (source: string, target: string) => Promise<void>
  /** By any name of a model. */
  isInstalled: (name: string) => Promise<boolean>
}>

/** What changes the installed models: downloads with their conversions, removals, quantizations, merges. A part of the composition root. */
export async function openModelJobs(
  config: Config,
  {
    db,
    instances,
    isDraining: isEnding,
    log: serviceLog,
    host,
    spawnQuantizer: spawn = spawnLogged,
    spawnMerger = spawnLoggedMerger,
    activity,
    egress,
    userOf,
    refuseRemoval: refuse,
    now,
  }: ModelJobParts,
  closer: Closer,
): Promise<ModelJobs> {
  const { modelsDir, hfEndpoint: endpoint, hfToken: token, localOnly } = config
  await removeUnfinished(modelsDir, { isStart: true })
  const registry = createModelRegistry(modelsDir)
  const wait = (ms: number, signal?: AbortSignal) => setTimeout(ms, undefined, signal === undefined ? {} : { signal })
  const memoryBudget = () => config.memoryBudget ?? 0.7 * process.availableMemory()
  const shared = await openSharedJobs({ db, instances, isEnding, log: serviceLog, now })
  instances.onLook(shared.look, 'Work on models that is to end could not be looked for')
  const pull = createPull({ egress, modelsDir, endpoint, token, localOnly, freeBytes, memoryBudget, now, wait })
  const pulls = createPulls({
    pull,
    convert: (checkpoint, signal) => convertPulled({ modelsDir, now, wait, convert: runConversion }, checkpoint, signal),
    shared,
  })
  const remove = (name: string) =>
    removeModel({ modelsDir, describe: registry.describe, isInUse: host.isInUse, refuse, now, wait }, name)
  const claiming = { modelsDir, now, wait }
  const making = {
    ...claiming,
    findModel: registry.find,
    quantize: (job: QuantizeJob, signal: AbortSignal) => tellWork(activity, () => runQuantization(job, { spawn, signal })),
    oneJob: closer.use(createOneJob()),
    share: shareMaking(shared),
    threads: config.threads > 0 ? config.threads : availableParallelism(),
  }
  const measure = (job: MeasureJob, signal: AbortSignal) => tellWork(activity, () => runMeasurement(job, { spawn, signal }))
  const quantize = quantizeRoutes(createQuantizations({ ...making, measure }))
  const merge = mergeRoutes(
    createMerges({
      ...making,
      aliases: config.modelAliases,
      readFacts: readModelKind,
      merge: (job, signal) => tellWork(activity, () => runMerge(job, { spawn: spawnMerger, signal })),
    }),
  )
  const install: ModelJobs['install'] = (name, signal, user) => installFromHub({ host, pulls, user }, name, signal)
  return {
    caller: [quantize.caller],
    admin: [quantize.admin, merge, makingRoutes({ shared }), pullRoutes({ pulls, remove, userOf })],
    install,
    files: createModelFiles(registry),
    pulls,
    remove,
    copy: (source, target) => copyModel({ ...claiming, registry }, source, target),
    isInstalled: (name) =>
      registry.find(config.modelAliases.get(name) ?? name).then(
        () => true,
        () => false,
      ),
  }
}

type InstallParts = Readonly<{ host: ModelHost; pulls: Pulls; user: string }>

async function installFromHub({ host, pulls, user }: InstallParts, name: string, signal: AbortSignal): Promise<void> {
  if (parseHubName(name) === undefined) return
  const missing = await host.choose(name).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(missing instanceof AppError) || missing.code !== 'not_found') return
  try {
    for await (const _event of pulls.watch(pulls.start(name, user).id, signal));
  } catch (error) {
    // A name that looks like one of the hub may have been meant for a file.
    const isNoHub = error instanceof AppError && ['not_found', 'unavailable', 'forbidden'].includes(error.code)
    throw isNoHub ? new AppError('not_found', `${missing.message} The hub said: ${error.message}`, { cause: error }) : error
  }
}

const spawnLogged = () => spawnQuantizer(logChild)
const spawnLoggedMerger = () => spawnMergerProcess(logChild)
