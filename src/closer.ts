export type Closer = ReturnType<typeof createCloser>

/** Who opens, closes: once, in reverse order, to the end even after a failure. */
export function createCloser() {
  const steps: Array<() => Promise<void>> = []
  return {
    /** Remembers to close the part. */
    use<T extends { close(): Promise<void> }>(part: T): T {
      steps.push(() => part.close())
      return part
    },
    async close(): Promise<void> {
      const failures: unknown[] = []
      for (const step of steps.splice(0).reverse()) await step().catch((error: unknown) => failures.push(error))
      if (failures.length > 0) throw new AggregateError(failures, 'Some parts did not close.')
    },
  }
}
