import { defaultRoute } from '../engine/providers.ts'
import type { Rollouts } from '../predict/predict.ts'
import { createActiveRollouts, type PassedBy } from './active-rollouts.ts'
import { createRules, type Rules, type RulesParts } from './apply-rules.ts'
import { shareOf } from './arms.ts'
import { type ChangeParts, createRolloutChanges, type RolloutChanges } from './change-rollouts.ts'
import { type ArmModel, isModelHere, nameInProvider } from './models-of-arms.ts'
import { refuseNeeded } from './rollout-checks.ts'
import {
  type EventFilter,
  getRollout,
  listActive,
  listEvents,
  listRollouts,
  type Page,
  type PageOptions,
  type Rollout,
  type RolloutEvent,
} from './rollout-rows.ts'
import { type RolloutStatistics, readStatistics } from './statistics.ts'

export type RolloutsParts = Omit<ChangeParts, 'onChange'> &
  Pick<RulesParts, 'hasPassed' | 'onFailure'> &
  Readonly<{
    /** By which the days of a rule go by; default: `now`. */
    settledNow?: () => number
  }>

/** What keeps requests for a rollout's alias from it: something of the same name that came later. */
export type Blocked = 'route' | 'model'

/** Models that share the requests for a name. Whatever they do is in the database. */
export type RolloutStore = Rollouts &
  RolloutChanges &
  Pick<Rules, 'lookSoon' | 'apply'> &
  Readonly<{
    /** Throws `not_found`. */
    get(id: string): Promise<Rollout>
    /** Those that run first, then newest first. Throws `invalid` for a cursor that is not one of ours. */
    list(options: PageOptions): Promise<Page<Rollout>>
    /** Newest first. Throws like `list`, and `not_found`. */
    events(filter: EventFilter): Promise<Page<RolloutEvent>>
    statistics(rollout: Rollout): Promise<RolloutStatistics>
    /** The models that share the requests which name none, in percent; undefined where no rollout does so. */
    findShared(): Promise<Readonly<{ id: string; arms: ReadonlyArray<Readonly<{ model: string; share: number }>> }> | undefined>
    /** The names besides models that requests can be for, as rollouts have them. */
    aliases(): Promise<readonly string[]>
    passedByOf(rolloutId: string, model: string): PassedBy | undefined
    findBlocked(rollout: Rollout): Promise<Blocked | undefined>
    /** Throws `conflict` where a rollout needs the file of this name: a model, or an adapter. */
    refuseRemoval(file: string): Promise<void>
    /** Why the model of an arm cannot answer now. */
    findProblem(arm: ArmModel): Promise<string | undefined>
    close(): Promise<void>
  }>

export function createRollouts(parts: RolloutsParts): RolloutStore {
  const { db, providers, localProvider, now, settledNow = now, hasPassed, onFailure } = parts
  const active = createActiveRollouts(parts)
  const changes = createRolloutChanges({ ...parts, onChange: active.forget })
  const statistics = (rollout: Rollout) => readStatistics({ db, localProvider }, rollout)
  const rules = createRules({ active, changes, readStatistics: statistics, hasPassed, now: settledNow, onFailure })
  return {
    ...changes,
    choose: active.choose,
    passedBy: active.passedBy,
    passedByOf: active.passedByOf,
    lookSoon: rules.lookSoon,
    apply: rules.apply,
    get: (id) => getRollout(db, id),
    list: (options) => listRollouts(db, options),
    async events(filter) {
      if (filter.rolloutId !== undefined) await getRollout(db, filter.rolloutId)
      return listEvents(db, filter)
    },
    statistics,
    async findShared() {
      const running = (await active.list()).get(defaultRoute)
      if (running === undefined || providers.routes().has(defaultRoute)) return undefined
      return { id: running.id, arms: running.arms.map((arm) => ({ model: arm.model, share: shareOf(arm) })) }
    },
    aliases: async () => [...(await active.list()).keys()].filter((alias) => alias !== defaultRoute),
    async findBlocked({ alias }) {
      if (providers.routes().has(alias)) return 'route'
      return (await isModelHere(parts, alias)) ? 'model' : undefined
    },
    refuseRemoval: async (file) => refuseNeeded(await listActive(db), localProvider, file),
    async findProblem(arm) {
      try {
        await providers.find(arm.provider)?.choose(nameInProvider(arm, localProvider))
        return providers.find(arm.provider) === undefined
          ? `The provider "${arm.provider}" is not configured any more.`
          : undefined
      } catch (error) {
        return error instanceof Error ? error.message : String(error)
      }
    },
    close: rules.close,
  }
}
