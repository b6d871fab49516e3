import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { writeSelection } from './config/selection.ts'
import type { Config } from './config.ts'
import type { ModelHost } from './engine/provider.ts'
import type { Providers } from './engine/providers.ts'
import { AppError } from './errors.ts'
import { select } from './models/select-routes.ts'
import { createRollouts, type RolloutStore } from './rollout/rollouts.ts'
import type { EvaluationsTable } from './storage/learning-tables.ts'
import type { Database } from './storage/tables.ts'

export type RolloutParts = Readonly<{
  host: ModelHost
  providers: Providers
  db: Database
  log: Pick<FastifyBaseLogger, 'error'>
  now: () => number
}>

/** Models that share requests. A part of the composition root. */
export function openRollouts(config: Config, { host, providers, db, log, now }: RolloutParts): RolloutStore {
  const { localOnly, configFile } = config
  const saveSelection = (selection: Parameters<typeof writeSelection>[1]) => writeSelection(configFile, selection)
  return createRollouts({
    db,
    providers,
    localProvider: host.name,
    localOnly,
    select: (selected) => select({ host, providers, localOnly, saveSelection }, selected),
    getEvaluation: (id) => getEvaluation(db, id),
    hasPassed: async (id, model) => hasPassed(await getEvaluation(db, id), model),
    createId: randomUUID,
    now,
    onFailure: (error) => log.error({ err: error }, 'The rule of a rollout could not be followed'),
  })
}

async function getEvaluation(db: Database, id: string): Promise<EvaluationsTable> {
  const found = await db.selectFrom('evaluations').selectAll().where('id', '=', id).executeTakeFirst()
  if (found !== undefined) return found
  const got = JSON.stringify(id.slice(0, 100))
  throw new AppError('invalid', `"rule.require_evaluation" must be the id of an evaluation, but there is none with ${got}.`, {
    details: [{ field: 'rule.require_evaluation', expected: 'the id of an evaluation', got }],
  })
}

function hasPassed({ state, candidate, passed }: EvaluationsTable, model: string): boolean {
  return state === 'completed' && candidate === model && passed === 1
}
