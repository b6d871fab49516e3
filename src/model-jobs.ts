import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsync } from 'fastify'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import { type QuantizerChild, runMeasurement, runQuantization, spawnQuantizer } from './engine/local/quantize-process.ts'
import type { ModelHost } from './engine/provider.ts'
import { runConversion } from './models/convert/convert-process.ts'
import { convertPulled } from './models/convert-pulled.ts'
import { createPull } from './models/pull.ts'
import { pullRoutes } from './models/pull-routes.ts'
import { createPulls } from './models/pulls.ts'
import { createQuantizations } from './models/quantize.ts'
import { quantizeRoutes } from './models/quantize-routes.ts'
import { createModelRegistry } from './models/registry.ts'
import { removeModel } from './models/remove-model.ts'
import { freeBytes } from './models/verified-file.ts'

export type ModelJobParts = Readonly<{
  host: ModelHost
  spawnQuantizer?: () => QuantizerChild
  now: () => number
}>

export type ModelJobs = Readonly<{ caller: readonly FastifyPluginAsync[]; admin: readonly FastifyPluginAsync[] }>

/** What changes the installed models: downloads with their conversions, removals, quantizations. A part of the composition root. */
export function openModelJobs(
  config: Config,
  { host, spawnQuantizer: spawn = spawnLogged, now }: ModelJobParts,
  closer: Closer,
): ModelJobs {
  const { modelsDir, hfEndpoint: endpoint, hfToken: token, localOnly } = config
  const registry = createModelRegistry(modelsDir)
  const wait = (ms: number, signal?: AbortSignal) => setTimeout(ms, undefined, signal === undefined ? {} : { signal })
  const memoryBudget = () => config.memoryBudget ?? 0.7 * process.availableMemory()
  const { fetch } = globalThis
  const pull = createPull({ fetch, modelsDir, endpoint, token, localOnly, freeBytes, memoryBudget, now, wait })
  const pulls = createPulls({
    pull,
    convert: (checkpoint, signal) => convertPulled({ modelsDir, convert: runConversion }, checkpoint, signal),
    createId: randomUUID,
  })
  const remove = (name: string) => removeModel({ modelsDir, describe: registry.describe, isInUse: host.isInUse, now, wait }, name)
  const quantize = quantizeRoutes(
    closer.use(
      createQuantizations({
        modelsDir,
        findModel: registry.find,
        quantize: (job, signal) => runQuantization(job, { spawn, signal }),
        measure: (job, signal) => runMeasurement(job, { spawn, signal }),
        threads: config.threads > 0 ? config.threads : availableParallelism(),
        now,
      }),
    ),
  )
  return { caller: [quantize.caller], admin: [quantize.admin, pullRoutes({ pulls, remove })] }
}

const spawnLogged = () => spawnQuantizer((text) => void process.stderr.write(text))
