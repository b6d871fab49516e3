/** Shares have two digits behind the point. */
const round = (value: number) => Math.round(value * 100) / 100

export type Arm = Readonly<{ model: string; share: number }>

/**
 * Shares of a rollout when that of one candidate is set: the first arm takes up the difference, as it is what was in use; where that does not
 * suffice, the other candidates give what is missing, each in proportion to what it has.
 */
export function withShare(arms: readonly Arm[], model: string, share: number): readonly Arm[] {
  const wanted = round(Math.min(100, Math.max(0, share)))
  const others = arms.slice(1).filter((arm) => arm.model !== model)
  const taken = others.reduce((sum, arm) => sum + arm.share, 0)
  const factor = taken === 0 ? 1 : Math.min(1, (100 - wanted) / taken)
  const candidates = arms.slice(1).map((arm) => ({
    model: arm.model,
    // Downwards, so that they never add up to more than there is.
    share: arm.model === model ? wanted : Math.floor(round(arm.share * factor * 100)) / 100,
  }))
  const rest = round(100 - candidates.reduce((sum, arm) => sum + arm.share, 0))
  return arms.map((arm, at) => (at === 0 ? { model: arm.model, share: rest } : (candidates[at - 1] ?? arm)))
}
