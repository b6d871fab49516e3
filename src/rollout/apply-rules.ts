import { AppError } from '../errors.ts'
import type { ActiveRollouts } from './active-rollouts.ts'
import type { RolloutChanges } from './change-rollouts.ts'
import type { Rollout } from './rollout-rows.ts'
import { decide } from './rule.ts'
import type { RolloutStatistics } from './statistics.ts'

export type RulesParts = Readonly<{
  active: Pick<ActiveRollouts, 'list'>
  changes: Pick<RolloutChanges, 'promote' | 'rollBack'>
  readStatistics: (rollout: Rollout) => Promise<RolloutStatistics>
  /** Whether an evaluation of this model has passed. */
  hasPassed: (evaluationId: string, model: string) => Promise<boolean>
  /** By which the days of a rule go by. */
  now: () => number
  onFailure: (error: unknown) => void
}>

export type Rules = Readonly<{
  /** Looks at the rules soon, once for all who ask meanwhile. */
  lookSoon(): void
  /** Looks at the rules of all that runs, and does what they demand. Never rejects. */
  apply(): Promise<void>
  close(): Promise<void>
}>

/** Time passes without feedback. */
const everyMs = 60_000
const dayMs = 24 * 3600_000

/** Promotes and rolls back by the rules that users have set, as the actor `rule`. */
export function createRules(parts: RulesParts): Rules {
  let running: Promise<void> | undefined
  let isWanted = false
  let isClosed = false

  async function applyOne(rollout: Rollout): Promise<void> {
    const { rule, createdAt, id } = rollout
    if (rule === undefined || rollout.state !== 'running') return
    const { arms, comparisons } = await parts.readStatistics(rollout)
    const [[baseline, candidate], [comparison]] = [arms, comparisons]
    if (baseline === undefined || candidate === undefined || comparison === undefined) return
    const { requireEvaluation } = rule
    const isEvaluated = requireEvaluation === undefined || (await parts.hasPassed(requireEvaluation, candidate.model))
    const days = (parts.now() - Date.parse(createdAt)) / dayMs
    const decision = decide(rule, { baseline, candidate, verdict: comparison.verdict, days, isEvaluated })
    if (decision === undefined) return
    const told = ({ model, rated, wins }: typeof baseline) => ({ model, rated, wins })
    const details = { reason: decision.reason, evidence: [told(baseline), told(candidate)], p_value: comparison.pValue }
    const actor = { actor: 'rule', details }
    if (decision.action === 'promote') await parts.changes.promote(id, candidate.model, actor)
    else await parts.changes.rollBack(id, actor)
  }

  async function applyAll(): Promise<void> {
    for (const rollout of (await parts.active.list()).values()) {
      if (isClosed) return
      await applyOne(rollout).catch((error: unknown) => {
        // Somebody was faster.
        if (!(error instanceof AppError) || error.code !== 'conflict') parts.onFailure(error)
      })
    }
  }

  async function loop(): Promise<void> {
    while (isWanted && !isClosed) {
      isWanted = false
      await applyAll().catch(parts.onFailure)
    }
    // In the same step as the last look at what is wanted, so that nobody's wish falls between them.
    running = undefined
  }

  function apply(): Promise<void> {
    isWanted = true
    if (isClosed) return Promise.resolve()
    running ??= loop()
    return running
  }

  const timer = setInterval(() => void apply(), everyMs)
  timer.unref()
  return {
    lookSoon: () => void apply(),
    apply,
    async close() {
      isClosed = true
      clearInterval(timer)
      await running
    },
  }
}
