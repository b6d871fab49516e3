import { defaultRoute, type Selected } from '../engine/providers.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import { type Arm, refusal, resize, settledArm, toSizes } from './arms.ts'
import {
  type ArmModel,
  findArmModel,
  findSelected,
  type ModelsParts,
  nameInProvider,
  refuseTakenAlias,
} from './models-of-arms.ts'
import {
  alreadyRunning,
  candidateOf,
  type GivenArm,
  refuseOtherFirst,
  refuseRule,
  refuseTwice,
  superseded,
  toTold,
  toToldRule,
  withShares,
} from './rollout-checks.ts'
import {
  findActive,
  findLastPromoted,
  getRollout,
  insertEvent,
  insertRollout,
  type Rollout,
  type RolloutEvent,
  type RolloutState,
  updateRollout,
} from './rollout-rows.ts'
import type { Rule } from './rule.ts'

export type NewRollout = Readonly<{ alias: string; arms: readonly GivenArm[]; rule: Rule | undefined }>

export type Changes = Readonly<{
  /** The same models, with other shares. */
  arms?: readonly GivenArm[]
  /** Null: there is none any more. */
  rule?: Rule | null
  /** What the rollout is changed from; absent: whatever it is. */
  version?: number
}>

/** Who changes something, and what the audit says of it besides. */
export type Actor = Readonly<{ actor: string; details?: Readonly<Record<string, unknown>> }>

export type ChangeParts = ModelsParts &
  Readonly<{
    db: Database
    /** Makes a model the one that answers who names none, as an admin does. Throws where it cannot; nothing has changed then. */
    select: (model: Readonly<{ provider: string; model: string }>) => Promise<void>
    /** Throws `invalid` where no such evaluation can let this model pass. */
    refuseEvaluation: (id: string, model: string) => Promise<void>
    createId: () => string
    now: () => number
    /** Told after each change. */
    onChange: () => void
  }>

/**
 * What admins and rules do to rollouts. One change after the other, so that each sees what the one before has done; each is a row of the audit
 * in the same transaction. All throw `not_found`, and `conflict` where the rollout is in no state for it.
 */
export type RolloutChanges = Readonly<{
  /** Throws what is wrong with the alias, the arms or the rule. */
  start(rollout: NewRollout, actor: Actor): Promise<Rollout>
  change(id: string, changes: Changes, actor: Actor): Promise<Rollout>
  /** Ends it with this model for all requests; undefined: the only candidate. */
  promote(id: string, model: string | undefined, actor: Actor): Promise<Rollout>
  /** Ends it with the first arm for all requests, or undoes its promotion. */
  rollBack(id: string, actor: Actor): Promise<Rollout>
  /** The same for what runs for an alias, or else was promoted last. */
  rollBackAlias(alias: string, actor: Actor): Promise<Rollout>
  /** Ends it: the alias means what it meant without rollouts. */
  end(id: string, actor: Actor): Promise<Rollout>
  /** Ends the rollout of `default` where another model than its first has been selected. */
  selectedByHand(actor: Actor): Promise<void>
  /**
   * The same for what is selected at the start. Where that is a candidate, it was promoted: a promotion selects first, and may have been cut
   * off before it was written down.
   */
  selectedAtStart(selected: Selected): Promise<void>
}>

