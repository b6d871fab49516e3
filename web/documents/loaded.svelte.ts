/**
 * What `read` gives, read again whenever the state that it looks at before its first await changes. The last value stays while the
 * next one is on its way, and after a failure.
 */
export function loaded<T>(read: () => Promise<T>) {
  let value = $state.raw<T>()
  let error = $state.raw<unknown>()
  let turn = $state(0)
  $effect(() => {
    let isGone = false
    if (turn >= 0)
      read().then(
        (next) => {
          if (isGone) return
          value = next
          error = undefined
        },
        (failure: unknown) => {
          if (!isGone) error = failure
        },
      )
    return () => {
      isGone = true
    }
  })
  return {
    get value() {
      return value
    },
    get error() {
      return error
    },
    reload() {
      turn += 1
    },
  }
}
