/** The weight of the latest step in what is known of steps with as many rows. */
const latestWeight = 0.2
/** Up to so many rows a step waits mostly for the weights to come from memory, then for the processor. */
const fewRows = 8
/** The powers of the number of rows with which a step's time grows there, where nothing better is known, and beyond. */
const [growthOfFew, growthOfMany] = [0.6, 0.9]
/** So many steps of a size are measured before it is compared with another one. */
const enough = 3
/** Processors compute matrices in tiles of so many columns: beyond the smallest, a step may be filled up. */
const tiles = [4, 8]

/** What steps cost that take tokens of answers only, by the number of rows: learned from them as they go. */
export interface StepCosts {
  note(rows: number, milliseconds: number): void
  /** In milliseconds; 0 as long as nothing is known. */
  of(rows: number): number
  /**
   * How many rows a step of so many is best filled up to: a matrix product with 12 columns can take less time than one with 9.
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
    const below = Math.max(...sizes.filter((size) => size < rows))
    const above = Math.min(...sizes.filter((size) => size > rows))
    const [less, more] = [known.get(below)?.milliseconds, known.get(above)?.milliseconds]
    if (less !== undefined && more !== undefined) return less + ((more - less) * (rows - below)) / (above - below)
    return ((less ?? more ?? 0) * usualCost(rows)) / usualCost(less === undefined ? above : below)
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
      if (rows <= Math.min(...tiles)) return rows
      const sizes = [rows, ...tiles.map((tile) => Math.ceil(rows / tile) * tile).filter((size) => size <= most)]
      return sizes.find((size) => !isKnown(size)) ?? sizes.reduce((best, size) => (of(size) < of(best) ? size : best))
    },
  }
}

/** What a step costs, in the time of one with a single row. */
function usualCost(rows: number): number {
  return Math.min(rows, fewRows) ** growthOfFew * Math.max(1, rows / fewRows) ** growthOfMany
}
