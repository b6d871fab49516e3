/** Something that the service is asked for: what it last answered, and whether it failed since. */
export function createLoaded<Value>(ask: () => Promise<Value>) {
  let value = $state.raw<Value | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let turn = 0

  return {
    get value() {
      return value
    },
    get failure() {
      return failure
    },
    /** Shows something newer, as after a change. */
    set(next: Value) {
      turn += 1
      value = next
      failure = undefined
    },
    /** Never throws; an answer that was overtaken by a later one is dropped. */
    async reload(): Promise<void> {
      turn += 1
      const mine = turn
      try {
        const next = await ask()
        if (mine !== turn) return
        value = next
        failure = undefined
      } catch (error) {
        if (mine === turn) failure = error
      }
    },
  }
}

/**
 * What `read` gives, read at once and again whenever the state that it looks at before its first await changes. The last value stays
 * while the next one is on its way, and after a failure. To be made while a component is.
 */
export function loaded<Value>(read: () => Promise<Value>) {
  const kept = createLoaded(read)
  $effect(() => {
    void kept.reload()
  })
  return kept
}
