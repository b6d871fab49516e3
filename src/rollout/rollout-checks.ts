import { AppError } from '../errors.ts'
import { type Arm, refusal, resize, settledArm, shareOf, toSizes } from './arms.ts'
import type { ArmModel } from './models-of-arms.ts'
import type { Rollout } from './rollout-rows.ts'
import type { Rule } from './rule.ts'

export type GivenArm = Readonly<{ model: string; share: number }>

type Arms = Rollout['arms']

/** The same arms with other shares, in any order. Throws `invalid` for other models. */
export function withShares(arms: Arms, given: readonly GivenArm[]): Arms {
  const names = arms.map(({ model }) => model)
  const foreign = given.findIndex(({ model }) => !names.includes(model))
  const known = `one of ${names.map((name) => JSON.stringify(name)).join(', ')}; for other models start another rollout`
  if (foreign >= 0) throw refusal(`arms.${foreign}.model`, known, JSON.stringify(given[foreign]?.model))
  refuseTwice(given)
  const missing = names.find((name) => given.every(({ model }) => model !== name))
  if (missing !== undefined) throw refusal('arms', 'the shares of all arms', `without ${JSON.stringify(missing)}`)
  const sizes = toSizes(given.map(({ share }) => share))
  const sizeOf = (name: string) => sizes[given.findIndex(({ model }) => model === name)] ?? 0
  const ranges = resize(
    arms.map((arm) => arm.ranges),
    names.map(sizeOf),
  )
  const [first, ...others] = arms
  return [{ ...first, ranges: ranges[0] ?? [] }, ...others.map((arm, at) => ({ ...arm, ranges: ranges[at + 1] ?? [] }))]
}

export function refuseTwice(arms: ReadonlyArray<Readonly<{ model: string }>>): void {
  const names = arms.map(({ model }) => model)
  const twice = names.findIndex((name, at) => names.indexOf(name) !== at)
  if (twice >= 0) throw refusal(`arms.${twice}.model`, 'another model in each arm', `${JSON.stringify(names[twice])} again`)
}

/** Throws `invalid` for a rule that nothing can come of. */
export async function refuseRule(
  { refuseEvaluation }: Readonly<{ refuseEvaluation: (id: string, model: string) => Promise<void> }>,
  rule: Rule | undefined,
  [, candidate, ...more]: readonly ArmModel[],
): Promise<void> {
  if (rule === undefined) return
  if (candidate === undefined || more.length > 0) throw refusal('rule', 'left out where there are more than two arms', 'there')
  const { promoteWhen, rollbackWhen, maxDays, requireEvaluation } = rule
  if (promoteWhen === undefined && rollbackWhen === undefined && maxDays === undefined)
    throw refusal('rule', 'one with promote_when, rollback_when or max_days', 'without them')
  if (requireEvaluation !== undefined) await refuseEvaluation(requireEvaluation, candidate.model)
}

/** Nothing changes for the conversations that the first arm keeps. */
export function refuseOtherFirst(first: ArmModel, inUse: ArmModel | undefined, alias: string): void {
  if (inUse === undefined || inUse.model === first.model) return
  const expected = `${JSON.stringify(inUse.model)}, which answers ${JSON.stringify(alias)} now, as the first arm is what a rollback goes to`
  throw refusal('arms.0.model', expected, JSON.stringify(first.model))
}

/** The arm that is to be promoted. Throws `invalid` where it is not told, or is no candidate. */
export function candidateOf({ arms: [first, ...candidates] }: Rollout, model: string | undefined): Arm {
  const names = candidates.map((arm) => JSON.stringify(arm.model)).join(' or ')
  if (model === undefined) {
    const [only, ...others] = candidates
    if (only !== undefined && others.length === 0) return only
    throw refusal('model', names, 'missing')
  }
  const found = candidates.find((arm) => arm.model === model)
  if (found !== undefined) return found
  const got = model === first.model ? `${JSON.stringify(model)}, the arm before (a rollback goes to it)` : JSON.stringify(model)
  throw refusal('model', names, got)
}

export function alreadyRunning({ id, alias }: Rollout): AppError {
  const message = `A rollout of ${JSON.stringify(alias)} runs already: ${id}. End it first, or change its shares.`
  return new AppError('conflict', message)
}

/** Throws `conflict` where a rollout needs this file of this machine: as an arm that may answer, or as base or adapter of one. */
export function refuseNeeded(rollouts: readonly Rollout[], localProvider: string, file: string): void {
  const isOf = ({ model, provider }: ArmModel) =>
    provider === localProvider && (model === file || model.startsWith(`${file}+`) || model.endsWith(`+${file}`))
  const found = rollouts.find(({ state, arms }) => (state === 'running' ? arms : [settledArm(arms)]).some(isOf))
  if (found === undefined) return
  const message = `"${file}" answers in the rollout ${found.id} of ${JSON.stringify(found.alias)}. End that first: POST /rollout/${found.id}/end.`
  throw new AppError('conflict', message)
}

export function superseded({ alias }: Rollout, promoted: ArmModel, now: ArmModel | undefined): AppError {
  const since =
    now === undefined || now.model === promoted.model ? 'another rollout has begun' : `"${now.model}" has been selected`
  const message = `Since "${promoted.model}" was promoted for "${alias}", ${since}: there is no going back by this.`
  return new AppError('conflict', message)
}

/** Arms as the audit tells them. */
export const toTold = (arms: readonly Arm[]) => arms.map((arm) => ({ model: arm.model, share: shareOf(arm), ran_on: arm.ranOn }))

/** A rule as the wire has it. */
export function toToldRule({ minRatings, promoteWhen, rollbackWhen, maxDays, requireEvaluation }: Rule) {
  return {
    min_ratings: minRatings,
    ...(promoteWhen === undefined
      ? {}
      : { promote_when: promoteWhen === 'better' ? ('better' as const) : ('not_worse' as const) }),
    ...(rollbackWhen === undefined ? {} : { rollback_when: rollbackWhen }),
    ...(maxDays === undefined ? {} : { max_days: maxDays }),
    ...(requireEvaluation === undefined ? {} : { require_evaluation: requireEvaluation }),
  }
}
