/** Something that stands in a ranking. */
type Ranked = Readonly<{ id: number }>

export type Ranking<Item extends Ranked> = Readonly<{
  /** Best first. */
  items: readonly Item[]
  /** How much it counts beside the others. */
  weight: number
}>

export type Fused<Item extends Ranked> = Readonly<{ item: Item; score: number }>

/**
 * Keeps the first places from outweighing everything. The paper has 60 for rankings of thousands; over the first 50 of each, 20 found more
 * (docs/rag.md).
 */
const smoothing = 20

/**
 * Reciprocal rank fusion: each ranking gives an item weight / (20 + its rank), and the sums decide. Scores of different kinds need no
 * common scale. Equal sums are ordered by id.
 * Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
 */
export function fuseRankings<Item extends Ranked>(rankings: readonly Ranking<Item>[]): readonly Fused<Item>[] {
  const fused = new Map<number, Fused<Item>>()
  for (const { items, weight } of rankings) {
    for (const [index, item] of items.entries()) {
      const score = (fused.get(item.id)?.score ?? 0) + weight / (smoothing + index + 1)
      fused.set(item.id, { item: fused.get(item.id)?.item ?? item, score })
    }
  }
  return [...fused.values()].sort((one, other) => other.score - one.score || one.item.id - other.item.id)
}
