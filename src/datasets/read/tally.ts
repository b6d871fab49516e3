/** So many examples of each thing are shown. */
export const shownExamples = 10

/** Counts things by name, and keeps the first examples of each. */
export function createTally<Name extends string, Example>() {
  const counted = new Map<Name, { count: number; examples: Example[] }>()
  return {
    add(name: Name, example: Example): void {
      const one = counted.get(name) ?? { count: 0, examples: [] }
      one.count += 1
      if (one.examples.length < shownExamples) one.examples.push(example)
      counted.set(name, one)
    },
    /** Commonest first. */
    list: () =>
      [...counted]
        .map(([name, { count, examples }]) => ({ name, count, examples }))
        .toSorted((one, other) => other.count - one.count),
  }
}
