/** What one who watches a run needs to know between two looks into the database. */
export interface RunFeed {
  /** Resolves once something has changed since the last call, or the signal says so. */
  changed(gone: AbortSignal): Promise<void>
  /** Since the last call: the lowest step after which everything was forgotten. */
  takeForgotten(): number | undefined
  isForgotten(): boolean
  close(): void
}

export type RunFeeds = ReturnType<typeof createRunFeeds>

/** Tells those who watch runs that there is something new; what it is stands in the database. */
export function createRunFeeds() {
  type Watcher = { readonly changed: () => void; readonly forgot: (step: number) => void }
  const watchers = new Map<string, Set<Watcher>>()

  function subscribe(runId: string): RunFeed {
    let hasChanged = true
    let forgotten: number | undefined
    let wake = () => {}
    const watcher: Watcher = {
      changed() {
        hasChanged = true
        wake()
      },
      forgot(step) {
        forgotten = Math.min(forgotten ?? step, step)
        this.changed()
      },
    }
    const those = watchers.get(runId) ?? new Set()
    watchers.set(runId, those.add(watcher))
    return {
      async changed(gone) {
        if (!hasChanged && !gone.aborted) {
          const onGone = () => wake()
          gone.addEventListener('abort', onGone, { once: true })
          await new Promise<void>((resolve) => {
            wake = resolve
          })
          gone.removeEventListener('abort', onGone)
        }
        hasChanged = false
      },
      takeForgotten() {
        const step = forgotten
        forgotten = undefined
        return step
      },
      isForgotten: () => forgotten !== undefined,
      close() {
        those.delete(watcher)
        if (those.size === 0 && watchers.get(runId) === those) watchers.delete(runId)
      },
    }
  }

  const each = (runId: string) => [...(watchers.get(runId) ?? [])]
  return {
    subscribe,
    changed: (runId: string) => {
      for (const watcher of each(runId)) watcher.changed()
    },
    /** For what concerns all runs, such as places in the queue. */
    allChanged: () => {
      for (const runId of [...watchers.keys()]) for (const watcher of each(runId)) watcher.changed()
    },
    forgot: (runId: string, step: number) => {
      for (const watcher of each(runId)) watcher.forgot(step)
    },
  }
}
