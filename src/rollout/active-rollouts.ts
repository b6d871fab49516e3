import { defaultRoute } from '../engine/providers.ts'
import type { ErrorCode } from '../errors.ts'
import type { Drawn, Rollouts } from '../predict/predict.ts'
import type { Database } from '../storage/tables.ts'
import { type Arm, armAt, beginningOf, placeOf, settledArm } from './arms.ts'
import { isModelHere, type ModelsParts, nameInProvider } from './models-of-arms.ts'
import { listActive, type Rollout } from './rollout-rows.ts'

/** Requests of an arm that the first arm had to answer. */
export type PassedBy = Readonly<{ requests: number; code: ErrorCode; at: string }>

export type ActiveRollouts = Rollouts &
  Readonly<{
    /** Those that answer for an alias, by it. */
    list(): Promise<ReadonlyMap<string, Rollout>>
    /** What was read before counts no more. */
    forget(): void
    /** Since the service started. */
    passedByOf(rolloutId: string, model: string): PassedBy | undefined
  }>

export type ActiveParts = ModelsParts & Readonly<{ db: Database; now: () => number }>

/** Another process may change them: what was read is good for so long. */
const ageMs = 2000

/** Which model answers a request, by the rollouts in the database. */
export function createActiveRollouts(parts: ActiveParts): ActiveRollouts {
  const { db, providers, localProvider, now } = parts
  let read: Readonly<{ atMs: number; rollouts: Promise<ReadonlyMap<string, Rollout>> }> | undefined
  const failures = new Map<string, PassedBy>()

  function list(): Promise<ReadonlyMap<string, Rollout>> {
    const atMs = now()
    // A clock that was put back must not keep it for ever.
    if (read !== undefined && Math.abs(atMs - read.atMs) < ageMs) return read.rollouts
    const rollouts = listActive(db).then((active) => new Map(active.map((rollout) => [rollout.alias, rollout])))
    const reading = { atMs, rollouts }
    const before = read
    read = reading
    rollouts.catch(() => {
      // A database that is busy now need not fail answers: what was known goes on.
      if (read === reading) read = before
    })
    return rollouts.catch((error: unknown) => {
      if (before === undefined) throw error
      return before.rollouts
    })
  }

  async function isBlocked(alias: string, isNamed: boolean): Promise<boolean> {
    return providers.routes().has(alias) || (isNamed && (await isModelHere(parts, alias)))
  }

  const toModel = ({ provider, model }: Arm) => ({ provider, model: nameInProvider({ provider, model }, localProvider) })

  function draw({ id, state, arms }: Rollout, text: string | undefined, askerKey: string): Drawn {
    const [first] = arms
    const place = text === undefined ? undefined : placeOf({ rolloutId: id, askerKey, text })
    const arm = (place === undefined ? undefined : armAt(arms, place)) ?? settledArm(arms)
    if (state !== 'running') return toModel(arm)
    return { ...toModel(arm), rolloutId: id, ...(arm === first ? {} : { otherwise: toModel(first) }) }
  }

  return {
    list,
    forget() {
      read = undefined
    },
    async choose({ model, provider, prompt, conversation }, asker) {
      if (provider !== undefined) return undefined
      const alias = model ?? defaultRoute
      const rollout = (await list()).get(alias)
      if (rollout === undefined || (await isBlocked(alias, model !== undefined))) return undefined
      return draw(rollout, conversation ?? (prompt === undefined ? undefined : beginningOf(prompt)), asker?.key ?? '')
    },
    passedBy(rolloutId, { provider, model }, code) {
      const key = JSON.stringify([rolloutId, provider === localProvider ? model : `${provider}/${model}`])
      const before = failures.get(key)?.requests ?? 0
      failures.set(key, { requests: before + 1, code, at: new Date(now()).toISOString() })
    },
    passedByOf: (rolloutId, model) => failures.get(JSON.stringify([rolloutId, model])),
  }
}
