/** Rows of a step with drafts: what processors compute without waste. */
const sizes = [2, 4, 8, 12, 16, 20, 24, 28, 32]
/** A step with drafts must promise so much more than one without: what promises most is often what is estimated too well. */
const worthwhile = 1.15

export type Candidate = Readonly<{
  /** How likely each token of its draft is right, if those before it are. */
  chance: number
  /** Tokens that its draft can have. */
  most: number
}>

/** Milliseconds of a step with so many rows; 0 when nothing is known. */
type CostOf = (rows: number) => number

/**
 * How many tokens each answer's draft should have, so that a step brings the most tokens for its time: an answer goes on by one token
 * and by as many of its draft as are right. Speculative decoding (Leviathan et al. 2023), with its costs measured instead of assumed:
 * on a processor a step of 8 rows takes four times as long as one of a single row.
 */
export function planDrafts(candidates: readonly Candidate[], mostRows: number, costOf: CostOf): readonly number[] {
  const without = candidates.map(() => 0)
  const answers = candidates.length
  let best = without
  let fastest = (worthwhile * answers) / costOf(answers)
  for (const rows of sizes) {
    if (rows <= answers || rows > mostRows) continue
    const { lengths, tokens } = draftsOf(candidates, rows - answers)
    const speed = tokens / costOf(lengths.reduce((sum, length) => sum + length, answers))
    if (speed > fastest) {
      fastest = speed
      best = lengths
    }
  }
  return best
}

/** Each of the rows goes to the draft whose next token is most likely to be right. */
function draftsOf(candidates: readonly Candidate[], rows: number): Readonly<{ lengths: number[]; tokens: number }> {
  const lengths = candidates.map(() => 0)
  const gains = candidates.map(({ chance, most }) => (most > 0 ? chance : 0))
  let tokens = candidates.length
  for (let row = 0; row < rows; row += 1) {
    const gain = Math.max(...gains)
    if (gain <= 0) break
    const index = gains.indexOf(gain)
    const { chance = 0, most = 0 } = candidates[index] ?? {}
    const length = (lengths[index] ?? 0) + 1
    lengths[index] = length
    gains[index] = length < most ? gain * chance : 0
    tokens += gain
  }
  return { lengths, tokens }
}