export function createRolloutChanges(parts: ChangeParts): RolloutChanges {
  const { db, localProvider, now, createId, onChange } = parts
  let lastChange: Promise<unknown> = Promise.resolve()

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = lastChange.then(work).finally(onChange)
    lastChange = turn.catch(() => {})
    return turn
  }

  const isoNow = () => new Date(now()).toISOString()

  function toEvent({ id, version }: Rollout, action: RolloutEvent['action'], { actor, details = {} }: Actor): RolloutEvent {
    // Two changes in a millisecond still have their order.
    const eventId = `${id}-${String(version).padStart(6, '0')}`
    return { id: eventId, rolloutId: id, actor, action, details, createdAt: isoNow() }
  }

  function save(read: Rollout, state: Partial<RolloutState>, action: RolloutEvent['action'], actor: Actor): Promise<Rollout> {
    return db.transaction().execute(async (tx) => {
      const saved = await updateRollout(tx, read, { ...read, ...state })
      await insertEvent(tx, toEvent(saved, action, actor))
      return saved
    })
  }

  async function findRunning(alias: string): Promise<Rollout | undefined> {
    const active = await findActive(db, alias)
    return active?.state === 'running' ? active : undefined
  }

  async function getRunning(id: string): Promise<Rollout> {
    const read = await getRollout(db, id)
    if (read.state === 'running') return read
    throw new AppError('conflict', `The rollout does not run any more: it is "${read.state}".`)
  }

  const selectArm = ({ provider, model }: ArmModel) =>
    parts.select({ provider, model: nameInProvider({ provider, model }, localProvider) })

  /** Ends a rollout with one arm for all requests. */
  async function settle(read: Rollout, arm: Arm, state: 'promoted' | 'rolled-back', actor: Actor): Promise<Rollout> {
    const arms = withShares(
      read.arms,
      read.arms.map((one) => ({ model: one.model, share: one === arm ? 100 : 0 })),
    )
    const isActive = read.alias !== defaultRoute
    return save(read, { state, arms, isActive, endedAt: isoNow() }, state === 'promoted' ? 'promote' : 'roll-back', actor)
  }

  /** The same, with the arm selected where the alias is `default`; selected is what was before where the end cannot be saved. */
  async function settleSelected(read: Rollout, arm: Arm, before: Arm, state: 'promoted' | 'rolled-back', actor: Actor) {
    if (read.alias !== defaultRoute) return settle(read, arm, state, actor)
    await selectArm(arm)
    try {
      return await settle(read, arm, state, actor)
    } catch (error) {
      await selectArm(before)
      throw error
    }
  }

  async function start({ alias, arms, rule }: NewRollout, actor: Actor): Promise<Rollout> {
    await refuseTakenAlias(parts, alias)
    const shares = toSizes(arms.map(({ share }) => share))
    const models: ArmModel[] = []
    for (const [at, { model }] of arms.entries()) models.push(await findArmModel(parts, model, `arms.${at}.model`))
    refuseTwice(models)
    await refuseRule(parts, rule, models)
    const active = await findActive(db, alias)
    if (active?.state === 'running') throw alreadyRunning(active)
    const ranges = resize(
      models.map(() => []),
      shares,
    )
    const [first, ...others] = models.map((model, at): Arm => ({ ...model, ranges: ranges[at] ?? [] }))
    if (first === undefined) throw refusal('arms', 'two arms or more', 'none')
    refuseOtherFirst(first, alias === defaultRoute ? await findSelected(parts) : active && settledArm(active.arms), alias)
    const rollout: Rollout = {
      id: createId(),
      alias,
      state: 'running',
      isActive: true,
      version: 1,
      arms: [first, ...others],
      rule,
      createdBy: /^user:(.+)$/.exec(actor.actor)?.[1] ?? null,
      createdAt: isoNow(),
      endedAt: null,
    }
    return saveNew(rollout, active, actor)
  }

  /** What the alias was settled on before answers no more. */
  function saveNew(rollout: Rollout, before: Rollout | undefined, actor: Actor): Promise<Rollout> {
    const { alias, arms, rule } = rollout
    const details = { alias, arms: toTold(arms), ...(rule === undefined ? {} : { rule: toToldRule(rule) }), ...actor.details }
    return db.transaction().execute(async (tx) => {
      if (before !== undefined) await updateRollout(tx, before, { ...before, isActive: false })
      await insertRollout(tx, rollout)
      await insertEvent(tx, toEvent(rollout, 'start', { ...actor, details }))
      return rollout
    })
  }

  async function change(id: string, { arms, rule, version }: Changes, actor: Actor): Promise<Rollout> {
    const read = await getRunning(id)
    if (version !== undefined && version !== read.version) {
      const message = `The rollout has been changed since: it has version ${read.version}, not ${version}. Read it again, and see whether you still want this.`
      throw new AppError('conflict', message)
    }
    const next = rule === undefined ? read.rule : (rule ?? undefined)
    await refuseRule(parts, next, read.arms)
    const resized = arms === undefined ? read.arms : withShares(read.arms, arms)
    const details = {
      ...(arms === undefined ? {} : { before: toTold(read.arms), arms: toTold(resized) }),
      ...(rule === undefined ? {} : { rule: rule === null ? null : toToldRule(rule) }),
      ...actor.details,
    }
    return save(read, { arms: resized, rule: next }, 'change', { ...actor, details })
  }

  async function promote(id: string, model: string | undefined, actor: Actor): Promise<Rollout> {
    const read = await getRunning(id)
    const arm = candidateOf(read, model)
    const details = { model: arm.model, before: read.arms[0].model, ...actor.details }
    return settleSelected(read, arm, read.arms[0], 'promoted', { ...actor, details })
  }

  async function rollBack(id: string, actor: Actor): Promise<Rollout> {
    const read = await getRollout(db, id)
    const [first] = read.arms
    if (read.state === 'running')
      return settle(read, first, 'rolled-back', { ...actor, details: { model: first.model, ...actor.details } })
    if (read.state !== 'promoted')
      throw new AppError('conflict', `The rollout is over ("${read.state}"): nothing is left to roll back.`)
    const promoted = settledArm(read.arms)
    const now = read.alias === defaultRoute ? await findSelected(parts) : read.isActive ? promoted : undefined
    if (now?.model !== promoted.model || (await findRunning(read.alias)) !== undefined) throw superseded(read, promoted, now)
    const details = { model: first.model, undoes: 'promote', before: promoted.model, ...actor.details }
    return settleSelected(read, first, promoted, 'rolled-back', { ...actor, details })
  }

  async function rollBackAlias(alias: string, actor: Actor): Promise<Rollout> {
    const found = (await findRunning(alias)) ?? (await findLastPromoted(db, alias))
    if (found !== undefined) return rollBack(found.id, actor)
    throw new AppError('conflict', `Nothing runs for ${JSON.stringify(alias)}, and no promotion of it is left to undo.`)
  }

  async function end(id: string, actor: Actor): Promise<Rollout> {
    const read = await getRollout(db, id)
    if (!read.isActive) throw new AppError('conflict', `The rollout is over ("${read.state}").`)
    return save(read, { state: 'ended', isActive: false, endedAt: isoNow() }, 'end', actor)
  }

  /** By its full name; undefined where it cannot answer, or nobody has chosen one. */
  async function findFullName({ provider, model }: Selected): Promise<string | undefined> {
    if (model === undefined) return undefined
    const found = await parts.providers
      .find(provider)
      ?.choose(model)
      .catch(() => undefined)
    return found === undefined || provider === localProvider ? found?.name : `${provider}/${found.name}`
  }

  async function selectedAtStart(selected: Selected): Promise<void> {
    const running = await findRunning(defaultRoute)
    const model = running && (await findFullName(selected))
    if (running === undefined || model === undefined || model === running.arms[0].model) return
    const [first, ...candidates] = running.arms
    const actor = { actor: 'start', details: { reason: 'selected-before', model, before: first.model } }
    const arm = candidates.find((one) => one.model === model)
    if (arm === undefined) await end(running.id, actor)
    else await settle(running, arm, 'promoted', actor)
  }

  return {
    selectedAtStart: (selected) => inTurn(() => selectedAtStart(selected)),
    start: (rollout, actor) => inTurn(() => start(rollout, actor)),
    change: (id, changes, actor) => inTurn(() => change(id, changes, actor)),
    promote: (id, model, actor) => inTurn(() => promote(id, model, actor)),
    rollBack: (id, actor) => inTurn(() => rollBack(id, actor)),
    rollBackAlias: (alias, actor) => inTurn(() => rollBackAlias(alias, actor)),
    end: (id, actor) => inTurn(() => end(id, actor)),
    selectedByHand: (actor) =>
      inTurn(async () => {
        const running = await findRunning(defaultRoute)
        if (running === undefined) return
        const { model } = await findSelected(parts)
        if (model === running.arms[0].model) return
        await end(running.id, { ...actor, details: { reason: 'selected-by-hand', model, ...actor.details } })
      }),
  }
}
