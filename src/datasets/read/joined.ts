/** Numbers that are joined to sets (union-find with path halving). The smallest number stands for its set. */
export function createJoined() {
  const parents: number[] = []
  const find = (number: number): number => {
    let one = number
    for (;;) {
      const parent = parents[one] ?? one
      if (parent === one) return one
      const grandparent = parents[parent] ?? parent
      parents[one] = grandparent
      one = grandparent
    }
  }
  return {
    find,
    join(one: number, other: number): void {
      const [first, second] = [find(one), find(other)]
      if (first < second) parents[second] = first
      else parents[first] = second
    },
  }
}
