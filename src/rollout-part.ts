import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { Selection } from './config/selection.ts'
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
  saveSelection: (selection: Selection) => Promise<void>
  db: Database
  log: Pick<FastifyBaseLogger, 'error'>
  now: () => number
  /** As of `openSettledTime`: by it the days of a rule go by. */
  settledNow: () => number
}>

/** Models that share requests. A part of the composition root. */
export function openRollouts(
  config: Config,
  { host, providers, saveSelection, db, log, now, settledNow }: RolloutParts,
): RolloutStore {
  const { localOnly } = config
  return createRollouts({
    db,
    providers,
    localProvider: host.name,
    localOnly,
    select: (selected) => select({ host, providers, localOnly, saveSelection }, selected),
    refuseEvaluation: (id, model) => refuseEvaluation(db, id, model),
    hasPassed: async (id, model) => hasPassed(await findGate(db, id), model),
    createId: randomUUID,
    now,
    settledNow,
    onFailure: (error) => log.error({ err: error }, 'The rule of a rollout could not be followed'),
  })
}

/** Only gates have a verdict; comparisons of conversations are their owners' alone. */
function findGate(db: Database, id: string): Promise<EvaluationsTable | undefined> {
  return db.selectFrom('evaluations').selectAll().where('id', '=', id).where('kind', '=', 'gate').executeTakeFirst()
}

/** Throws `invalid` where no such evaluation can let this model pass. */
async function refuseEvaluation(db: Database, id: string, model: string): Promise<void> {
  const found = await findGate(db, id)
  if (found?.candidate === model) return
  const expected = `the id of a gate of ${JSON.stringify(model)}`
  const got = found === undefined ? JSON.stringify(id.slice(0, 100)) : `one of ${JSON.stringify(found.candidate)}`
  throw new AppError('invalid', `"rule.require_evaluation" must be ${expected}, but is ${got}.`, {
    details: [{ field: 'rule.require_evaluation', expected, got }],
  })
}

/** One that was removed lets nobody pass, and hinders nothing else. */
function hasPassed(gate: EvaluationsTable | undefined, model: string): boolean {
  return gate?.state === 'completed' && gate.candidate === model && gate.passed === 1
}
