/** The weight of the latest step in what is known of steps with as many rows. */
const latestWeight = 0.2
/** Unknown numbers of rows cost as if a step's time grew with this power of them. */
const growth = 0.6
/** So many steps of a size are measured before it is compared with another one. */
const enough = 3
/** Processors compute matrices in tiles of 4 or 8 columns: up to this many rows a step is what it is, from there it may be filled up. */
const tile = 8

/** What steps cost that take tokens of answers only, by the number of rows: learned from them as they go. */
export interface StepCosts {
  note(rows: number, milliseconds: number): void
  /** In milliseconds; 0 as long as nothing is known. */
  of(rows: number): number
  /**
   * How many rows a step of so many is best filled up to: a matrix product with 8 columns can take less time than one with 5.
   * `most` is never exceeded.
   */
  filledUp(rows: number, most: number): number
}

export function createStepCosts(): StepCosts {
  const known = new Map<number, { milliseconds: number; steps: number }>()

  function of(rows: number): number {
    const exact = known.get(rows)
    if (exact !== undefined) return exact.milliseconds
    const sizes = [...known.keys()]
    const nearest = Math.max(...sizes.filter((size) => size < rows), 0) || Math.min(...sizes)
    const { milliseconds = 0 } = known.get(nearest) ?? {}
    return milliseconds * (rows / nearest) ** growth
  }

  const isKnown = (rows: number) => (known.get(rows)?.steps ?? 0) >= enough

  return {
    of: (rows) => (known.size === 0 ? 0 : of(rows)),
    note(rows, milliseconds) {
      const before = known.get(rows)
      if (before === undefined) known.set(rows, { milliseconds, steps: 1 })
      else {
        before.milliseconds += (milliseconds - before.milliseconds) * latestWeight
        before.steps += 1
      }
    },
    filledUp(rows, most) {
      const filled = Math.ceil(rows / tile) * tile
      if (rows <= tile / 2 || filled > most || filled === rows || !isKnown(rows)) return rows
      return isKnown(filled) && of(filled) >= of(rows) ? rows : filled
    },
  }
}
