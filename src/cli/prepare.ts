import { freemem } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import type { Config } from '../config.ts'
import type { Egress } from '../engine/cloud/egress.ts'
import { freeBytes } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { embeddingModel, ensureEmbeddingModel } from '../models/embedding-model.ts'
import { ensurePackagedCheckpoint, miniLm } from '../models/packaged-checkpoint.ts'
import type { PullOptions } from '../models/pull.ts'
import { ensureDefaultModel, ensurePackagedModel, type SetupOptions } from '../models/setup.ts'
import { ensureBuiltPages } from '../web-client/build.ts'
import { type Context, describeFailure, writeLine } from './context.ts'
import { runProgram } from './run-program.ts'
import { showSetup } from './show-setup.ts'
import { withEgress } from './with-egress.ts'

/** Makes sure that some model is there to answer; gives the name of its file. */
export async function prepareModel(context: Context, config: Config, signal?: AbortSignal): Promise<string> {
  try {
    return await withEgress(context, config, (egress) => ensureDefaultModel(setupOptions(context, egress, config), signal))
  } catch (error) {
    // What to do where no model can be had comes in the person's language already.
    const isForeign = error instanceof AppError && error.code !== 'unavailable'
    throw isForeign ? new AppError(error.code, describeFailure(error, context.language, context.say), { cause: error }) : error
  }
}

/** Makes sure that the model that makes vectors is there. Without it the service runs all the same, so a failure is only told. */
export async function prepareEmbeddingModel(context: Context, config: Config, signal: AbortSignal): Promise<void> {
  try {
    await withEgress(context, config, (egress) => {
      const own = { model: config.embeddingModel, run: runProgram, report: showSetup(context) }
      return ensureEmbeddingModel({ ...pullOptions(egress, config), ...own }, signal)
    })
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'aborted') throw error
    writeLine(context.terminal.notes, context.say('noEmbeddingModel', { reason: error.message }))
  }
}

/** Makes sure that the pages are built from the sources as they are. */
export async function preparePages({ say, terminal }: Context): Promise<void> {
  await ensureBuiltPages(runProgram, () => writeLine(terminal.notes, say('buildsPages')))
}

/** Makes sure that the models of the tests are there: one that answers, and one that makes vectors. */
export async function prepareTestModels(context: Context, config: Config): Promise<void> {
  await withEgress(context, config, async (egress) => {
    const options = setupOptions(context, egress, config)
    await ensurePackagedModel(options)
    await ensurePackagedCheckpoint({ ...options, checkpoint: miniLm })
    await ensureEmbeddingModel(
      { ...options, ...pullOptions(egress, config), model: embeddingModel },
      new AbortController().signal,
    )
  })
}

function setupOptions(context: Context, egress: Egress, config: Config): SetupOptions {
  const { language } = context
  return { ...pullOptions(egress, config), language, run: runProgram, report: showSetup(context) }
}

/** What a download of a model by this program itself needs. */
export function pullOptions(egress: Egress, config: Config): PullOptions {
  const { modelsDir, localOnly, hfEndpoint, hfToken } = config
  return {
    modelsDir,
    localOnly,
    endpoint: hfEndpoint,
    token: hfToken,
    egress,
    memoryBudget: () => config.memoryBudget ?? 0.7 * freemem(),
    now: Date.now,
    wait: (ms, signal) => setTimeout(ms, undefined, { signal }),
    freeBytes,
  }
}
